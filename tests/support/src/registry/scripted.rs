//! A server that answers what a test lets it answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Serves plain HTTP until it is dropped: one request per connection.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

/// How an answer goes on after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the body.
    Whole,
    /// The connection closes after so many bytes of the body.
    CutAfter(usize),
    /// Nothing comes after so many bytes of the body, until the client leaves.
    StallAfter(usize),
    /// The body comes byte by byte, slowly.
    Drip,
    /// The body comes again and again, without a length.
    Endless,
    /// The connection closes without a word.
    Nothing,
    /// Nothing is said or read until the server ends.
    Silence,
    /// The connection closes after so many bytes of the request's body were
    /// read, without a word.
    HangUpAfter(usize),
}

impl Seen {
    /// Whether it asks for what is at `path`.
    pub fn is_get(&self, path: &str) -> bool {
        self.method == "GET" && self.path == path
    }

    /// A header by its name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), ending: Ending::Whole }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

impl Scripted {
    /// Starts on a free port of this machine. `answer` is asked when the head
    /// of a request is there; the body is not in what it sees.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(AtomicBool::new(false)));
        let answer = Arc::new(answer);
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (seen, stop, answer) = (seen.clone(), stop.clone(), answer.clone());
                    // A client that leaves early is what some tests are about.
                    std::thread::spawn(move || serve(stream?, &seen, &stop, &*answer));
                }
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    /// Address and port, as references write them.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Seen>>,
    stop: &AtomicBool,
    answer: &dyn Fn(&Seen) -> Reply,
) -> std::io::Result<()> {
    let Some(mut request) = read_head(&mut stream)? else {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    };
    let reply = answer(&request);
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let wanted = match reply.ending {
        Ending::HangUpAfter(count) => count.min(length),
        Ending::Silence => 0,
        _ => length,
    };
    let mut body = vec![0; wanted];
    stream.read_exact(&mut body)?;
    request.body = body;
    let is_head = request.method == "HEAD";
    seen.lock().unwrap().push(request);
    match reply.ending {
        Ending::HangUpAfter(_) | Ending::Nothing => Ok(()),
        Ending::Silence => {
            while !stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
        _ => write_reply(&mut stream, &reply, is_head, stop),
    }
}

/// The head of a request, or `None` for what is no HTTP.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head[0].is_ascii_uppercase() {
        return Ok(None);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let mut next = || first.next().unwrap_or_default();
    let (method, path) = (next(), next());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Some(Seen { method, path, headers, body: Vec::new() }))
}

fn write_reply(
    stream: &mut TcpStream,
    reply: &Reply,
    is_head: bool,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let has_length = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !has_length && reply.ending != Ending::Endless {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if is_head {
        return stream.shutdown(Shutdown::Write);
    }
    match reply.ending {
        Ending::CutAfter(count) => stream.write_all(&reply.body[..count])?,
        Ending::StallAfter(count) => {
            stream.write_all(&reply.body[..count])?;
            // Ends when the client closes.
            while stream.read(&mut [0; 64])? > 0 {}
        }
        Ending::Drip => {
            for byte in &reply.body {
                stream.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_millis(10));
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        Ending::Endless => {
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(&reply.body)?;
            }
        }
        _ => stream.write_all(&reply.body)?,
    }
    stream.shutdown(Shutdown::Write)
}
