//! A `samara serve` that a test or a benchmark starts and stops.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server says before each of its addresses.
const LISTENING: &str = "Listening ";
/// Longer than any start takes: only a server that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server, killed when dropped.
pub struct Server {
    child: Child,
    addresses: Vec<String>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `command` (`samara serve …` without `--listen`) on a free port and
    /// waits until it listens. Panics with its words when it ends instead.
    pub fn start(command: &mut Command) -> Self {
        Self::start_at(command, &["127.0.0.1:0"])
    }

    /// As [`start`](Self::start), on several addresses.
    pub fn start_at(command: &mut Command, listen: &[&str]) -> Self {
        for address in listen {
            command.args(["--listen", address]);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::<Mutex<String>>::default();
        let (found, addresses) = mpsc::channel();
        let listener = std::thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some((_, address)) = line.split_once(LISTENING) {
                        let _ = found.send(address.trim().to_owned());
                    }
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            }
        });
        let mut server = Self { child, addresses: Vec::new(), said, listener: Some(listener) };
        for _ in listen {
            match addresses.recv_timeout(PATIENCE) {
                Ok(address) => server.addresses.push(address),
                Err(_) => {
                    let _ = server.child.kill();
                    panic!("the server does not listen; it said:\n{}", server.said());
                }
            }
        }
        server
    }

    /// Its first address as a URL, e.g. `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.addresses[0]
    }

    /// Its first address without the scheme.
    pub fn address(&self) -> &str {
        self.url().split_once("://").unwrap().1
    }

    pub fn urls(&self) -> &[String] {
        &self.addresses
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error until now.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends it a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; gives how it ended and all that it said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        (status, self.said())
    }

    /// Stops it as an orchestrator does, and waits for its end.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
