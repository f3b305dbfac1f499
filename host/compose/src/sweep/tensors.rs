//! One point as a call of a function of tensors: parameters are inputs of one
//! element, and the outputs of one element are the result.

use samara_nn::{Datatype, NamedTensor, Signature, Tensor, TensorSpec};
use samara_package::Sweep;
use samara_package::sweep::{self, Point};
use samara_protocol::json::{Output, parse_values};
use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::row::json_text;

/// The inputs of all calls.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The same in each.
    given: Vec<NamedTensor>,
    /// What each parameter is declared as.
    parameters: Vec<TensorSpec>,
}

impl Inputs {
    /// Checks every point against what the function takes. A parameter takes the
    /// place of an input that is given.
    pub(super) fn new(
        function: &str,
        signature: &Signature,
        sweep: &Sweep,
        mut given: Vec<NamedTensor>,
    ) -> Result<Self> {
        let names = |specs: &[TensorSpec]| specs.iter().map(|spec| spec.name.clone()).collect();
        let declared = |parameter: &String| {
            signature.input(parameter).cloned().ok_or_else(|| Error::NoInput {
                parameter: parameter.clone(),
                function: function.to_owned(),
                inputs: names(&signature.inputs),
            })
        };
        let parameters = sweep.parameters.iter().map(declared).collect::<Result<Vec<_>>>()?;
        given.retain(|(name, _)| !sweep.parameters.contains(name));
        let has =
            |name: &String| sweep.parameters.contains(name) || given.iter().any(|(given, _)| given == name);
        if let Some(spec) = signature.inputs.iter().find(|spec| !has(&spec.name)) {
            return Err(Error::NoValue { input: spec.name.clone() });
        }
        if let Some(objective) = &sweep.objective
            && signature.output(&objective.name).is_none()
        {
            return Err(Error::NoOutput {
                name: objective.name.clone(),
                function: function.to_owned(),
                outputs: names(&signature.outputs),
            });
        }
        let inputs = Self { given, parameters };
        inputs.check(sweep)?;
        Ok(inputs)
    }

    /// The inputs of the call for a point.
    pub(super) fn of(&self, point: &Point) -> Result<Vec<NamedTensor>, String> {
        let mut inputs = self.given.clone();
        for ((name, value), spec) in point.0.iter().zip(&self.parameters) {
            inputs.push((name.to_string(), tensor(value, spec)?));
        }
        Ok(inputs)
    }

    fn check(&self, sweep: &Sweep) -> Result<()> {
        for (index, point) in sweep.points.iter().enumerate() {
            for ((name, value), spec) in point.0.iter().zip(&self.parameters) {
                tensor(value, spec).map_err(|reason| Error::Value {
                    index,
                    parameter: name.to_string(),
                    value: json_text(value),
                    reason,
                })?;
            }
        }
        Ok(())
    }
}

/// A value as the one element of an input.
fn tensor(value: &sweep::Value, spec: &TensorSpec) -> Result<Tensor, String> {
    let shape = vec![1; spec.shape.len()];
    if !spec.accepts_shape(&shape) {
        return Err(format!("the input {spec} takes more than one value"));
    }
    let values = parse_values(&json_text(value), spec.datatype)
        .map_err(|_| format!("it is no value for the input {spec}"))?;
    values.tensor.reshaped(shape).map_err(|error| error.to_string())
}

/// The outputs of one element, by their names.
pub(super) fn result(outputs: &[NamedTensor]) -> Result<Map<String, Value>, String> {
    let single = outputs.iter().filter(|(_, tensor)| tensor.len() == 1);
    let result: Map<String, Value> =
        single.filter_map(|(name, tensor)| Some((name.clone(), element(name, tensor)?))).collect();
    match result.is_empty() {
        true => Err("none of its outputs is one value".to_owned()),
        false => Ok(result),
    }
}

