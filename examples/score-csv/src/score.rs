//! Rows in, rows with answers out.

use std::fmt;
use std::io::{self, Read, Write};

use csv::{ErrorKind, StringRecord};
use samara_sdk::{Model, Tensor};

/// What the model was trained on, in the order it expects, as columns.
const FEATURES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// What the model tells apart, in the order of its probabilities.
const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Rows that one run of the model scores.
const BATCH: usize = 256;

/// Why scoring stopped.
#[derive(Debug)]
pub enum Error {
    Source(SourceError),
    Model(samara_sdk::Error),
    Write(io::Error),
}

/// What is wrong with the CSV file.
#[derive(Debug)]
pub enum SourceError {
    MissingColumn { column: &'static str, found: Vec<String> },
    NotANumber { line: u64, column: &'static str, cell: String },
    CellCount { line: u64, found: u64, expected: u64 },
    Csv(csv::Error),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingColumn { column, found } => {
                let (needed, found) = (FEATURES.join("`, `"), found.join("`, `"));
                write!(f, "line 1: there is no column `{column}`; needed are `{needed}`, found `{found}`")
            }
            Self::NotANumber { line, column, cell } => {
                write!(
                    f,
                    "line {line}: `{cell}` in column `{column}` is not a finite number; write it as 5.1"
                )
            }
            Self::CellCount { line, found, expected } => {
                write!(f, "line {line}: the row has {found} cells, but the header has {expected}")
            }
            Self::Csv(error) => error.fmt(f),
        }
    }
}

/// The rows of a CSV file that has the columns of [`FEATURES`], among others and in any order.
pub struct Rows<R> {
    reader: csv::Reader<R>,
    header: StringRecord,
    columns: [usize; FEATURES.len()],
}

impl<R: Read> Rows<R> {
    /// Reads the header.
    pub fn new(source: R) -> Result<Self, SourceError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers().map_err(SourceError::from)?.clone();
        let mut columns = [0; FEATURES.len()];
        for (index, column) in columns.iter_mut().zip(FEATURES) {
            let found = header.iter().position(|name| name == column);
            *index = found.ok_or_else(|| SourceError::MissingColumn {
                column,
                found: header.iter().map(str::to_owned).collect(),
            })?;
        }
        Ok(Self { reader, header, columns })
    }

    /// Returns the next rows, [`BATCH`] at most, and their features one after the other.
    fn batch(&mut self) -> Result<(Vec<StringRecord>, Vec<f32>), SourceError> {
        let mut records = Vec::with_capacity(BATCH);
        let mut features = Vec::with_capacity(BATCH * FEATURES.len());
        for record in self.reader.records().take(BATCH) {
            let record = record?;
            for (&index, column) in self.columns.iter().zip(FEATURES) {
                features.push(number(&record, index, column)?);
            }
            records.push(record);
        }
        Ok((records, features))
    }
}

fn number(record: &StringRecord, index: usize, column: &'static str) -> Result<f32, SourceError> {
    let cell = record.get(index).unwrap_or_default();
    cell.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| SourceError::NotANumber {
        line: record.position().map_or(0, csv::Position::line),
        column,
        cell: cell.to_owned(),
    })
}

/// Writes every row with its species and the probability of that; returns how many there are.
pub fn score(mut rows: Rows<impl Read>, target: impl Write, model: &Model) -> Result<usize, Error> {
    let mut writer = csv::Writer::from_writer(target);
    let mut header = rows.header.clone();
    header.extend(["species", "probability"]);
    writer.write_record(&header)?;
    let mut count = 0;
    loop {
        let (records, features) = rows.batch()?;
        if records.is_empty() {
            break;
        }
        count += records.len();
        let features = Tensor::from_vec([records.len(), FEATURES.len()], features)?;
        let probabilities: Tensor = model.run([("features", features)])?.take("probabilities")?;
        let probabilities = probabilities.as_slice::<f32>()?.chunks_exact(SPECIES.len());
        for (mut record, probabilities) in records.into_iter().zip(probabilities) {
            let (species, probability) = most_probable(probabilities);
            record.push_field(species);
            record.push_field(&format!("{probability:.3}"));
            writer.write_record(&record)?;
        }
    }
    writer.flush().map_err(Error::Write)?;
    Ok(count)
}

