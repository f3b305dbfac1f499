//! HTTP functions of WASI 0.2 and 0.3 behind their routes, asked by curl:
//! streaming in both directions, and requests of their own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use samara_test::server::Server;

use super::{agrees, curl, curled, named_guest, serve};
use crate::support::Ran;

/// One function of which each name is a route, in both versions of WASI.
const GUESTS: [&str; 2] = ["http_routes", "http_routes_p3"];

#[test]
fn http_functions_answer_behind_their_routes() {
    let allowed = answering("allowed");
    let denied = answering("never to be seen");
    for guest in GUESTS {
        // A function sees the path as it came, and answers below `/NAME`.
        let functions = ["echo", "fetch", "trap", "request"].map(|name| named_guest(name, guest));
        let functions = functions.each_ref().map(String::as_str);
        let hello = named_guest("hello", "http_hello");
        let grants = [&hello, "--route", "hello=/a/b", "--allow-http", &allowed];
        let server = serve(&[&functions[..], &grants].concat());
        let asked = |path: &str, more: &[&str]| {
            let url = format!("{}{path}", server.url());
            curled([&["--write-out", " %{http_code}", &url][..], more].concat())
        };
        let Some(hello) = asked("/a/b/c?d=e", &[]) else { return };
        assert_eq!(hello, "hello from GET /a/b/c?d=e 200");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            streams_both_ways(&server, version);
        }
        let fetched = |host: &str| {
            asked("/fetch", &["--header", &format!("x-url: http://{host}/")]).unwrap().to_lowercase()
        };
        assert_eq!(fetched(&allowed), "allowed 200", "{guest}");
        let refused = fetched(&denied);
        assert!(refused.contains("denied") && !refused.contains("seen"), "{guest}: {refused}");
        // One that dies answers nobody, and the next one is answered.
        assert!(asked("/trap", &[]).unwrap().ends_with(" 500"), "{guest}");
        assert!(asked("/request", &[]).unwrap().ends_with(" 200"), "{guest}");
        let (status, said) = server.stop();
        assert!(status.success(), "{said}");
    }
}

/// A second piece is only sent when the first one has come back.
fn streams_both_ways(server: &Server, version: &str) {
    let mut command = curl().unwrap();
    command.args(["--no-buffer", "--upload-file", ".", "--request", "POST", version]);
    // `.` is standard input as it comes, which curl looks at again only when it
    // tells of its progress. It would wait for leave first, too.
    command.args(["--no-silent", "--header", "Expect:", &format!("{}/echo", server.url())]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut there, mut back) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for piece in ["first", "second", "third"] {
        there.write_all(piece.as_bytes()).unwrap();
        there.flush().unwrap();
        let mut read = vec![0; piece.len()];
        back.read_exact(&mut read).unwrap_or_else(|error| panic!("{version} {piece}: {error}"));
        assert_eq!(String::from_utf8(read).unwrap(), piece, "{version}");
    }
    drop(there);
    agrees("curl", &Ran::from(child.wait_with_output().unwrap()));
}

/// The address of what answers every request with the same words.
fn answering(words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = answer(stream, words);
        }
    });
    address.to_string()
}

fn answer(mut stream: TcpStream, words: &str) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{words}", words.len())
}
