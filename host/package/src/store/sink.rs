//! A file that is being written, hashed and brought to the disk. The three
//! run side by side once there is enough of it: a second thread hashes what
//! the page cache holds behind the writer, a third lets the disk begin long
//! before the last byte is there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::digest::{Digest, Sha256};

/// Bytes that are read at once when a file is hashed.
const READ_SIZE: usize = 256 << 10;
/// From here on threads cost less than they save.
const FOLLOWED_FROM: u64 = 4 << 20;
/// How far the writer may be ahead before the hash is woken.
const HASH_STEP: u64 = 1 << 20;
/// How much is written before the disk is told to begin.
const FLUSH_STEP: u64 = 8 << 20;

/// The end of a file, and the hash of all that lies before it.
pub(super) struct Sink {
    file: Arc<File>,
    written: u64,
    hash: Hash,
}

enum Hash {
    /// Of what was written, at once.
    Here(Sha256),
    /// Of what the file holds, a little later.
    Behind(Follower),
}

/// The threads behind a writer.
struct Follower {
    shared: Arc<Shared>,
    hashing: Worker<Sha256>,
    flushing: Worker<()>,
    /// Bytes that were written when each was last woken.
    hash_woken: u64,
    flush_woken: u64,
}

struct Shared {
    written: AtomicU64,
    abandoned: AtomicBool,
}

/// A thread that runs once for each time it is woken, and ends with `bell`.
struct Worker<T> {
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<std::io::Result<T>>>,
}

