//! HTTP functions of WASI 0.2 and 0.3 behind their routes, asked by curl:
//! streaming in both directions, and requests of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use samara_test::Random;
use samara_test::server::Server;

use super::{curl, curled, named_guest, serve};
use crate::support::ran;

/// Longer than any answer takes: only a server that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(120);

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
            bodies_come_back(&server, version);
        }
        pieces_come_back_one_by_one(&server);
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

/// A large body of curl's comes back whole.
fn bodies_come_back(server: &Server, version: &str) {
    let mut random = Random::new(5);
    let body: Vec<u8> = (0..3 << 20).map(|_| random.below(256) as u8).collect();
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    std::fs::write(&there, &body).unwrap();
    let mut command = curl().unwrap();
    command.args([version, "--fail", "--header", "Transfer-Encoding: chunked", "--request", "POST"]);
    command.arg("--upload-file").arg(there).arg("--output").arg(&back);
    ran(command.arg(format!("{}/echo", server.url()))).good();
    assert!(std::fs::read(back).unwrap() == body, "{version}");
}

/// A piece is only sent when the one before has come back. No program of
/// Debian's does that over HTTP/1.1 dependably.
fn pieces_come_back_one_by_one(server: &Server) {
    let mut stream = BufReader::new(TcpStream::connect(server.address()).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut head = None;
    for piece in ["first", "second", "third"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        stream.get_mut().write_all(chunk.as_bytes()).unwrap();
        head.get_or_insert_with(|| lines_until_empty(&mut stream));
        let mut back = vec![0; chunk.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(String::from_utf8(back).unwrap(), chunk);
    }
    stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(lines_until_empty(&mut stream), ["0"]);
    assert!(head.unwrap()[0].contains(" 200 "));
}

fn lines_until_empty(stream: &mut impl BufRead) -> Vec<String> {
    stream.lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
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
