//! The memory that this process may use: Linux's control groups, both versions.

use std::path::{Path, PathBuf};

/// Where control groups are seen.
const ROOT: &str = "/sys/fs/cgroup";

/// Numbers from here up are version 1's way to say that there is no limit.
const NO_LIMIT: u64 = 1 << 62;

/// What of a group's memory the system cannot take back by itself, as its
/// `memory.stat` names it: version 2, and version 1.
const KEPT: [&[&str]; 2] = [
    &["anon", "shmem", "slab_unreclaimable", "kernel_stack", "pagetables", "sock"],
    &["total_rss", "total_shmem"],
];

/// A control group that bounds this process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryGroup {
    limit: u64,
    statistics: PathBuf,
    kept: &'static [&'static str],
}

impl MemoryGroup {
    /// The group of this process; `None` where its memory is not bounded.
    pub fn of_this_process() -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::find(Path::new(ROOT), &groups)
    }

    /// Bytes that there may be.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes in use that the system cannot take back. Files that are mapped, as
    /// models are, do not count.
    pub fn used(&self) -> Option<u64> {
        let statistics = std::fs::read_to_string(&self.statistics).ok()?;
        let value = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            self.kept.contains(&name).then(|| value.trim().parse::<u64>().ok())?
        };
        Some(statistics.lines().filter_map(value).sum())
    }

    /// The first group with a limit, of those that this process is in as `groups`
    /// says, and those that it sees as the uppermost.
    fn find(root: &Path, groups: &str) -> Option<Self> {
        let own = |is_it: fn(&str) -> bool| {
            let line = groups
                .lines()
                .find_map(|line| line.split_once(':')?.1.split_once(':').filter(|(kind, _)| is_it(kind)));
            line.map(|(_, path)| path.trim_start_matches('/').to_owned())
        };
        let (second, first) = (own(str::is_empty), own(|kind| kind.split(',').any(|kind| kind == "memory")));
        let of = |version: usize, folder: PathBuf| {
            let file = ["memory.max", "memory.limit_in_bytes"][version];
            let limit = parse(&std::fs::read_to_string(folder.join(file)).ok()?)?;
            Some(Self { limit, statistics: folder.join("memory.stat"), kept: KEPT[version] })
        };
        let candidates = [
            second.map(|path| (0, root.join(path))),
            Some((0, root.to_owned())),
            first.map(|path| (1, root.join("memory").join(path))),
            Some((1, root.join("memory"))),
        ];
        candidates.into_iter().flatten().find_map(|(version, folder)| of(version, folder))
    }
}

fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn the_second_version_has_one_tree() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(MemoryGroup::find(root.path(), "0::/a/b\n"), None);
        write(root.path(), "a/b/memory.max", "134217728\n");
        write(root.path(), "a/b/memory.stat", "anon 4096\nfile 100000\nshmem 10\nslab_unreclaimable 6\n");
        let group = MemoryGroup::find(root.path(), "0::/a/b\n").unwrap();
        assert_eq!((group.limit(), group.used()), (128 << 20, Some(4112)));
    }

    #[test]
    fn the_first_version_has_a_tree_for_memory() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory/memory.limit_in_bytes", "67108864\n");
        write(root.path(), "memory/memory.stat", "cache 9\nrss 1\ntotal_rss 5000\ntotal_shmem 8\n");
        // A container sees its own group as the uppermost.
        let groups = "12:cpu,cpuacct:/x\n9:memory:/kubepods/pod1/c1\n0::/x\n";
        let group = MemoryGroup::find(root.path(), groups).unwrap();
        assert_eq!((group.limit(), group.used()), (64 << 20, Some(5008)));
    }

    #[test]
    fn no_limit_is_written_in_two_ways() {
        assert_eq!(parse("134217728\n"), Some(128 << 20));
        assert_eq!(parse("max\n"), None);
        assert_eq!(parse("9223372036854771712\n"), None);
    }
}
