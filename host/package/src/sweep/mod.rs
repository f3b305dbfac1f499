//! Sweep files: a function that is run over many values of its parameters, and
//! which of the runs is the best.
//!
//! A file is read into all its points at once: the number of a point is its
//! index, on every machine.

mod axis;
mod draw;
mod sections;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::manifest::Error;

/// The file name of a sweep.
pub const FILE_NAME: &str = "sweep.toml";

/// The points that one sweep may have.
pub const MOST_POINTS: usize = 10_000;

/// The parameters that one sweep may have.
pub const MOST_PARAMETERS: usize = 100;

/// A sweep as its author describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What is run: a path from the sweep's folder, or an image.
    pub function: String,
    /// What makes one run better than another, if anything.
    pub objective: Option<Objective>,
    /// How a command is told its parameters.
    pub pass: Pass,
    /// A command's arguments before its parameters.
    pub arguments: Vec<String>,
    /// The file in which a command leaves its result, as it sees it. `None`: the
    /// last JSON object on its standard output.
    pub result: Option<String>,
    /// What a function gets beside its parameters: a file in the sweep's folder.
    pub inputs: Option<PathBuf>,
    /// How long one run may take.
    pub timeout: Option<Duration>,
    /// The names of the parameters, in the order of the file.
    pub parameters: Vec<String>,
    /// Never empty.
    pub points: Vec<Point>,
}

/// What is looked for among the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// Of a result.
    pub name: String,
    pub goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Max,
    Min,
}

/// How a command is told its parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pass {
    /// `--name=value`.
    #[default]
    Arguments,
    /// Variables, in capitals, with `_` for what is neither letter nor digit.
    Environment,
    Both,
}

/// One value for each parameter, in the order of [`Sweep::parameters`].
#[derive(Debug, Clone, PartialEq)]
pub struct Point(pub Vec<(Arc<str>, Value)>);

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    /// Finite.
    Float(f64),
    Boolean(bool),
    Text(Arc<str>),
}

impl Sweep {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`parse`](Self::parse).
    pub fn load(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }

    /// Parses the text of a sweep file; `path` is where messages say it is.
    ///
    /// # Errors
    /// The first problem in the file, with its line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        sections::parse(text, path)
    }
}

impl Goal {
    /// Whether `a` is nearer to what is looked for than `b`.
    pub fn prefers(self, a: f64, b: f64) -> bool {
        match self {
            Goal::Max => a > b,
            Goal::Min => a < b,
        }
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Goal::Max => "max",
            Goal::Min => "min",
        }
    }
}

impl Serialize for Point {
    /// An object, its keys in order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Integer(integer) => serializer.serialize_i64(*integer),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl fmt::Display for Value {
    /// As a command is told it: a float has a point or an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(integer) => write!(f, "{integer}"),
            Value::Float(float) => write!(f, "{float:?}"),
            Value::Boolean(boolean) => write!(f, "{boolean}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// The variable that a command finds a parameter in.
pub fn variable(parameter: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    parameter.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
