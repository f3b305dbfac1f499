//! What the operating system knows about this process. Linux only: elsewhere
//! these metrics are left out.

use std::fs;

/// What Linux counts processor time in, for programs; the same on every
/// architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) threads: f64,
    /// Since 1970.
    pub(crate) start_seconds: f64,
    pub(crate) open_files: f64,
    pub(crate) most_files: f64,
}

impl Process {
    /// Reads `/proc`; `None` where there is none.
    pub(crate) fn now() -> Option<Self> {
        let read = |path: &str| fs::read_to_string(path).ok();
        let stat = Stat::parse(&read("/proc/self/stat")?)?;
        let booted = field(&read("/proc/stat")?, "btime")?;
        let most_files = read("/proc/self/limits")?;
        #[expect(clippy::cast_precision_loss, reason = "a number of files")]
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as f64;
        Some(Self {
            resident_bytes: field(&read("/proc/self/status")?, "VmRSS:")? * 1024.0,
            cpu_seconds: stat.cpu_ticks / TICKS_PER_SECOND,
            threads: stat.threads,
            start_seconds: booted + stat.start_ticks / TICKS_PER_SECOND,
            open_files,
            most_files: field(&most_files, "Max open files").unwrap_or(f64::INFINITY),
        })
    }
}

/// The line of `/proc/self/stat`, see proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name of the program, field 2, may hold spaces and brackets.
        let (_, rest) = line.rsplit_once(')')?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, threads: field(20)?, start_ticks: field(22)? })
    }
}

/// The number after a word that begins a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_look_like_the_rest_of_the_line() {
        let line = "7 (a) 1 (b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 1000 50 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat, Stat { cpu_ticks: 300.0, threads: 3.0, start_ticks: 12345.0 });
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_lives() {
        let process = Process::now().unwrap();
        assert!(process.resident_bytes > 1e5 && process.threads >= 1.0 && process.open_files >= 3.0);
        assert!(process.start_seconds > 1.6e9);
    }
}