fn most_probable(probabilities: &[f32]) -> (&'static str, f32) {
    let answers = SPECIES.into_iter().zip(probabilities.iter().copied());
    answers.max_by(|(_, left), (_, right)| left.total_cmp(right)).unwrap_or_default()
}

impl From<csv::Error> for SourceError {
    fn from(error: csv::Error) -> Self {
        match error.kind() {
            ErrorKind::UnequalLengths { pos, expected_len, len } => Self::CellCount {
                line: pos.as_ref().map_or(0, csv::Position::line),
                found: *len,
                expected: *expected_len,
            },
            _ => Self::Csv(error),
        }
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<samara_sdk::Error> for Error {
    fn from(error: samara_sdk::Error) -> Self {
        Self::Model(error)
    }
}

/// Of the writer.
impl From<csv::Error> for Error {
    fn from(error: csv::Error) -> Self {
        Self::Write(error.into())
    }
}

#[cfg(test)]
mod tests {
    use samara_sdk::Tensors;
    use samara_sdk::testing::with_model;

    use super::*;

    const HEADER: &str = "id,petal_width,petal_length,sepal_width,sepal_length";

    /// Scores with a model that is sure of the species whose number the petal's length is.
    fn scored(text: &str) -> Result<(usize, String), Error> {
        let stand_in = |mut inputs: Tensors| {
            let features: Tensor = inputs.take("features")?;
            let rows = features.as_slice::<f32>()?.chunks_exact(FEATURES.len());
            let probabilities =
                rows.flat_map(|row| [0.0, 1.0, 2.0].map(|species| f32::from(species == row[2])));
            let shape = [features.shape()[0], SPECIES.len()];
            Tensors::new().with("probabilities", Tensor::from_vec(shape, probabilities.collect())?)
        };
        with_model("iris", stand_in, || {
            let mut target = Vec::new();
            let count = score(Rows::new(text.as_bytes())?, &mut target, &samara_sdk::model("iris")?)?;
            Ok((count, String::from_utf8(target).unwrap()))
        })
    }

    fn refusal(text: &str) -> String {
        match scored(text) {
            Err(Error::Source(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_are_found_by_name_and_kept() {
        let (count, text) = scored(&format!("{HEADER}\na, 9, 1, 8, 7\n\"b,c\",9,2,8,7\n")).unwrap();
        assert_eq!(count, 2);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{HEADER},species,probability"));
        assert_eq!(lines[1], "a,9,1,8,7,versicolor,1.000");
        assert_eq!(lines[2], "\"b,c\",9,2,8,7,virginica,1.000");
    }

    #[test]
    fn more_rows_than_a_batch_keep_their_order() {
        let rows: String = (0..BATCH * 2 + 3).map(|row| format!("{row},9,{},8,7\n", row % 3)).collect();
        let (count, text) = scored(&format!("{HEADER}\n{rows}")).unwrap();
        assert_eq!(count, BATCH * 2 + 3);
        for (row, line) in text.lines().skip(1).enumerate() {
            assert_eq!(line, format!("{row},9,{},8,7,{},1.000", row % 3, SPECIES[row % 3]));
        }
    }

    #[test]
    fn a_header_alone_is_no_mistake() {
        assert_eq!(scored(HEADER).unwrap(), (0, format!("{HEADER},species,probability\n")));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(
            refusal("a,b\n1,2\n"),
            "line 1: there is no column `sepal_length`; needed are `sepal_length`, `sepal_width`, \
             `petal_length`, `petal_width`, found `a`, `b`"
        );
        assert_eq!(
            refusal(&format!("{HEADER}\na,9,1,8,7\nb,9,much,8,7\n")),
            "line 3: `much` in column `petal_length` is not a finite number; write it as 5.1"
        );
        assert!(refusal(&format!("{HEADER}\na,9,inf,8,7\n")).starts_with("line 2: `inf`"));
        assert_eq!(
            refusal(&format!("{HEADER}\na,9,1,8\n")),
            "line 2: the row has 4 cells, but the header has 5"
        );
    }
}
