//! Reads typed values out of a TOML document and remembers where each stood:
//! for the manifest, and for the other files of this crate that people write.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Error, Place, Problem};

/// Names closer than this (1 is equal) are offered as corrections.
const SIMILAR: f64 = 0.7;

/// The text of a manifest, to turn spans into lines and columns.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) path: &'a Path,
}

/// One table of the document.
pub(crate) struct Section<'a> {
    source: Source<'a>,
    /// How messages call it, e.g. "`[limits]`".
    name: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
}

/// A value with the key it belongs to.
pub(crate) struct Entry<'a> {
    source: Source<'a>,
    pub(crate) key: String,
    value: &'a DeValue<'a>,
    span: Range<usize>,
}

/// A value that is neither an array nor a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    /// Finite.
    Float(f64),
    Boolean(bool),
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Source<'a> {
    /// The document that the text is.
    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(self.text).map_err(|error| {
            let message = error.message().to_owned();
            self.error(error.span().unwrap_or(0..0), Problem::Syntax { message })
        })
    }

    pub(crate) fn error(&self, span: Range<usize>, problem: Problem) -> Error {
        Error::Invalid { place: self.place(&span), problem: Box::new(problem) }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl<'a> Section<'a> {
    /// The whole document, called `name` in messages.
    pub(crate) fn root(source: Source<'a>, document: &'a Spanned<DeTable<'a>>, name: &str) -> Self {
        Self { source, name: name.to_owned(), table: document.get_ref(), span: 0..0 }
    }

    /// Refuses keys that are not in `known`.
    pub(crate) fn check_keys(&self, known: &[&str]) -> Result<()> {
        let mut keys: Vec<&Spanned<DeString<'_>>> = self.table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        let Some(key) = keys.into_iter().find(|key| !known.contains(&key.get_ref().as_ref())) else {
            return Ok(());
        };
        let name = key.get_ref().as_ref();
        let problem = Problem::UnknownKey {
            key: name.to_owned(),
            section: self.name.clone(),
            nearest: nearest(name, known).map(str::to_owned),
            known: known.iter().map(|&key| key.to_owned()).collect(),
        };
        Err(self.source.error(key.span(), problem))
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.table.get(key)?;
        Some(Entry { source: self.source, key: key.to_owned(), value: value.get_ref(), span: value.span() })
    }

    /// The entry of a key that must be there; `what` explains it.
    pub(crate) fn need(&self, key: &'static str, what: &'static str) -> Result<Entry<'a>> {
        self.get(key).ok_or_else(|| self.error(Problem::Missing { section: self.name.clone(), key, what }))
    }

    /// A sub-table, called `name` in messages.
    pub(crate) fn section(&self, key: &str, name: &str) -> Result<Option<Section<'a>>> {
        self.get(key).map(|entry| entry.section(name)).transpose()
    }

    /// The tables of an array such as `[[stage]]`, called `name` in messages.
    pub(crate) fn sections(&self, key: &str, name: &str) -> Result<Vec<Section<'a>>> {
        match self.get(key) {
            Some(entry) => entry.items()?.into_iter().map(|item| item.section(name)).collect(),
            None => Ok(Vec::new()),
        }
    }

    /// Every entry, by key, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                source: self.source,
                key: key.get_ref().to_string(),
                value: value.get_ref(),
                span: value.span(),
            })
            .collect();
        entries.sort_by_key(|entry| entry.span.start);
        entries
    }

    pub(crate) fn error(&self, problem: Problem) -> Error {
        self.source.error(self.span.clone(), problem)
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn string(&self) -> Result<&'a str> {
        match self.value {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// A string that is not empty.
    pub(crate) fn text(&self) -> Result<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            return Err(self.bad("it must not be empty"));
        }
        Ok(text)
    }

    pub(crate) fn bool(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("`true` or `false`"))
    }

    /// An integer of at least 1.
    pub(crate) fn count(&self) -> Result<u64> {
        let count = match self.value.as_integer() {
            Some(integer) => u64::from_str_radix(integer.as_str(), integer.radix()),
            None => return Err(self.wrong_type("an integer")),
        };
        match count {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.bad("it must be at least 1 and fit into 64 bits")),
        }
    }

    /// [`count`](Self::count) for sizes of this machine.
    pub(crate) fn small_count(&self) -> Result<usize> {
        let count = self.count()?;
        u32::try_from(count)
            .ok()
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| self.bad("it must be below 4294967296"))
    }

    /// A float, or an integer as one; finite and not negative.
    pub(crate) fn number(&self) -> Result<f64> {
        let text = match self.value {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(self.wrong_type("a number")),
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            _ => Err(self.bad("it must be a finite number, 0 or above")),
        }
    }

    /// An integer, 0 or above.
    pub(crate) fn whole(&self) -> Result<u64> {
        let integer = self.value.as_integer().ok_or_else(|| self.wrong_type("an integer"))?;
        u64::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| self.bad("it must be 0 or above and fit into 64 bits"))
    }

    /// A value alone.
    pub(crate) fn scalar(&self) -> Result<Scalar<'a>> {
        match self.value {
            DeValue::String(text) => Ok(Scalar::Text(text.as_ref())),
            DeValue::Boolean(value) => Ok(Scalar::Boolean(*value)),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Scalar::Integer)
                .map_err(|_| self.bad("it must fit into 64 bits")),
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) if float.is_finite() => Ok(Scalar::Float(float)),
                _ => Err(self.bad("it must be a finite number")),
            },
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                Err(self.wrong_type("a number, a string, `true` or `false`"))
            }
        }
    }

    pub(crate) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// A string that `parse` turns into a value; its error is the reason.
    pub(crate) fn parsed<T>(
        &self,
        parse: impl FnOnce(&'a str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        parse(self.string()?).map_err(|reason| self.bad(reason))
    }

    /// The elements of an array.
    pub(crate) fn items(&self) -> Result<Vec<Entry<'a>>> {
        let DeValue::Array(array) = self.value else {
            return Err(self.wrong_type("an array"));
        };
        let item = |value: &'a Spanned<DeValue<'a>>| Entry {
            source: self.source,
            key: self.key.clone(),
            value: value.get_ref(),
            span: value.span(),
        };
        Ok(array.iter().map(item).collect())
    }

    pub(crate) fn section(&self, name: &str) -> Result<Section<'a>> {
        match self.value {
            DeValue::Table(table) => {
                Ok(Section { source: self.source, name: name.to_owned(), table, span: self.span.clone() })
            }
            _ => Err(self.wrong_type("a table")),
        }
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> Error {
        let value = self.source.text.get(self.span.clone()).unwrap_or_default().to_owned();
        self.error(Problem::BadValue { key: self.key.clone(), value, reason: reason.into() })
    }

    pub(crate) fn error(&self, problem: Problem) -> Error {
        self.source.error(self.span.clone(), problem)
    }

    /// Where the value stands.
    pub(crate) fn place(&self) -> Place {
        self.source.place(&self.span)
    }

    pub(crate) fn wrong_type(&self, expected: &'static str) -> Error {
        let found = match self.value {
            DeValue::String(text) => format!("the string \"{text}\""),
            DeValue::Integer(integer) => format!("the integer {}", integer.as_str()),
            DeValue::Float(float) => format!("the float {}", float.as_str()),
            DeValue::Boolean(value) => format!("`{value}`"),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.error(Problem::WrongType { key: self.key.clone(), expected, found })
    }
}

/// The known name that `name` was most likely meant to be.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|&candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
