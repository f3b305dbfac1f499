//! Rows: a point, and what came of it.

use samara_package::sweep::{Objective, Point};
use samara_package::{Sweep, tame};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::error::{Error, Result};
use super::point;

/// What came of one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub index: usize,
    pub parameters: Point,
    /// The values of the result by their names, or what went wrong.
    pub outcome: Result<Map<String, Value>, String>,
}

impl Row {
    pub(super) fn new(index: usize, parameters: Point, outcome: Result<Map<String, Value>, String>) -> Self {
        // What a guest says must not steer a terminal.
        let outcome = outcome.map_err(|error| tame(&without_hints(&error)));
        Self { index, parameters, outcome }
    }

    /// A row of `sweep` of which nothing is known but what went wrong.
    ///
    /// # Errors
    /// When the sweep has no such point.
    pub fn failed(sweep: &Sweep, index: usize, error: &str) -> Result<Self> {
        Ok(Self::new(index, point(sweep, index)?.clone(), Err(error.to_owned())))
    }

    /// Reads a row back; `None` where the value is none.
    ///
    /// # Errors
    /// When it is a row of another sweep than this.
    pub fn read(value: &Value, sweep: &Sweep) -> Result<Option<Self>> {
        let Some((index, parameters)) = value["index"].as_u64().zip(value["parameters"].as_object()) else {
            return Ok(None);
        };
        let outcome = match (&value["result"], &value["error"]) {
            (Value::Object(result), _) => Ok(result.clone()),
            (_, Value::String(error)) => Err(error.clone()),
            _ => return Ok(None),
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let point = point(sweep, index)?;
        if json!(point).as_object() != Some(parameters) {
            return Err(Error::OtherSweep { index });
        }
        Ok(Some(Self::new(index, point.clone(), outcome)))
    }

    /// It as JSON on one line.
    pub fn line(&self) -> String {
        json_text(self)
    }

    pub fn is_good(&self) -> bool {
        self.outcome.is_ok()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("index", &self.index)?;
        map.serialize_entry("parameters", &self.parameters)?;
        match &self.outcome {
            Ok(result) => map.serialize_entry("result", result)?,
            Err(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

/// The row that comes nearest to the objective; of equals, the first.
pub fn best<'r>(rows: impl IntoIterator<Item = &'r Row>, objective: &Objective) -> Option<&'r Row> {
    let mut best: Option<(f64, &Row)> = None;
    for row in rows {
        let Some(value) = objective_of(row, objective) else { continue };
        if best.is_none_or(|(so_far, _)| objective.goal.prefers(value, so_far)) {
            best = Some((value, row));
        }
    }
    best.map(|(_, row)| row)
}

/// What a row has for the objective; `None` where it has failed.
pub fn objective_of(row: &Row, objective: &Objective) -> Option<f64> {
    row.outcome.as_ref().ok()?.get(&objective.name)?.as_f64()
}

/// A result that has a number for the objective.
pub(super) fn checked(
    result: Map<String, Value>,
    objective: Option<&Objective>,
) -> Result<Map<String, Value>, String> {
    let Some(Objective { name, .. }) = objective else { return Ok(result) };
    match result.get(name) {
        Some(Value::Number(_)) => Ok(result),
        Some(other) => Err(format!("the objective `{name}` is {other}, which is no number")),
        None => Err(format!("the result has no `{name}`, which is the objective")),
    }
}

/// JSON text of what has only text for keys and only finite numbers.
pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn without_hints(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("hint: ")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use samara_package::sweep::Goal;

    use super::*;

    fn sweep() -> Sweep {
        let text = "function = \".\"\n[parameters]\nrate = [0.1, 1.0]\nkind = [\"a\", \"b\"]\n";
        Sweep::parse(text, Path::new("sweep.toml")).unwrap()
    }

    fn row(index: usize, outcome: Result<Value, &str>) -> Row {
        let outcome = outcome.map(|value| value.as_object().unwrap().clone()).map_err(str::to_owned);
        Row::new(index, sweep().points[index].clone(), outcome)
    }

    #[test]
    fn a_line_reads_back_as_the_row() {
        let good = row(2, Ok(json!({"loss": 0.25, "steps": 3})));
        assert_eq!(
            good.line(),
            r#"{"index":2,"parameters":{"rate":1.0,"kind":"a"},"result":{"loss":0.25,"steps":3}}"#
        );
        for row in [good, row(0, Err("it burned"))] {
            let value = serde_json::from_str(&row.line()).unwrap();
            assert_eq!(Row::read(&value, &sweep()).unwrap(), Some(row));
        }
    }

    #[test]
    fn what_is_no_row_or_of_another_sweep_is_told_apart() {
        for other in [json!(3), json!({"index": 0}), json!({"index": 0, "parameters": {}, "level": "INFO"})] {
            assert_eq!(Row::read(&other, &sweep()).unwrap(), None, "{other}");
        }
        let other = json!({"index": 0, "parameters": {"rate": 0.2, "kind": "a"}, "result": {}});
        assert!(matches!(Row::read(&other, &sweep()), Err(Error::OtherSweep { index: 0 })));
        let beyond = json!({"index": 9, "parameters": {}, "error": "x"});
        assert!(matches!(Row::read(&beyond, &sweep()), Err(Error::NoPoint { index: 9, count: 4 })));
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_one_that_failed() {
        let rows = [
            row(0, Err("no")),
            row(1, Ok(json!({"loss": 2}))),
            row(2, Ok(json!({"loss": 1.5}))),
            row(3, Ok(json!({"loss": 1.5}))),
        ];
        let of = |goal| {
            let objective = Objective { name: "loss".to_owned(), goal };
            best(&rows, &objective).map(|row| row.index)
        };
        assert_eq!((of(Goal::Min), of(Goal::Max)), (Some(2), Some(1)));
        assert_eq!(best(&rows[..1], &Objective { name: "loss".to_owned(), goal: Goal::Min }), None);
    }

    #[test]
    fn a_result_without_its_objective_is_a_failure() {
        let objective = Objective { name: "loss".to_owned(), goal: Goal::Min };
        let checked = |value: Value| checked(value.as_object().unwrap().clone(), Some(&objective));
        assert!(checked(json!({"loss": 0})).is_ok());
        assert_eq!(
            checked(json!({"los": 0})).unwrap_err(),
            "the result has no `loss`, which is the objective"
        );
        assert!(checked(json!({"loss": "NaN"})).unwrap_err().contains("which is no number"));
    }

    #[test]
    fn errors_are_one_line_that_steers_no_terminal() {
        let row = row(0, Err("first\n\u{1b}[31msecond\nhint: do that"));
        assert_eq!(row.outcome, Err("first \\u{1b}[31msecond".to_owned()));
    }
}
