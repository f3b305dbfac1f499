//! How named tensors flow between stages, checked before anything runs.

use std::collections::BTreeMap;

use samara_nn::{ANY_SIZE, Signature, TensorSpec};

use crate::error::{Error, Result};

/// A stage as the plan sees it.
pub(crate) struct Face<'a> {
    pub(crate) name: &'a str,
    pub(crate) signature: &'a Signature,
    /// The stage's own tensor names to the pipeline's, where they differ.
    pub(crate) rename: &'a BTreeMap<String, String>,
}

/// The pipeline's names of one stage's inputs and outputs, in the order of the
/// stage's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wiring {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// Wires the stages: each takes its inputs by name from the outputs of earlier
/// ones, the latest first, or else from the pipeline's own inputs. The last
/// stage's outputs are the pipeline's.
///
/// # Errors
/// [`Error::Pipeline`] with the stage, for tensors that do not fit each other
/// and for a `rename` of nothing.
pub(crate) fn plan(function: &str, stages: &[Face<'_>]) -> Result<(Signature, Vec<Wiring>)> {
    let mut planner = Planner { function, inputs: Vec::new(), flowing: BTreeMap::new() };
    let wirings = stages.iter().map(|stage| planner.add(stage)).collect::<Result<Vec<_>>>()?;
    let (last, wiring) =
        stages.last().zip(wirings.last()).ok_or_else(|| Error::NoStages { function: function.to_owned() })?;
    let mut outputs = renamed(&last.signature.outputs, &wiring.outputs);
    for output in &mut outputs {
        if let Some((_, labelled)) = planner.flowing.get(&output.name) {
            output.labels.clone_from(&labelled.labels);
        }
    }
    Ok((Signature { inputs: planner.inputs, outputs }, wirings))
}

struct Planner<'a> {
    function: &'a str,
    inputs: Vec<TensorSpec>,
    /// What earlier stages put out, and which of them did.
    flowing: BTreeMap<String, (String, TensorSpec)>,
}

impl Planner<'_> {
    fn add(&mut self, stage: &Face<'_>) -> Result<Wiring> {
        check_renames(self.function, stage)?;
        let wiring = Wiring {
            inputs: stage.signature.inputs.iter().map(|spec| flow_name(stage, spec)).collect(),
            outputs: stage.signature.outputs.iter().map(|spec| flow_name(stage, spec)).collect(),
        };
        for spec in renamed(&stage.signature.inputs, &wiring.inputs) {
            self.connect(stage, spec)?;
        }
        let passed_on: Vec<TensorSpec> = wiring
            .inputs
            .iter()
            .filter_map(|name| self.flowing.get(name).map(|(_, spec)| spec.clone()))
            .collect();
        for mut spec in renamed(&stage.signature.outputs, &wiring.outputs) {
            // What a stage takes and gives under one name, it passes on.
            if let Some(input) = passed_on.iter().find(|input| input.name == spec.name) {
                spec.take_labels(input);
            }
            self.flowing.insert(spec.name.clone(), (stage.name.to_owned(), spec));
        }
        Ok(wiring)
    }

    fn connect(&mut self, stage: &Face<'_>, wanted: TensorSpec) -> Result<()> {
        if let Some((maker, made)) = self.flowing.get(&wanted.name) {
            if made.is_compatible_with(&wanted) {
                return Ok(());
            }
            let reason = format!("it takes `{wanted}`, but stage `{maker}` makes `{made}`");
            return Err(pipeline_error(self.function, stage, reason));
        }
        let Some(known) = self.inputs.iter_mut().find(|spec| spec.name == wanted.name) else {
            self.inputs.push(wanted);
            return Ok(());
        };
        if !known.is_compatible_with(&wanted) {
            let reason = format!("it takes the input `{wanted}`, which an earlier stage takes as `{known}`");
            return Err(pipeline_error(self.function, stage, reason));
        }
        narrow(known, &wanted);
        Ok(())
    }
}

/// Keeps the fixed size of each axis that either side fixes.
fn narrow(known: &mut TensorSpec, wanted: &TensorSpec) {
    for (known, wanted) in known.shape.iter_mut().zip(&wanted.shape) {
        if *known == ANY_SIZE {
            *known = *wanted;
        }
    }
}

fn flow_name(stage: &Face<'_>, spec: &TensorSpec) -> String {
    stage.rename.get(&spec.name).unwrap_or(&spec.name).clone()
}

fn renamed(specs: &[TensorSpec], names: &[String]) -> Vec<TensorSpec> {
    specs.iter().zip(names).map(|(spec, name)| TensorSpec { name: name.clone(), ..spec.clone() }).collect()
}

fn check_renames(function: &str, stage: &Face<'_>) -> Result<()> {
    let signature = stage.signature;
    for name in stage.rename.keys() {
        if signature.input(name).is_none() && signature.output(name).is_none() {
            let names: Vec<String> = signature
                .inputs
                .iter()
                .chain(&signature.outputs)
                .map(|spec| format!("`{}`", spec.name))
                .collect();
            let reason =
                format!("`rename` names `{name}`, which it does not have; it has {}", names.join(", "));
            return Err(pipeline_error(function, stage, reason));
        }
    }
    Ok(())
}

