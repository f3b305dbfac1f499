//! The values of one parameter: listed, or a range.

use std::collections::HashSet;
use std::sync::Arc;

use super::draw::Draw;
use super::{MOST_POINTS, Value};
use crate::manifest::reader::{Entry, Scalar, Section};
use crate::manifest::{Error, Problem};

/// A range that is drawn from has no other end than its numbers' own.
const MANY: u64 = u64::MAX;

type Result<T> = std::result::Result<T, Error>;

/// The values of one parameter.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) name: Arc<str>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// Each once; never empty.
    Listed(Vec<Value>),
    /// Any value between two.
    Between { from: Number, to: Number, scale: Scale },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

/// A number that stays what it is written as.
#[derive(Debug, Clone, Copy)]
enum Number {
    Integer(i64),
    Float(f64),
}

impl Axis {
    /// The values that an entry of `[parameters]` gives a parameter: one, a list,
    /// or a range.
    pub(super) fn read(entry: &Entry<'_>) -> Result<Self> {
        let values = if entry.is_array() {
            listed(entry)?
        } else if entry.is_table() {
            range(entry)?
        } else {
            Values::Listed(vec![value(entry)?])
        };
        Ok(Self { name: entry.key.as_str().into(), values })
    }

    /// Every value; `None` for a range that can only be drawn from.
    pub(super) fn listed(&self) -> Option<&[Value]> {
        match &self.values {
            Values::Listed(values) => Some(values),
            Values::Between { .. } => None,
        }
    }

    /// How many different values there are.
    pub(super) fn size(&self) -> u64 {
        match &self.values {
            Values::Listed(values) => values.len() as u64,
            Values::Between { from: Number::Integer(from), to: Number::Integer(to), .. } => {
                to.abs_diff(*from).saturating_add(1)
            }
            Values::Between { .. } => MANY,
        }
    }

    /// One of the values, each as likely as the others.
    pub(super) fn draw(&self, draw: &mut Draw) -> Value {
        match &self.values {
            Values::Listed(values) => values[draw.below(values.len())].clone(),
            Values::Between { from, to, scale } => between(*from, *to, *scale, draw.unit()),
        }
    }
}

/// A value alone.
pub(super) fn value(entry: &Entry<'_>) -> Result<Value> {
    Ok(match entry.scalar()? {
        Scalar::Integer(integer) => Value::Integer(integer),
        Scalar::Float(float) => Value::Float(float),
        Scalar::Boolean(boolean) => Value::Boolean(boolean),
        Scalar::Text(text) if text.contains('\0') => return Err(entry.bad("it must not have a NUL in it")),
        Scalar::Text(text) => Value::Text(text.into()),
    })
}

fn listed(entry: &Entry<'_>) -> Result<Values> {
    let (mut values, mut seen) = (Vec::new(), HashSet::new());
    for item in entry.items()? {
        let value = value(&item)?;
        if !seen.insert(format!("{value:?}")) {
            return Err(item.bad("it is in the list already"));
        }
        values.push(value);
        check_count(entry, values.len() as u64)?;
    }
    if values.is_empty() {
        return Err(entry.bad("it needs a value at least"));
    }
    Ok(Values::Listed(values))
}

fn range(entry: &Entry<'_>) -> Result<Values> {
    let section = entry.section(&format!("the range `{}`", entry.key))?;
    section.check_keys(&["from", "to", "count", "step", "scale"])?;
    let (low, high) = (section.need("from", "its first value")?, section.need("to", "its last value")?);
    let (from, to) = (number(&low)?, number(&high)?);
    if from.float() >= to.float() {
        return Err(high.bad("a range goes up: `to` must be above `from`"));
    }
    let scale = scale(&section)?;
    if scale == Scale::Log && from.float() <= 0.0 {
        return Err(low.bad("on a logarithmic scale all values are above 0"));
    }
    match (section.get("count"), section.get("step")) {
        (Some(_), Some(step)) => {
            let reason = "a range has either `count` or `step`".to_owned();
            Err(step.error(Problem::Conflict { reason }))
        }
        (Some(count), None) => counted(&count, from, to, scale),
        (None, Some(step)) => stepped(&step, from, to, scale),
        (None, None) => Ok(Values::Between { from, to, scale }),
    }
}

fn scale(section: &Section<'_>) -> Result<Scale> {
    let Some(entry) = section.get("scale") else { return Ok(Scale::Linear) };
    entry.parsed(|text| match text {
        "linear" => Ok(Scale::Linear),
        "log" => Ok(Scale::Log),
        _ => Err("a scale is `linear` or `log`".to_owned()),
    })
}

/// So many values, both ends among them.
fn counted(entry: &Entry<'_>, from: Number, to: Number, scale: Scale) -> Result<Values> {
    let count = entry.count()?;
    check_count(entry, count)?;
    if count < 2 {
        return Err(entry.bad("a range has two values at least; one value is written without a range"));
    }
    let last = (count - 1) as f64;
    let values: Vec<Value> = (0..count).map(|index| between(from, to, scale, index as f64 / last)).collect();
    if values.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(entry.bad("there are not so many integers between `from` and `to`"));
    }
    Ok(Values::Listed(values))
}

/// From the first value on, in steps, as far as the last.
fn stepped(entry: &Entry<'_>, from: Number, to: Number, scale: Scale) -> Result<Values> {
    let step = number(entry)?;
    if scale == Scale::Log {
        let reason = "a logarithmic scale has a `count`, not a `step`".to_owned();
        return Err(entry.error(Problem::Conflict { reason }));
    }
    if step.float() <= 0.0 {
        return Err(entry.bad("a step is above 0"));
    }
    // A last value that misses the end by a rounding is the end.
    let steps = ((to.float() - from.float()) / step.float() + 1e-9).floor();
    check_count(entry, if steps < MANY as f64 { steps as u64 + 1 } else { MANY })?;
    let at = |index: u64| match (from, step) {
        (Number::Integer(from), Number::Integer(step)) => {
            Value::Integer(from.saturating_add(step.saturating_mul(index as i64)))
        }
        _ => Value::Float(rounded(from.float() + step.float() * index as f64)),
    };
    Ok(Values::Listed((0..=steps as u64).map(at).collect()))
}

fn check_count(entry: &Entry<'_>, count: u64) -> Result<()> {
    if count > MOST_POINTS as u64 {
        return Err(entry.bad(format!("a sweep has at most {MOST_POINTS} points")));
    }
    Ok(())
}

fn number(entry: &Entry<'_>) -> Result<Number> {
    match entry.scalar()? {
        Scalar::Integer(integer) => Ok(Number::Integer(integer)),
        Scalar::Float(float) => Ok(Number::Float(float)),
        _ => Err(entry.wrong_type("a number")),
    }
}

/// The value at a share of the way from one end to the other. It is an integer
/// where both ends are.
fn between(from: Number, to: Number, scale: Scale, share: f64) -> Value {
    let (low, high) = (from.float(), to.float());
    let float = match (scale, share) {
        (_, 0.0) => low,
        (_, 1.0) => high,
        (Scale::Linear, share) => low * (1.0 - share) + high * share,
        (Scale::Log, share) => low * (high / low).powf(share),
    };
    match (from, to) {
        (Number::Integer(from), Number::Integer(to)) => {
            Value::Integer((float.round() as i64).clamp(from, to))
        }
        _ => Value::Float(rounded(float)),
    }
}

/// To twelve digits: what a rounding adds behind them is nobody's wish, and not
/// the same on all machines.
fn rounded(float: f64) -> f64 {
    format!("{float:.11e}").parse().unwrap_or(float)
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Float(float) => float,
        }
    }
}
