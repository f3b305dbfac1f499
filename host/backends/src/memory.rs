//! How much memory this process may use.

use std::path::Path;

/// The memory of the machine, or of the container where that has less. `None`
/// where the system does not say.
pub(crate) fn available() -> Option<u64> {
    let machine = machine();
    [container(), machine].into_iter().flatten().min()
}

fn machine() -> Option<u64> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = report.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The limit of the control group of this process, or of one around it.
fn container() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let group = root.join(group.trim_start_matches('/'));
    let around = group.ancestors().take_while(|path| path.starts_with(root));
    // `max`, which is no number, means that this group sets no limit.
    around.filter_map(|path| std::fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some() {
        assert!(super::available().unwrap() > 64 << 20);
    }
}
