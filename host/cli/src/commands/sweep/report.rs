//! The rows of a sweep as a table for people, as CSV and as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_compose::sweep::{Row, best};
use samara_package::{Sweep, tame};
use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::error::Usage;
use crate::files::write_whole;
use crate::input::read_text;
use crate::output::count_text;
use crate::printer::Printer;

/// What a sweep has come to.
pub(super) struct Report<'a> {
    pub(super) sweep: &'a Sweep,
    /// By their indices; after an interrupt, some are not there.
    pub(super) rows: &'a [Row],
    pub(super) interrupted: bool,
}

/// A report for programs.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<&'a str>,
    best: Option<&'a Row>,
    failed: usize,
    rows: &'a [Row],
}

/// A file for the rows.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    format: Format,
}

impl Table {
    /// The form of a file is what its ending says.
    ///
    /// # Errors
    /// When it says none.
    pub(super) fn at(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let format = match extension {
            "csv" => Format::Csv,
            "json" => Format::Json,
            _ => {
                let usage = format!("`--out {}`: name a `.csv` or a `.json`", path.display());
                return Err(Usage(usage).into());
            }
        };
        Ok(Self { path: path.to_owned(), format })
    }

    /// The rows that an earlier run has written; none where there is no file yet.
    ///
    /// # Errors
    /// When it is no file of this sweep's rows.
    pub(super) fn read_back(&self, sweep: &Sweep) -> Result<Vec<Row>> {
        if self.format != Format::Json {
            let usage = "`--resume` reads rows back from JSON\nhint: name a `.json` with `--out`";
            return Err(Usage(usage.to_owned()).into());
        }
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let failed = || format!("cannot go on from `{}`", self.path.display());
        let value: Value = serde_json::from_str(&read_text(&self.path)?).with_context(failed)?;
        let rows = value["rows"].as_array().context("it has no `rows`").with_context(failed)?;
        let rows = rows.iter().map(|row| Row::read(row, sweep)).collect::<Result<Vec<_>, _>>();
        Ok(rows.with_context(failed)?.into_iter().flatten().collect())
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, report: &Report<'_>) -> Result<()> {
        let text = report.text(self.format)?;
        write_whole(&self.path, |file| Ok(file.write_all(text.as_bytes())?))?;
        Ok(())
    }
}

