//! Stands between containerd and the shim's library: what one says reaches the
//! other as [`Calls`] leaves it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use zygote::Zygote;

use crate::asked::Asked;
use crate::calls::{Calls, lock};
use crate::frame::Frame;

/// Where a shim that serves has the socket that containerd connects to.
const SOCKET: RawFd = 3;

/// The library's socket, in the container's folder. It has the name for a moment only.
const NAME: &str = "samara.sock";

/// Frames are small, and there are two threads for each container.
const STACK: usize = 256 << 10;

/// Takes containerd's socket, and gives the library another one in its place. Where
/// there is none, this program was not started to serve.
///
/// # Errors
/// When the library's socket cannot be made.
pub(crate) fn start(asked: Asked) -> io::Result<()> {
    let Some(outer) = containerd_socket() else { return Ok(()) };
    let inner = library_socket()?;
    spawn(move || accept(&outer, &inner, &asked))
}

fn containerd_socket() -> Option<UnixListener> {
    let is_open = fs::read_link(format!("/proc/self/fd/{SOCKET}"));
    if !is_open.is_ok_and(|link| link.to_string_lossy().starts_with("socket:")) {
        return None;
    }
    // The library forks containers off a process that it makes of this one: it does
    // so now, before there are threads, and sockets that no container is to have.
    Zygote::init();
    // SAFETY: it makes a new descriptor of one that is open.
    let copy = unsafe { libc::fcntl(SOCKET, libc::F_DUPFD_CLOEXEC, SOCKET + 1) };
    // SAFETY: the copy is open, and nobody else's.
    (copy >= 0).then(|| UnixListener::from(unsafe { OwnedFd::from_raw_fd(copy) }))
}

/// Puts a socket where the library looks for containerd's, and gives the file by
/// which it can be connected to.
fn library_socket() -> io::Result<File> {
    let listener = UnixListener::bind(NAME)?;
    let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(NAME);
    fs::remove_file(NAME)?;
    // SAFETY: the listener is open, and what it takes the place of is containerd's
    // socket, of which there is a copy.
    if unsafe { libc::dup2(listener.as_raw_fd(), SOCKET) } < 0 {
        return Err(io::Error::last_os_error());
    }
    place
}

fn accept(outer: &UnixListener, inner: &File, asked: &Asked) {
    let inner = format!("/proc/self/fd/{}", inner.as_raw_fd());
    loop {
        let connect = |(client, _)| Joined::start(client, UnixStream::connect(&inner)?, asked.clone());
        if outer.accept().and_then(connect).is_err() {
            // containerd sees its connection closed. Should files have run out, some
            // will be free again.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A connection of containerd's, and the one to the library that was made for it.
struct Joined {
    calls: Calls,
    /// What each is told.
    client: Mutex<UnixStream>,
    library: Mutex<UnixStream>,
    /// To end both without waiting for what is being told.
    ends: [UnixStream; 2],
}

impl Joined {
    /// Passes on what both say, until either has ended.
    fn start(client: UnixStream, library: UnixStream, asked: Asked) -> io::Result<()> {
        let (from_client, from_library) = (client.try_clone()?, library.try_clone()?);
        let calls = Calls::of(asked);
        let ends = [client.try_clone()?, library.try_clone()?];
        let joined = Arc::new(Self { calls, client: Mutex::new(client), library: Mutex::new(library), ends });
        let other = Arc::clone(&joined);
        spawn(move || joined.ask(from_client))?;
        spawn(move || other.answer(from_library))
    }

    fn ask(self: Arc<Self>, mut from: UnixStream) {
        while let Ok(Some(frame)) = Frame::read(&mut from) {
            let joined = Arc::clone(&self);
            let passed = match Calls::may_take_long(&frame) {
                // Others are not to wait for it.
                true => {
                    thread::Builder::new().name("call".to_owned()).spawn(move || joined.pass(frame)).map(drop)
                }
                false => {
                    joined.pass(frame);
                    Ok(())
                }
            };
            if passed.is_err() {
                break;
            }
        }
        self.end();
    }

    fn pass(&self, mut frame: Frame) {
        let told = match self.calls.asked(&mut frame) {
            Some(answer) => answer.write(&mut *lock(&self.client)),
            None => frame.write(&mut *lock(&self.library)),
        };
        if told.is_err() {
            self.end();
        }
    }

    fn answer(&self, mut from: UnixStream) {
        while let Ok(Some(mut frame)) = Frame::read(&mut from) {
            let told = match self.calls.answered(&mut frame) {
                Some(call) => call.write(&mut *lock(&self.library)),
                None => frame.write(&mut *lock(&self.client)),
            };
            if told.is_err() {
                break;
            }
        }
        self.end();
    }

    /// Both ways: a call whose caller is gone has no one to answer.
    fn end(&self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("relay".to_owned()).stack_size(STACK).spawn(run).map(|_| ())
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::ttrpc::proto::{MESSAGE_TYPE_REQUEST, MESSAGE_TYPE_RESPONSE};

    use super::*;

    /// containerd's end and the library's, with a relay between.
    fn joined() -> (UnixStream, UnixStream) {
        let (containerd, client) = UnixStream::pair().unwrap();
        let (library, server) = UnixStream::pair().unwrap();
        Joined::start(client, library, Asked::default()).unwrap();
        (containerd, server)
    }

    #[test]
    fn what_is_said_reaches_the_other_side() {
        let (mut containerd, mut library) = joined();
        let call = Frame::of(1, MESSAGE_TYPE_REQUEST, b"call".to_vec());
        call.write(&mut containerd).unwrap();
        assert_eq!(Frame::read(&mut library).unwrap(), Some(call));
        let answer = Frame::of(1, MESSAGE_TYPE_RESPONSE, b"answer".to_vec());
        answer.write(&mut library).unwrap();
        assert_eq!(Frame::read(&mut containerd).unwrap(), Some(answer));
    }

    #[test]
    fn when_one_side_ends_so_does_the_other() {
        let (containerd, mut library) = joined();
        drop(containerd);
        assert_eq!(Frame::read(&mut library).unwrap(), None);
        let (mut containerd, library) = joined();
        drop(library);
        assert_eq!(Frame::read(&mut containerd).unwrap(), None);
    }
}