impl Sink {
    /// Begins an empty file.
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), written: 0, hash: Hash::Here(Sha256::default()) }
    }

    /// Continues a file behind what it holds already.
    pub(super) fn resume(mut file: File) -> std::io::Result<Self> {
        file.rewind()?;
        let mut hasher = Sha256::default();
        let written = hash_into(&mut hasher, &mut file)?;
        Ok(Self { file: Arc::new(file), written, hash: Hash::Here(hasher) })
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Forgets all that was written.
    pub(super) fn restart(&mut self) -> std::io::Result<()> {
        self.hash = Hash::Here(Sha256::default()); // which ends the threads
        self.file.set_len(0)?;
        (&*self.file).seek(SeekFrom::Start(0))?;
        self.written = 0;
        Ok(())
    }

    /// Brings all that was written to the disk and gives its digest.
    pub(super) fn finish(&mut self) -> std::io::Result<Digest> {
        self.file.sync_all()?; // the hash goes on meanwhile
        if let Hash::Behind(follower) = &mut self.hash {
            follower.flushing.join()?;
            self.hash = Hash::Here(follower.hashing.join()?);
        }
        match &self.hash {
            Hash::Here(hasher) => Ok(hasher.clone().finish()),
            Hash::Behind(_) => Err(std::io::Error::other("the hash did not end")),
        }
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        match &mut self.hash {
            Hash::Behind(follower) => follower.advance(self.written),
            Hash::Here(hasher) => {
                hasher.update(bytes);
                // Where no thread can be had, it goes on here.
                if cfg!(unix)
                    && self.written >= FOLLOWED_FROM
                    && let Ok(follower) = Follower::start(&self.file, self.written, hasher.clone())
                {
                    self.hash = Hash::Behind(follower);
                }
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = (&*self.file).write(bytes)?;
        self.advance(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(()) // there is no buffer
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("file", &self.file)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Follower {
    fn start(file: &Arc<File>, written: u64, hasher: Sha256) -> std::io::Result<Self> {
        let shared = Shared { written: AtomicU64::new(written), abandoned: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let hashing = {
            let (file, shared) = (file.clone(), shared.clone());
            Worker::start("hash", move |bell| hash_behind(&file, &shared, hasher, written, &bell))?
        };
        let flushing = {
            let file = file.clone();
            Worker::start("flush", move |bell| bell.iter().try_for_each(|()| file.sync_data()))?
        };
        flushing.wake();
        Ok(Self { shared, hashing, flushing, hash_woken: written, flush_woken: written })
    }

    fn advance(&mut self, written: u64) {
        self.shared.written.store(written, Ordering::Release);
        if written - self.hash_woken >= HASH_STEP {
            self.hashing.wake();
            self.hash_woken = written;
        }
        if written - self.flush_woken >= FLUSH_STEP {
            self.flushing.wake();
            self.flush_woken = written;
        }
    }
}

impl Drop for Follower {
    /// The threads hold the file, and with it its lock: they end with this.
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
        // Whoever wants the outcome has joined before.
        let _ = self.hashing.join();
        let _ = self.flushing.join();
    }
}

impl<T: Send + 'static> Worker<T> {
    fn start(
        name: &str,
        work: impl FnOnce(Receiver<()>) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (bell, rung) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(rung))?;
        Ok(Self { bell: Some(bell), thread: Some(thread) })
    }

    /// Wakes the thread; one that is busy goes on when it is done.
    fn wake(&self) {
        if let Some(bell) = &self.bell {
            let _ = bell.try_send(());
        }
    }

    fn join(&mut self) -> std::io::Result<T> {
        self.bell = None;
        let ended = || std::io::Error::other("a thread behind the writer ended early");
        self.thread.take().ok_or_else(ended)?.join().map_err(|_| ended())?
    }
}

/// Hashes what lies in `file` behind `from`, as far as it is written, until
/// the writer has ended.
fn hash_behind(
    file: &File,
    shared: &Shared,
    mut hasher: Sha256,
    from: u64,
    bell: &Receiver<()>,
) -> std::io::Result<Sha256> {
    let mut buffer = vec![0; READ_SIZE];
    let mut at = from;
    let mut open = true;
    while open {
        open = bell.recv().is_ok();
        let end = shared.written.load(Ordering::Acquire);
        while at < end && !shared.abandoned.load(Ordering::Acquire) {
            let wanted = usize::try_from(end - at).unwrap_or(READ_SIZE).min(READ_SIZE);
            match read_at(file, &mut buffer[..wanted], at)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => {
                    hasher.update(&buffer[..count]);
                    at += count as u64;
                }
            }
        }
    }
    Ok(hasher)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    match std::os::unix::fs::FileExt::read_at(file, buffer, at) {
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => read_at(file, buffer, at),
        result => result,
    }
}

#[cfg(not(unix))] // where reading moves the writer's place
fn read_at(_: &File, _: &mut [u8], _: u64) -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Hashes what a reader still gives, and says how many bytes that were.
pub(super) fn hash_into(hasher: &mut Sha256, reader: &mut dyn Read) -> std::io::Result<u64> {
    let update = |bytes: &[u8]| {
        hasher.update(bytes);
        Ok(())
    };
    copy(reader, |error| error, update)
}

/// Hands on what a reader still gives, in large pieces, and says how many
/// bytes that were.
pub(super) fn copy<E>(
    reader: &mut dyn Read,
    unreadable: impl Fn(std::io::Error) -> E,
    mut to: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut buffer = vec![0; READ_SIZE];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                to(&buffer[..count])?;
                total += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn the_hash_is_that_of_all_that_was_written_however_much_and_in_what_pieces() {
        let threshold = usize::try_from(FOLLOWED_FROM).unwrap();
        for size in [0, 1, threshold - 1, threshold, threshold + 1, 3 * threshold + 12_345] {
            let bytes = content(size);
            for piece in [999_983, 5 << 20] {
                let mut sink = Sink::new(tempfile::tempfile().unwrap());
                bytes.chunks(piece).for_each(|piece| sink.write_all(piece).unwrap());
                assert_eq!(sink.finish().unwrap(), Digest::of(&bytes), "{size} {piece}");
                assert_eq!(sink.written(), size as u64);
            }
        }
    }

    #[test]
    fn a_sink_that_began_again_has_forgotten() {
        let bytes = content(9 << 20);
        let mut sink = Sink::new(tempfile::tempfile().unwrap());
        sink.write_all(&bytes).unwrap();
        sink.restart().unwrap();
        sink.write_all(&bytes[1..]).unwrap();
        assert_eq!(sink.finish().unwrap(), Digest::of(&bytes[1..]));
        assert_eq!(sink.file().metadata().unwrap().len(), bytes.len() as u64 - 1);
    }

    #[test]
    fn what_was_written_before_belongs_to_the_hash() {
        let bytes = content(9 << 20);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes[..5 << 20]).unwrap();
        let mut sink = Sink::resume(file).unwrap();
        sink.write_all(&bytes[5 << 20..]).unwrap();
        assert_eq!(sink.finish().unwrap(), Digest::of(&bytes));
    }
}
