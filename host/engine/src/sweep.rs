//! Takes away from the folders of compiled code what nobody uses any more.

use std::fs::{File, FileTimes, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Before the names of files that are being written.
pub(crate) const WRITING: &str = ".writing-";

/// Whoever wrote for so long was killed.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);

/// Code that was not asked for in so long is removed: it can be compiled again.
const LONGEST_REST: Duration = Duration::from_secs(30 * 24 * 3600);

/// How exact the note of the last use is.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Notes that this file was used just now.
pub(crate) fn note_use(file: &Path) {
    let is_old = |metadata: &Metadata| age(metadata).is_some_and(|age| age > NOTED_EVERY);
    if file.metadata().is_ok_and(|metadata| is_old(&metadata)) {
        // Without the right to do so, it is compiled once more some day.
        let _ = File::open(file)
            .and_then(|file| file.set_times(FileTimes::new().set_modified(SystemTime::now())));
    }
}

/// Sweeps the folders below `root`, one for each compiler and its settings. What
/// is mapped stays mapped.
pub(crate) fn sweep(root: &Path) {
    for folder in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let is_young =
            folder.metadata().is_ok_and(|folder| age(&folder).is_none_or(|age| age < LONGEST_WRITE));
        for entry in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let most = match entry.file_name().to_string_lossy().starts_with(WRITING) {
                true => LONGEST_WRITE,
                false => LONGEST_REST,
            };
            if entry.metadata().is_ok_and(|metadata| age(&metadata).is_some_and(|age| age > most)) {
                // Another process may have swept it first.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        // It goes only where it is empty, and nobody is about to write there.
        if !is_young {
            let _ = std::fs::remove_dir(folder.path());
        }
    }
}

fn age(metadata: &Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(metadata.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, age: Duration) -> std::path::PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        let file = File::create(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).unwrap();
        path
    }

    #[test]
    fn what_rests_long_goes_and_what_is_used_stays() {
        let root = tempfile::tempdir().unwrap();
        let [now, before] = ["now", "before"].map(|name| root.path().join(name));
        let month = LONGEST_REST + NOTED_EVERY;
        let old = file(&now, "old.cwasm", month);
        let used = file(&now, "used.cwasm", month);
        let young = file(&now, "young.cwasm", Duration::ZERO);
        let torn = file(&now, ".writing-1", LONGEST_WRITE * 2);
        let writing = file(&now, ".writing-2", Duration::ZERO);
        file(&before, "other.cwasm", month);
        let empty = File::open(&before).unwrap();
        empty.set_times(FileTimes::new().set_modified(SystemTime::now() - month)).unwrap();
        note_use(&used);
        sweep(root.path());
        assert!(!old.exists() && !torn.exists() && !before.exists());
        assert!(used.exists() && young.exists() && writing.exists());
        sweep(&root.path().join("none"));
    }
}
