//! A server of the Open Inference Protocol with one function, `double`, which
//! answers what a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The function takes `x` FP32[-1,2] and gives `y`.
pub(crate) const METADATA: &str = r#"{"name": "double", "versions": ["1"], "platform": "test",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]}"#;
/// A right answer.
pub(crate) const ANSWER: &str = r#"{"model_name": "double", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2, 4]}]}"#;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub line: String,
    pub headers: String,
    pub body: Vec<u8>,
}

/// What is sent back.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub status: u16,
    /// Whole lines.
    pub headers: String,
    pub body: Vec<u8>,
}

/// A server that stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    infers: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }
}

impl Server {
    /// A server whose function answers by `infer`, which is given the number
    /// of the request, from 0.
    pub(crate) fn start(infer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(infer, |line| match line {
            "GET /v2 HTTP/1.1" => Reply::new(200, r#"{"name": "test", "version": "1", "extensions": []}"#),
            "GET /v2/models/double HTTP/1.1" => Reply::new(200, METADATA),
            "POST /v2/repository/index HTTP/1.1" => Reply::new(
                200,
                r#"[{"name": "double", "version": "1", "state": "READY"}, {"name": "old", "state": "UNAVAILABLE"}]"#,
            ),
            _ => Reply::new(404, r#"{"error": "no such model"}"#),
        })
    }

    /// A server that answers all but inferences by `other`.
    pub(crate) fn with(
        infer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
        other: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (infers, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let state = (Arc::clone(&infers), Arc::clone(&is_over));
        let answer = Arc::new(move |request: Request| match request.line.contains("/infer ") {
            true => {
                let number = {
                    let mut infers = state.0.lock().unwrap();
                    infers.push(request.clone());
                    infers.len() - 1
                };
                infer(number, &request)
            }
            false => other(&request.line),
        });
        let over = Arc::clone(&is_over);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                // Ends when the client hangs up.
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self { address, infers, is_over, accepting: Some(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The inferences that were asked for.
    pub(crate) fn infers(&self) -> Vec<Request> {
        self.infers.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Answers the requests of one connection, until it is closed from either side.
fn serve(stream: TcpStream, answer: &dyn Fn(Request) -> Reply) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let reply = answer(request);
        let head = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n{}\r\n",
            reply.status,
            reply.body.len(),
            reply.headers
        );
        if writer.write_all(&[head.as_bytes(), &reply.body].concat()).is_err()
            || reply.headers.contains("connection: close")
        {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|&read| read > 0)?;
        if header == "\r\n" {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: line.trim().to_owned(), headers, body })
}
