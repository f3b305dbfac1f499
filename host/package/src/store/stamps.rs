//! Why a large blob need not be hashed each time it is opened.
//!
//! Beside a blob of which the whole content was hashed, `verified/<hex>` says
//! what its file was like then: size, times of the last change of content and
//! of anything, and inode. Whoever changes a byte changes the last of the
//! times, which no program can set. A file that is not exactly as its stamp
//! says is hashed anew.
//!
//! File systems tell time in ticks of some milliseconds, so a change within
//! the tick of the one before would not be seen. A file is stamped only when
//! the file system's own clock is past its last change.

use std::fs::{File, Metadata};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::{Store, files, sink};
use crate::digest::{Digest, Sha256};

/// Smaller blobs are hashed each time: that takes less than a millisecond.
pub(super) const STAMPED_FROM: u64 = 1 << 20;
const LONGEST_STAMP: u64 = 256;
/// A tick takes at most 10 ms on any Linux.
const WAITS: usize = 40;
const WAIT: Duration = Duration::from_millis(1);

/// What the file of a blob is like. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    inode: u64,
    modified: i128,
    changed: i128,
}

/// Whether this file was hashed, whole, since it was last changed.
pub(super) fn is_stamped(store: &Store, digest: &Digest, file: &File) -> bool {
    let stamp = file.metadata().ok().as_ref().and_then(Stamp::of);
    let kept = || files::read_bounded(&path(store, digest), LONGEST_STAMP).ok().flatten();
    stamp
        .filter(|stamp| stamp.size >= STAMPED_FROM)
        .is_some_and(|stamp| kept().is_some_and(|kept| kept == stamp.to_text().as_bytes()))
}

/// Hashes a blob from the beginning of its file, and stamps it where it is
/// what its digest says. A store that cannot be written to is read all the
/// same, if more slowly. (It is read, not mapped: a disk that fails is then an
/// error, and not the end of the process.)
pub(super) fn hash_and_stamp(store: &Store, digest: &Digest, file: &File) -> std::io::Result<Digest> {
    let large = file.metadata()?.len() >= STAMPED_FROM;
    let before = if large { settle(store, file) } else { None };
    let mut hasher = Sha256::default();
    sink::hash_into(&mut hasher, &mut &*file)?;
    let found = hasher.finish();
    if let Some((stamp, probe)) = before
        && found == *digest
        && Stamp::of(&file.metadata()?) == Some(stamp)
    {
        write(store, digest, stamp, probe);
    }
    Ok(found)
}

/// What a file is like that was written and hashed, before it gets its name.
pub(super) fn before_rename(file: &File) -> Option<Stamp> {
    file.metadata().ok().as_ref().and_then(Stamp::of).filter(|stamp| stamp.size >= STAMPED_FROM)
}

/// Stamps a file that just got its name.
pub(super) fn after_rename(store: &Store, digest: &Digest, file: &File, before: Option<Stamp>) {
    if let Some(before) = before
        && let Some((stamp, probe)) = settle(store, file)
        && (stamp.size, stamp.inode, stamp.modified) == (before.size, before.inode, before.modified)
    {
        write(store, digest, stamp, probe);
    }
}

pub(super) fn folder(store: &Store) -> PathBuf {
    store.root.join("verified")
}

pub(super) fn path(store: &Store, digest: &Digest) -> PathBuf {
    folder(store).join(digest.hex())
}

/// Waits until a later change of the file would show in its stamp. With it
/// comes the file by which the clock was read.
fn settle(store: &Store, file: &File) -> Option<(Stamp, tempfile::NamedTempFile)> {
    files::create_private(&store.ingest()).ok()?;
    let mut probe = tempfile::NamedTempFile::new_in(store.ingest()).ok()?;
    for _ in 0..WAITS {
        // Writing sets the time; the length says nothing.
        probe.write_all(b" ").ok()?;
        let clock = Stamp::of(&probe.as_file().metadata().ok()?)?.modified;
        let stamp = Stamp::of(&file.metadata().ok()?)?;
        if clock > stamp.changed {
            return Some((stamp, probe));
        }
        std::thread::sleep(WAIT);
    }
    None
}

