//! A model that a flag gives, and where it runs.

use std::path::PathBuf;

use super::PlaceArgs;

/// A value of `--model`. What it does not say of a place, the other flags do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelArg {
    pub name: String,
    pub path: PathBuf,
    pub target: Option<samara_nn::Target>,
    pub backend: Option<String>,
}

impl ModelArg {
    /// Where this model runs, `place` being where others do.
    pub(crate) fn place(&self, place: &PlaceArgs) -> PlaceArgs {
        PlaceArgs {
            target: self.target.or(place.target),
            backend: self.backend.clone().or_else(|| place.backend.clone()),
            ..place.clone()
        }
    }
}

/// Reads `NAME=FILE[,target=..][,backend=..]`. A file's own name may have commas:
/// only what stands behind it and is one of the two is taken off.
pub(crate) fn parse_model(text: &str) -> Result<ModelArg, String> {
    const FORM: &str = "write `NAME=FILE`, e.g. `digits=digits.onnx` or `digits=digits.onnx,target=gpu`";
    let (name, mut file) = text.split_once('=').ok_or(FORM)?;
    let (mut target, mut backend) = (None, None);
    while let Some((before, last)) = file.rsplit_once(',') {
        if let Some(value) = last.strip_prefix("target=") {
            let place = value.parse().map_err(|error| format!("{error}"))?;
            if target.replace(place).is_some() {
                return Err("`target` is given twice".to_owned());
            }
        } else if let Some(value) = last.strip_prefix("backend=") {
            if value.is_empty() || backend.replace(value.to_owned()).is_some() {
                return Err("`backend` is empty or given twice".to_owned());
            }
        } else {
            break;
        }
        file = before;
    }
    if name.is_empty() || file.is_empty() {
        return Err(FORM.to_owned());
    }
    Ok(ModelArg { name: name.to_owned(), path: file.into(), target, backend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_say_where_it_runs() {
        let plain = ModelArg { name: "m".to_owned(), path: "a,b=c.onnx".into(), target: None, backend: None };
        assert_eq!(parse_model("m=a,b=c.onnx"), Ok(plain.clone()));
        let placed = ModelArg {
            target: Some(samara_nn::Target::Gpu(Some(1))),
            backend: Some("wgpu".to_owned()),
            ..plain
        };
        assert_eq!(parse_model("m=a,b=c.onnx,target=gpu:1,backend=wgpu"), Ok(placed.clone()));
        let elsewhere = PlaceArgs { backend: Some("tract".to_owned()), ..PlaceArgs::default() };
        assert_eq!(placed.place(&elsewhere).backend.as_deref(), Some("wgpu"));
        let unplaced = ModelArg { backend: None, ..placed };
        assert_eq!(unplaced.place(&elsewhere).backend.as_deref(), Some("tract"));
        for wrong in
            ["m", "m=", "=f", "m=,target=cpu", "m=f,target=moon", "m=f,backend=", "m=f,target=cpu,target=cpu"]
        {
            assert!(parse_model(wrong).is_err(), "{wrong}");
        }
    }
}
