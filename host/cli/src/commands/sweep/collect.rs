//! Rows out of the logs of pods.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_compose::sweep::Row;
use samara_package::Sweep;

/// How the line of a row begins.
const BEGIN: &str = "{\"index\":";

/// What stands for a row that no log has.
const NOWHERE: &str = "no log has this row";

/// A row for each point of the sweep. Of several rows of a point, as a pod that was
/// tried again leaves them, one with a result counts.
///
/// # Errors
/// When a log cannot be read, holds a row of another sweep, or none holds any row.
pub(super) fn rows(logs: &[PathBuf], sweep: &Sweep) -> Result<Vec<Row>> {
    let mut found: BTreeMap<usize, Row> = BTreeMap::new();
    for file in files(logs)? {
        let text = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let rows = read(&String::from_utf8_lossy(&text), sweep)
            .with_context(|| format!("cannot use the log `{}`", file.display()))?;
        for row in rows {
            let known = found.entry(row.index).or_insert_with(|| row.clone());
            if !known.is_good() {
                *known = row;
            }
        }
    }
    if found.is_empty() {
        bail!(
            "the logs have no row\nhint: a pod prints its row as a line of JSON, `{{\"index\":…}}`, on standard output"
        );
    }
    let row = |index| match found.remove(&index) {
        Some(row) => Ok(row),
        None => Ok(Row::failed(sweep, index, NOWHERE)?),
    };
    (0..sweep.points.len()).map(row).collect()
}

/// The rows of one log, whatever stands before them on their lines: the time, or
/// the pod's name.
fn read(log: &str, sweep: &Sweep) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in log.lines() {
        let Some(value) = line.find(BEGIN).and_then(|at| serde_json::from_str(&line[at..]).ok()) else {
            continue;
        };
        rows.extend(Row::read(&value, sweep)?);
    }
    Ok(rows)
}

/// The files themselves, and those in folders at any depth, in the order of their
/// names.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = entries(path).with_context(|| format!("cannot look into `{}`", path.display()))?;
            files.extend(self::files(&inside)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = folder.read_dir()?.map(|entry| {
        let entry = entry?;
        // A link could lead back here.
        Ok((!entry.file_type()?.is_symlink() || entry.path().is_file()).then(|| entry.path()))
    });
    let mut paths: Vec<PathBuf> =
        entries.collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten().collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Sweep {
        let text = "function = \".\"\n[parameters]\nx = [1, 2, 3]\n";
        Sweep::parse(text, Path::new("sweep.toml")).unwrap()
    }

    #[test]
    fn rows_are_found_behind_whatever_a_log_puts_before_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        let good = r#"{"index":0,"parameters":{"x":1},"result":{"loss":1}}"#;
        let bad = r#"{"index":0,"parameters":{"x":1},"error":"no"}"#;
        let log = format!(
            "{{\"level\":\"INFO\"}}\nplain {{words\n{bad}\n[pod/s-0-ab/s] {{}} {good}\n2026-01-01T00:00:00Z stdout F {bad}\n"
        );
        std::fs::write(folder.path().join("deep/0.log"), log).unwrap();
        let last = r#"{"index":2,"parameters":{"x":3},"error":"burned"}"#;
        std::fs::write(folder.path().join("2.log"), last).unwrap();
        let rows = rows(&[folder.path().to_owned()], &sweep()).unwrap();
        let errors: Vec<Option<&str>> =
            rows.iter().map(|row| row.outcome.as_ref().err().map(String::as_str)).collect();
        assert_eq!(errors, [None, Some(NOWHERE), Some("burned")]);
    }

    #[test]
    fn logs_of_another_sweep_and_without_rows_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "nothing\n").unwrap();
        let said = format!("{:#}", rows(std::slice::from_ref(&log), &sweep()).unwrap_err());
        assert!(said.starts_with("the logs have no row\nhint: "), "{said}");
        std::fs::write(&log, r#"{"index":0,"parameters":{"x":7},"result":{}}"#).unwrap();
        let said = format!("{:#}", rows(std::slice::from_ref(&log), &sweep()).unwrap_err());
        assert!(said.contains("is of another sweep"), "{said}");
        let none = rows(&[folder.path().join("none")], &sweep()).unwrap_err();
        assert!(none.to_string().starts_with("cannot read "), "{none}");
    }
}