/// A stamp that cannot be written, or is lost, costs a hash.
fn write(store: &Store, digest: &Digest, stamp: Stamp, probe: tempfile::NamedTempFile) {
    let written = || -> std::io::Result<()> {
        let mut probe = probe;
        probe.as_file().set_len(0)?;
        std::io::Seek::rewind(probe.as_file_mut())?;
        probe.write_all(stamp.to_text().as_bytes())?;
        files::create_private(&folder(store)).map_err(|_| std::io::ErrorKind::Other)?;
        probe.persist(path(store, digest))?;
        Ok(())
    };
    let _ = written();
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Some(Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    #[cfg(not(unix))] // where nothing tells of a change that was hidden
    fn of(_: &Metadata) -> Option<Self> {
        None
    }

    fn to_text(self) -> String {
        let Self { size, inode, modified, changed } = self;
        format!("size {size} inode {inode} modified {modified} changed {changed}\n")
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
    use std::path::Path;

    use super::*;
    use crate::store::Error;

    fn store() -> (tempfile::TempDir, Store, Digest) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        let bytes: Vec<u8> =
            (0..2_000_001_usize).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let digest = store.session().unwrap().put(&bytes).unwrap();
        (folder, store, digest)
    }

    fn is_stamped_now(store: &Store, digest: &Digest) -> bool {
        is_stamped(store, digest, &store.open_blob(digest).unwrap())
    }

    /// Changes one byte of a file that nobody may write to.
    fn alter(path: &Path, at: u64) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o444)).unwrap();
    }

    #[test]
    fn what_was_committed_is_stamped_and_sealed() {
        let (_folder, store, digest) = store();
        assert!(is_stamped_now(&store, &digest));
        let small = store.session().unwrap().put(b"small").unwrap();
        assert!(!path(&store, &small).exists());
        for digest in [digest, small] {
            assert_eq!(store.blob_path(&digest).metadata().unwrap().mode() & 0o777, 0o444);
        }
    }

    #[test]
    fn a_changed_byte_is_found_wherever_it_is_and_at_once() {
        for at in [0, 1, 4095, 4096, 1_000_000, 1_999_999, 2_000_000] {
            let (_folder, store, digest) = store();
            alter(&store.blob_path(&digest), at);
            assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })), "{at}");
            assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })), "{at}");
        }
    }

    #[test]
    fn setting_the_time_back_hides_nothing() {
        let (_folder, store, digest) = store();
        let path = store.blob_path(&digest);
        let modified = path.metadata().unwrap().modified().unwrap();
        alter(&path, 77);
        File::open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
        assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })));
    }

    #[test]
    fn another_file_in_its_place_is_found() {
        let (folder, store, digest) = store();
        let copy = folder.path().join("copy");
        std::fs::copy(store.blob_path(&digest), &copy).unwrap();
        alter(&copy, 5);
        std::fs::rename(&copy, store.blob_path(&digest)).unwrap();
        assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })));
    }

    #[test]
    fn a_small_change_of_a_small_blob_is_found() {
        let (_folder, store, _) = store();
        let digest = store.session().unwrap().put(b"small").unwrap();
        alter(&store.blob_path(&digest), 2);
        assert!(matches!(store.blob(&digest), Err(Error::WrongDigest { .. })));
    }

    #[test]
    fn a_lost_or_torn_stamp_costs_a_hash_and_comes_back() {
        let (_folder, store, digest) = store();
        for torn in [None, Some(""), Some("size 2000001 inode"), Some("x")] {
            std::fs::remove_file(path(&store, &digest)).unwrap();
            if let Some(text) = torn {
                std::fs::write(path(&store, &digest), text).unwrap();
            }
            assert!(!is_stamped_now(&store, &digest));
            assert_eq!(store.blob(&digest).unwrap().bytes.len(), 2_000_001);
            assert!(is_stamped_now(&store, &digest));
        }
    }

    #[test]
    fn a_stamp_of_one_blob_says_nothing_about_another() {
        let (_folder, store, digest) = store();
        let other = Digest::of(b"other");
        std::fs::copy(store.blob_path(&digest), store.blob_path(&other)).unwrap();
        std::fs::copy(path(&store, &digest), path(&store, &other)).unwrap();
        assert!(matches!(store.blob(&other), Err(Error::WrongDigest { .. })));
    }
}