/// The only element of a tensor. Text goes the way over JSON, so that FP32 has no
/// more digits than it holds.
fn element(name: &str, tensor: &Tensor) -> Option<Value> {
    if tensor.datatype() == Datatype::Bytes {
        let text = String::from_utf8_lossy(tensor.byte_strings().ok()?.first()?).into_owned();
        return Some(Value::String(text));
    }
    let written: Value = serde_json::from_str(&json_text(&Output { name, tensor })).ok()?;
    written["data"].get(0).cloned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![
                TensorSpec::new("x", Datatype::Fp32, [-1, 2]),
                TensorSpec::new("rate", Datatype::Fp32, []),
                TensorSpec::new("steps", Datatype::Int64, [-1]),
                TensorSpec::new("kind", Datatype::Bytes, [1]),
            ],
            outputs: vec![TensorSpec::new("loss", Datatype::Fp32, [1])],
        }
    }

    fn inputs(text: &str) -> Result<(Inputs, Sweep)> {
        let sweep = Sweep::parse(&format!("function = \".\"\n{text}"), Path::new("sweep.toml")).unwrap();
        let given = vec![
            ("x".to_owned(), Tensor::from_vec([1, 2], vec![1f32, 2.0]).unwrap()),
            ("steps".to_owned(), Tensor::from_vec([1], vec![7i64]).unwrap()),
        ];
        Ok((Inputs::new("f", &signature(), &sweep, given)?, sweep))
    }

    fn refusal(text: &str) -> String {
        inputs(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn parameters_become_tensors_of_the_declared_kind() {
        let (inputs, sweep) = inputs("[parameters]\nrate = 1\nsteps = [3]\nkind = \"a\"\n").unwrap();
        let call = inputs.of(&sweep.points[0]).unwrap();
        let find = |name: &str| &call.iter().find(|(input, _)| input == name).unwrap().1;
        assert_eq!(call.len(), 4, "the given `steps` makes room for the parameter");
        assert_eq!((find("rate").shape(), find("rate").elements::<f32>().unwrap()[0]), (&[][..], 1.0));
        assert_eq!((find("steps").shape(), find("steps").elements::<i64>().unwrap()[0]), (&[1][..], 3));
        assert_eq!(find("kind").byte_strings().unwrap(), [b"a"]);
    }

    #[test]
    fn what_the_function_does_not_take_is_told_before_anything_runs() {
        assert_eq!(
            refusal("[parameters]\nrat = 1\n"),
            "the parameter `rat` is no input of `f`; its inputs are `x`, `rate`, `steps`, `kind`"
        );
        let rest = "kind = \"a\"\n";
        assert!(
            refusal(&format!("[parameters]\n{rest}")).starts_with("the input `rate` has no value\nhint: ")
        );
        assert_eq!(
            refusal(&format!("[parameters]\nrate = [1, \"b\"]\n{rest}")),
            "point 1: `rate = \"b\"`: it is no value for the input rate FP32[]"
        );
        assert!(refusal(&format!("[parameters]\nrate = 1\nsteps = 0.5\n{rest}")).contains("steps INT64[-1]"));
        assert!(
            refusal(&format!("[parameters]\nrate = 1\nx = 1\n{rest}")).contains("takes more than one value")
        );
        let other = refusal(&format!("objective = \"los\"\ngoal = \"min\"\n[parameters]\nrate = 1\n{rest}"));
        assert_eq!(other, "the objective `los` is no output of `f`; its outputs are `loss`");
    }

    #[test]
    fn outputs_of_one_element_are_the_result() {
        let outputs = [
            ("loss".to_owned(), Tensor::from_vec([1, 1], vec![0.1f32]).unwrap()),
            ("all".to_owned(), Tensor::from_vec([2], vec![1i64, 2]).unwrap()),
            ("bad".to_owned(), Tensor::from_vec([], vec![f64::NAN]).unwrap()),
            ("name".to_owned(), Tensor::from_elements([1], ["best"]).unwrap()),
        ];
        let said = json_text(&result(&outputs).unwrap());
        assert_eq!(said, r#"{"bad":"NaN","loss":0.1,"name":"best"}"#);
        assert!(result(&outputs[1..2]).unwrap_err().contains("none of its outputs"));
    }
}