impl Report<'_> {
    /// The rows in one of the three forms.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub(super) fn text(&self, format: Format) -> Result<String> {
        match format {
            Format::Text => Ok(self.table()),
            Format::Csv => Ok(self.csv()),
            Format::Json => {
                let mut text = serde_json::to_string_pretty(&self.document())?;
                text.push('\n');
                Ok(text)
            }
        }
    }

    /// Says on standard error which row is the best, and what failed.
    pub(super) fn tell(&self, printer: &Printer) {
        if let (Some(row), Some(objective)) = (self.best(), &self.sweep.objective) {
            let value = cell(row, &objective.name);
            let words: Vec<String> = row
                .parameters
                .0
                .iter()
                .map(|(name, value)| format!("{name}={}", tame(&value.to_string())))
                .collect();
            printer.step(
                "Best",
                format_args!("row {}: {} {value} with {}", row.index, objective.name, words.join(" ")),
            );
        }
        let failed = self.failed();
        if failed > 0 {
            printer.warn(format_args!(
                "{failed} of {} have no result",
                count_text(self.rows.len() as u64, "row")
            ));
        }
        if self.interrupted {
            let missing = self.sweep.points.len() - self.rows.len();
            printer.warn(format_args!(
                "interrupted: {} did not run to their end",
                count_text(missing as u64, "row")
            ));
        }
    }

    fn best(&self) -> Option<&Row> {
        best(self.rows, self.sweep.objective.as_ref()?)
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_good()).count()
    }

    fn document(&self) -> Document<'_> {
        let objective = self.sweep.objective.as_ref();
        Document {
            objective: objective.map(|objective| objective.name.as_str()),
            goal: objective.map(|objective| objective.goal.name()),
            best: self.best(),
            failed: self.failed(),
            rows: self.rows,
        }
    }

    fn csv(&self) -> String {
        let mut text = String::new();
        for line in self.cells(true) {
            let cells: Vec<String> = line.iter().map(|cell| quoted(cell)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    fn table(&self) -> String {
        let lines = self.cells(self.failed() > 0);
        let columns = lines.first().map_or(0, Vec::len);
        let widest = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut text = String::new();
        for line in &lines {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", tame(cell)));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// A line of names, then one for each row.
    fn cells(&self, with_errors: bool) -> Vec<Vec<String>> {
        let results = self.results();
        // A result may be called as a parameter is.
        let named = |name: &&str| match self.sweep.parameters.iter().any(|parameter| parameter == name) {
            true => format!("result.{name}"),
            false => (*name).to_owned(),
        };
        let mut head = vec!["index".to_owned()];
        head.extend(self.sweep.parameters.iter().cloned());
        head.extend(results.iter().map(named));
        head.extend(with_errors.then(|| "error".to_owned()));
        let line = |row: &Row| {
            let mut line = vec![row.index.to_string()];
            line.extend(row.parameters.0.iter().map(|(_, value)| value.to_string()));
            line.extend(results.iter().map(|name| cell(row, name)));
            line.extend(with_errors.then(|| row.outcome.as_ref().err().cloned().unwrap_or_default()));
            line
        };
        std::iter::once(head).chain(self.rows.iter().map(line)).collect()
    }

    /// The names of the results: the objective, then the others as they come.
    fn results(&self) -> Vec<&str> {
        let results =
            self.rows.iter().filter_map(|row| row.outcome.as_ref().ok()).flat_map(|result| result.keys());
        let mut names: Vec<&str> =
            self.sweep.objective.iter().map(|objective| objective.name.as_str()).collect();
        for name in results {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

/// A value of a result; nothing where the row has none.
fn cell(row: &Row, name: &str) -> String {
    match row.outcome.as_ref().ok().and_then(|result| result.get(name)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// A cell of CSV: in quotes where it would be read as something else without.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(rows: &[Row]) -> (Sweep, Vec<Row>) {
        (sweep(), rows.to_vec())
    }

    fn sweep() -> Sweep {
        let text = "function = \".\"\nobjective = \"loss\"\ngoal = \"min\"\n[parameters]\nrate = [0.5, 1]\nkind = \"a,b\"\n";
        Sweep::parse(text, Path::new("sweep.toml")).unwrap()
    }

    fn rows() -> Vec<Row> {
        let lines = [
            r#"{"index":0,"parameters":{"rate":0.5,"kind":"a,b"},"result":{"kind":"x","loss":0.25,"many":[1,2]}}"#,
            r#"{"index":1,"parameters":{"rate":1,"kind":"a,b"},"error":"exit code 1: it \"burned\""}"#,
        ];
        let read = |line| Row::read(&serde_json::from_str(line).unwrap(), &sweep()).unwrap().unwrap();
        lines.into_iter().map(read).collect()
    }

    #[test]
    fn csv_has_a_column_for_everything() {
        let (sweep, rows) = report(&rows());
        let report = Report { sweep: &sweep, rows: &rows, interrupted: false };
        assert_eq!(
            report.text(Format::Csv).unwrap(),
            "index,rate,kind,loss,result.kind,many,error\n\
             0,0.5,\"a,b\",0.25,x,\"[1,2]\",\n\
             1,1,\"a,b\",,,,\"exit code 1: it \"\"burned\"\"\"\n"
        );
    }

    #[test]
    fn the_table_has_errors_only_where_there_are_some() {
        let (sweep, rows) = report(&rows());
        let table = |rows| Report { sweep: &sweep, rows, interrupted: false }.text(Format::Text).unwrap();
        assert_eq!(
            table(&rows[..1]),
            "index  rate  kind  loss  result.kind  many\n0      0.5   a,b   0.25  x            [1,2]\n"
        );
        assert!(table(&rows).ends_with("exit code 1: it \"burned\"\n"), "{}", table(&rows));
    }

    #[test]
    fn json_names_the_best_and_can_be_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::at(&folder.path().join("rows.json")).unwrap();
        let (sweep, rows) = report(&rows());
        assert_eq!(table.read_back(&sweep).unwrap(), []);
        table.write(&Report { sweep: &sweep, rows: &rows, interrupted: false }).unwrap();
        assert_eq!(table.read_back(&sweep).unwrap(), rows);
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&table.path).unwrap()).unwrap();
        assert_eq!(
            (&value["best"]["index"], &value["failed"], &value["goal"]),
            (&json!(0), &json!(1), &json!("min"))
        );
        std::fs::write(&table.path, "[]").unwrap();
        assert!(format!("{:#}", table.read_back(&sweep).unwrap_err()).contains("it has no `rows`"));
        assert!(Table::at(Path::new("rows.txt")).unwrap_err().is::<Usage>());
        assert!(Table::at(Path::new("rows.csv")).unwrap().read_back(&sweep).unwrap_err().is::<Usage>());
    }
}
