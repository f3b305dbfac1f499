//! Tensors from what a user gives: `--input` flags, files, standard input.

mod array;
mod file;
mod fit;
mod picture;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use samara_nn::{Datatype, NamedTensor, Signature, Tensor, TensorSpec};
use samara_protocol::json::{self, Request};

pub(crate) use file::{read_bytes, read_text};
use fit::Layout;

/// One `--input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputArg {
    name: Option<String>,
    value: InputValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum InputValue {
    Text(String),
    File(PathBuf),
    /// A whole request on standard input.
    Stdin,
}

impl FromStr for InputArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if is_name(name) => (Some(name.to_owned()), value),
            _ => (None, text),
        };
        let value = match (value.strip_prefix('@'), value) {
            (Some(""), _) => return Err("a file's name belongs after `@`".to_owned()),
            (Some(file), _) => InputValue::File(file.into()),
            (None, "-") if name.is_none() => InputValue::Stdin,
            (None, text) => InputValue::Text(text.to_owned()),
        };
        Ok(Self { name, value })
    }
}

/// The request that the flags make, or else standard input where that is no
/// terminal. `None`: nothing was given.
///
/// # Errors
/// The first input that cannot be read or does not fit the signature.
pub(crate) fn read(args: &[InputArg], signature: &Signature) -> Result<Option<Request>> {
    match args {
        [] if signature.inputs.is_empty() => Ok(None),
        [] => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() { Ok(None) } else { read_stdin() }
        }
        [InputArg { value: InputValue::Stdin, .. }] => match read_stdin()? {
            Some(request) => Ok(Some(request)),
            None => bail!("standard input is empty, but `--input -` asks for a request there"),
        },
        [InputArg { name: None, value: InputValue::File(path) }] => from_file(path, signature).map(Some),
        args => {
            let mut inputs = Vec::new();
            for arg in args {
                inputs.extend(read_one(arg, signature)?);
            }
            Ok(Some(Request { id: None, inputs, outputs: Vec::new() }))
        }
    }
}

/// A request from a file: the protocol's JSON, an archive with an array per
/// input, or what goes to the only input.
///
/// # Errors
/// When it cannot be read or does not fit.
pub(crate) fn from_file(path: &Path, signature: &Signature) -> Result<Request> {
    if file::extension(path) == "json" {
        let text = read_text(path)?;
        if text.trim_start().starts_with('{') {
            return json::parse_request(&text).with_context(|| format!("cannot use `{}`", path.display()));
        }
    }
    let arg = InputArg { name: None, value: InputValue::File(path.to_owned()) };
    Ok(Request { id: None, inputs: read_one(&arg, signature)?, outputs: Vec::new() })
}

fn read_stdin() -> Result<Option<Request>> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("cannot read a request from standard input")?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    json::parse_request(&text).map(Some).context("cannot use the request on standard input")
}

fn read_one(arg: &InputArg, signature: &Signature) -> Result<Vec<NamedTensor>> {
    match &arg.value {
        InputValue::Stdin => bail!("`--input -` is a whole request; give it alone"),
        InputValue::File(path) if arg.name.is_none() && file::extension(path) == "npz" => {
            let arrays = array::read_archive(path)?;
            arrays.into_iter().map(|(name, tensor)| fit_named(&name, tensor, signature)).collect()
        }
        InputValue::File(path) => {
            let spec = spec_for(arg, signature)?;
            let tensor = file::read(path, spec)
                .with_context(|| format!("cannot use `{}` for input `{}`", path.display(), spec.name))?;
            Ok(vec![(spec.name.clone(), tensor)])
        }
        InputValue::Text(text) => {
            let spec = spec_for(arg, signature)?;
            let tensor =
                from_text(text, spec).with_context(|| format!("cannot read input `{}`", spec.name))?;
            Ok(vec![(spec.name.clone(), tensor)])
        }
    }
}

fn fit_named(name: &str, tensor: Tensor, signature: &Signature) -> Result<NamedTensor> {
    let spec = known_input(name, signature)?;
    let tensor = array::fit(tensor, spec).with_context(|| format!("cannot use the array `{name}`"))?;
    Ok((spec.name.clone(), tensor))
}

/// The declaration of the input that an argument is for.
fn spec_for<'s>(arg: &InputArg, signature: &'s Signature) -> Result<&'s TensorSpec> {
    match (&arg.name, signature.inputs.as_slice()) {
        (Some(name), _) => known_input(name, signature),
        (None, [only]) => Ok(only),
        (None, []) => bail!("the function takes no inputs"),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|spec| format!("`{}`", spec.name)).collect();
            bail!(
                "the function has {} inputs, so each `--input` needs a name\nhint: write `--input NAME=VALUE`; the names are {}",
                several.len(),
                names.join(", ")
            )
        }
    }
}

fn known_input<'s>(name: &str, signature: &'s Signature) -> Result<&'s TensorSpec> {
    if let Some(spec) = signature.input(name) {
        return Ok(spec);
    }
    let names: Vec<String> = signature.inputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
    let nearest = signature
        .inputs
        .iter()
        .map(|spec| (strsim::jaro_winkler(name, &spec.name), spec.name.as_str()))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match (nearest, signature.inputs.as_slice()) {
        (Some((_, nearest)), _) => format!("\nhint: did you mean `{nearest}`?"),
        (None, [only]) => {
            format!("\nhint: a value that contains `=` needs its input's name: `--input {}=…`", only.name)
        }
        (None, _) => String::new(),
    };
    bail!("unknown input `{name}`; the signature has {}{hint}", names.join(", "))
}

/// A value as it stands on the command line or in a text file.
fn from_text(text: &str, spec: &TensorSpec) -> Result<Tensor> {
    let json = match spec.datatype {
        Datatype::Bytes if is_string_array(text) => text.to_owned(),
        Datatype::Bytes => {
            let one = Tensor::from_elements([1], [text])?;
            return fit::fit(one, &[], Layout::Flat, spec);
        }
        _ if text.trim_start().starts_with('[') => text.to_owned(),
        _ if text.contains(',') => format!("[{text}]"),
        _ => text.trim().to_owned(),
    };
    from_json(&json, spec)
}

fn from_json(json: &str, spec: &TensorSpec) -> Result<Tensor> {
    let values = json::parse_values(json, spec.datatype)?;
    let layout = if values.shape.len() <= 1 { Layout::Flat } else { Layout::Nested };
    fit::fit(values.tensor, &values.shape, layout, spec)
}

/// Whether a text is an array of strings, or was meant as one: an array that begins with
/// a string is told what is wrong with the rest of it.
fn is_string_array(text: &str) -> bool {
    let Some(inner) = text.trim_start().strip_prefix('[') else { return false };
    let first = inner.trim_start_matches(|char: char| char == '[' || char.is_whitespace());
    if first.starts_with('"') {
        return serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    }
    json::parse_values(text, Datatype::Bytes).is_ok()
}

/// Whether the part before `=` can be an input's name rather than the begin of
/// a value.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['@', '[', '{', '"']) && !text.contains([',', ' ', '\n'])
}

#[cfg(test)]
mod tests;
