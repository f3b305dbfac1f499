//! What is answered: JSON for programs, a table for people.

use std::io::{Read, Write};

use samara_sdk::Error;
use serde_json::{Value, json};

use crate::Reading;
use crate::upload::Upload;
use crate::web::{Body, Gone};

/// The page with the form.
pub const FORM: &str = include_str!("form.html");

/// What stands before and behind the rows of a table.
const TABLE: &str = "<table><tr><th>image<th>digit<th>probability\n";
const TABLE_END: &str = "</table>\n";

/// The reading of a picture, as JSON.
pub fn reading(reading: &Reading) -> String {
    line(&told(reading))
}

/// An error, as JSON.
pub fn error(words: &str) -> String {
    line(&json!({ "error": words }))
}

/// How the readings of several pictures are written, one after another.
pub trait Form {
    /// What is told of a picture, or of the whole upload where it has no name.
    fn write(&mut self, name: Option<&str>, told: Result<&Reading, &str>) -> Result<(), Gone>;

    fn begin(&mut self) -> Result<(), Gone>;

    fn end(self) -> Result<(), Gone>;
}

/// Answers each file of an upload when it is there.
pub fn stream(
    upload: &mut Upload<impl Read>,
    mut form: impl Form,
    recognise: impl Fn(&[u8]) -> Result<Reading, Error>,
) -> Result<(), Gone> {
    form.begin()?;
    let mut is_empty = true;
    loop {
        match upload.next_file() {
            Ok(Some(file)) => {
                is_empty = false;
                let reading = recognise(&file.bytes);
                form.write(Some(&file.name), reading.as_ref().map_err(Error::message))?;
            }
            Ok(None) => break,
            Err(error) => {
                is_empty = false;
                form.write(None, Err(&error.to_string()))?;
                break;
            }
        }
    }
    if is_empty {
        form.write(None, Err("the form has no file: send one or more as `image`"))?;
    }
    form.end()
}

/// A line of JSON for each picture.
pub struct Lines(pub Body);

impl Form for Lines {
    fn begin(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    fn write(&mut self, name: Option<&str>, answer: Result<&Reading, &str>) -> Result<(), Gone> {
        let mut object = answer.map_or_else(|words| json!({ "error": words }), told);
        if let Some(name) = name {
            object["image"] = json!(name);
        }
        self.0.write_all(line(&object).as_bytes())?;
        Ok(self.0.flush()?)
    }

    fn end(self) -> Result<(), Gone> {
        self.0.end()
    }
}

/// A page with a row of a table for each picture.
pub struct Rows(pub Body);

impl Form for Rows {
    fn begin(&mut self) -> Result<(), Gone> {
        self.0.write_all([FORM, TABLE].concat().as_bytes())?;
        Ok(self.0.flush()?)
    }

    fn write(&mut self, name: Option<&str>, answer: Result<&Reading, &str>) -> Result<(), Gone> {
        let name = escaped(name.unwrap_or_default());
        let row = match answer {
            Ok(Reading { digit, probability }) => {
                format!("<tr><td>{name}<td>{digit}<td>{:.2} %\n", 100.0 * probability)
            }
            Err(words) => format!("<tr><td>{name}<td colspan=2>{}\n", escaped(words)),
        };
        self.0.write_all(row.as_bytes())?;
        Ok(self.0.flush()?)
    }

    fn end(mut self) -> Result<(), Gone> {
        self.0.write_all(TABLE_END.as_bytes())?;
        self.0.end()
    }
}

/// With four digits of the probability: more differ from one CPU to another.
fn told(reading: &Reading) -> Value {
    let probability = (f64::from(reading.probability) * 1e4).round() / 1e4;
    json!({ "digit": reading.digit, "probability": probability })
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