fn pipeline_error(function: &str, stage: &Face<'_>, reason: String) -> Error {
    Error::Pipeline { function: function.to_owned(), stage: stage.name.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use samara_nn::Datatype;

    use super::*;

    fn spec(name: &str, shape: &[i64]) -> TensorSpec {
        TensorSpec::new(name, Datatype::Fp32, shape)
    }

    fn signature(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Signature {
        Signature { inputs, outputs }
    }

    type Staged<'a> = (&'a str, Signature, &'a [(&'a str, &'a str)]);

    fn planned(stages: &[Staged<'_>]) -> Result<(Signature, Vec<Wiring>)> {
        let renames: Vec<BTreeMap<String, String>> = stages
            .iter()
            .map(|(_, _, rename)| rename.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
            .collect();
        let faces: Vec<Face<'_>> = stages
            .iter()
            .zip(&renames)
            .map(|((name, signature, _), rename)| Face { name, signature, rename })
            .collect();
        plan("p", &faces)
    }

    #[test]
    fn inputs_come_from_earlier_stages_or_from_the_caller() {
        let decode = signature(vec![spec("image", &[-1])], vec![spec("pixels", &[1, 8, 8])]);
        let model = signature(vec![spec("x", &[-1, 8, 8]), spec("bias", &[1])], vec![spec("y", &[-1, 10])]);
        let (signature, wiring) =
            planned(&[("decode", decode, &[]), ("model", model, &[("x", "pixels"), ("y", "classes")])])
                .unwrap();
        assert_eq!(signature.inputs, [spec("image", &[-1]), spec("bias", &[1])]);
        assert_eq!(signature.outputs, [spec("classes", &[-1, 10])]);
        assert_eq!(wiring[1].inputs, ["pixels", "bias"]);
    }

    #[test]
    fn labels_go_along_with_tensors_that_are_passed_on() {
        let labelled = |name: &str, labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            TensorSpec { labels, ..spec(name, &[-1, 2]) }
        };
        let model = || signature(vec![spec("x", &[1])], vec![labelled("y", &["no", "yes"])]);
        let last = |input: TensorSpec, output: TensorSpec| {
            let stages = [
                ("model", model(), &[("y", "p")][..]),
                ("last", signature(vec![input], vec![output]), &[][..]),
            ];
            planned(&stages).unwrap().0.outputs.remove(0).labels
        };
        let any = || spec("p", &[-1, -1]);
        assert_eq!(last(any(), spec("p", &[-1, 2])), ["no", "yes"]);
        assert_eq!(last(any(), any()), ["no", "yes"]);
        assert_eq!(last(any(), labelled("p", &["its", "own"])), ["its", "own"]);
        assert!(last(any(), spec("p", &[-1, 1])).is_empty(), "it is another tensor");
        assert!(last(any(), TensorSpec::new("p", Datatype::Fp64, [-1, 2])).is_empty());
        assert!(last(any(), spec("q", &[-1, 2])).is_empty());
        assert!(last(spec("z", &[1]), spec("p", &[-1, 2])).is_empty(), "it does not take it");
    }

    #[test]
    fn tensors_that_do_not_fit_are_told_with_both_stages() {
        let decode = signature(vec![spec("image", &[-1])], vec![spec("pixels", &[1, 28, 28])]);
        let model = signature(vec![spec("pixels", &[-1, 8, 8])], vec![spec("y", &[-1])]);
        let error = planned(&[("decode", decode, &[]), ("model", model, &[])]).unwrap_err().to_string();
        assert_eq!(
            error,
            "pipeline `p`, stage `model`: it takes `pixels FP32[-1,8,8]`, but stage `decode` makes `pixels FP32[1,28,28]`"
        );
    }

    #[test]
    fn a_shared_input_takes_the_narrower_shape_and_a_clash_is_told() {
        let a = || signature(vec![spec("x", &[-1, 4])], vec![spec("a", &[1])]);
        let b = signature(vec![spec("x", &[2, -1])], vec![spec("b", &[1])]);
        let (signature_ab, _) = planned(&[("a", a(), &[]), ("b", b, &[])]).unwrap();
        assert_eq!(signature_ab.inputs, [spec("x", &[2, 4])]);
        let c = signature(vec![spec("x", &[2, 5])], vec![spec("c", &[1])]);
        let error = planned(&[("a", a(), &[]), ("c", c, &[])]).unwrap_err().to_string();
        assert!(error.contains("which an earlier stage takes as `x FP32[-1,4]`"), "{error}");
    }

    #[test]
    fn a_rename_of_nothing_is_told() {
        let a = signature(vec![spec("x", &[1])], vec![spec("y", &[1])]);
        let error = planned(&[("a", a, &[("z", "w")])]).unwrap_err().to_string();
        assert!(error.contains("`rename` names `z`, which it does not have; it has `x`, `y`"), "{error}");
    }
}
