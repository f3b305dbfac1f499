//! HTTP functions of WASI 0.2 and 0.3 behind their routes, asked by curl:
//! streaming in both directions, and requests of their own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use samara_test::server::Server;

use super::{agrees, curl, curled, named_guest, serve};
use crate::support::Ran;

/// Routes of both versions of WASI, which do the same.
const ROUTES: [&str; 2] = ["/two", "/three"];

#[test]
fn http_functions_answer_behind_their_routes() {
    let allowed = Answering::start("allowed");
    let denied = Answering::start("denied");
    let host = allowed.address.to_string();
    let server = serve(&[
        &named_guest("two", "http_routes"),
        &named_guest("three", "http_routes_p3"),
        &named_guest("hello", "http_hello"),
        "--route",
        "hello=/a/b",
        "--allow-http",
        &host,
    ]);
    // The function sees the path as it came.
    let Some(hello) = curled([format!("{}/a/b/c?d=e", server.url())]) else { return };
    assert_eq!(hello, "hello from GET /a/b/c?d=e");
    for route in ROUTES {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            streams_both_ways(&server, route, version);
        }
        let fetched = |other: &Answering| {
            let header = format!("x-url: http://{}/", other.address);
            curled(["--header", &header, &format!("{}{route}/fetch", server.url())]).unwrap()
        };
        assert_eq!(fetched(&allowed), "allowed");
        let refused = fetched(&denied).to_lowercase();
        assert!(refused.contains("denied") && !refused.contains("answers"), "{refused}");
    }
    // A function that dies answers nobody, and the next one is answered.
    for route in ROUTES {
        let asked = |path: &str| {
            curled(["--write-out", " %{http_code}", &format!("{}{route}{path}", server.url())]).unwrap()
        };
        assert!(asked("/trap").ends_with(" 500"));
        assert!(asked("/request").ends_with(" 200"));
    }
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
}

/// A second piece is only sent when the first one has come back.
fn streams_both_ways(server: &Server, route: &str, version: &str) {
    let mut command = curl().unwrap();
    command.args(["--no-buffer", "--upload-file", "-", "--request", "POST", version]);
    // curl would wait for leave first.
    command.args(["--header", "Expect:", &format!("{}{route}/echo", server.url())]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut there, mut back) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for piece in ["first", "second", "third"] {
        there.write_all(piece.as_bytes()).unwrap();
        there.flush().unwrap();
        let mut read = vec![0; piece.len()];
        back.read_exact(&mut read).unwrap_or_else(|error| panic!("{route} {version} {piece}: {error}"));
        assert_eq!(String::from_utf8(read).unwrap(), piece, "{route} {version}");
    }
    drop(there);
    agrees("curl", &Ran::from(child.wait_with_output().unwrap()));
}

/// Answers every request on a port of its own with the same words.
struct Answering {
    address: SocketAddr,
}

impl Answering {
    fn start(words: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(stream, words);
            }
        });
        Self { address }
    }
}

fn answer(mut stream: TcpStream, words: &str) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{words}", words.len())
}
