//! What is sent over and over, and what must come back.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use samara_nn::{ANY_SIZE, NamedTensor, Signature};
use samara_package::manifest::DEFAULT_TOLERANCE;
use samara_protocol::json::{Request, parse_request, parse_tensors};

use super::{codec, generate};
use crate::args::BenchArgs;
use crate::compare;
use crate::error::Usage;
use crate::input;
use crate::printer::Printer;
use crate::what::What;

/// The request of a bench.
#[derive(Debug)]
pub(super) struct Work {
    pub request: Request,
    /// The user's own JSON, which is sent as it is.
    pub text: Option<Bytes>,
    /// `input`, `request`, `test` or `generated`.
    pub source: &'static str,
    pub rows: usize,
    pub expected: Option<Arc<Expected>>,
}

/// The outputs that every answer must have.
#[derive(Debug)]
pub(super) struct Expected {
    outputs: Vec<NamedTensor>,
    tolerance: f64,
    /// The last body that was read and found right: equal bytes are right too.
    right: OnceLock<Bytes>,
}

impl Work {
    /// Takes the request from the flags, else from the function's first test,
    /// else makes one up.
    ///
    /// # Errors
    /// When it cannot be read, does not fit, or nothing tells what it must
    /// look like.
    pub(super) fn choose(
        args: &BenchArgs,
        signature: Option<&Signature>,
        what: Option<&What>,
        printer: &Printer,
    ) -> Result<Self> {
        let expected = match &args.expect {
            Some(path) => Some(Expected::read(path, args.tolerance.unwrap_or(DEFAULT_TOLERANCE))?),
            None => None,
        };
        if let Some(path) = &args.request {
            let text = input::read_text(path)?;
            let request = parse_request(&text).with_context(|| format!("cannot use `{}`", path.display()))?;
            return Ok(Self::new("request", request, Some(text.into()), signature, expected));
        }
        let Some(signature) = signature else {
            bail!(
                "without its metadata, nothing tells what to send\nhint: give a request with `--request FILE`"
            );
        };
        if !args.inputs.is_empty() {
            let request = input::read(&args.inputs, signature)?.unwrap_or(Request {
                id: None,
                inputs: Vec::new(),
                outputs: Vec::new(),
            });
            return Ok(Self::new("input", request, None, Some(signature), expected));
        }
        if args.rows.is_none()
            && let Some(what) = what
            && let Some(test) = what.tests().first()
        {
            printer.note(format_args!(
                "no input is given, so this is the test `{}` of `samara.toml`",
                test.name
            ));
            let request = input::from_file(&what.test_file(&test.inputs)?, signature)
                .with_context(|| format!("cannot use the input of the test `{}`", test.name))?;
            let expected = match expected {
                Some(expected) => Some(expected),
                None => Some(Expected::read(&what.test_file(&test.expect)?, test.tolerance)?),
            };
            return Ok(Self::new("test", request, None, Some(signature), expected));
        }
        let rows = usize::try_from(args.rows.unwrap_or(1))?;
        if args.rows.is_some_and(|rows| rows > 1) && !signature.inputs.iter().any(has_rows) {
            let usage =
                format!("no input has a free first axis, so `--rows {rows}` changes nothing: {signature}");
            return Err(Usage(usage).into());
        }
        let inputs = generate::inputs(signature, rows)?;
        if !inputs.is_empty() {
            printer.note("no input is given, so its values are made up from the signature");
        }
        let request = Request { id: None, inputs, outputs: Vec::new() };
        Ok(Self::new("generated", request, None, Some(signature), expected))
    }

    fn new(
        source: &'static str,
        request: Request,
        text: Option<Bytes>,
        signature: Option<&Signature>,
        expected: Option<Expected>,
    ) -> Self {
        let rows = rows(&request, signature);
        Self { request, text, source, rows, expected: expected.map(Arc::new) }
    }

    /// The body that goes to a server.
    ///
    /// # Errors
    /// When a tensor cannot be written.
    pub(super) fn body(&self, binary: bool) -> Result<codec::Body> {
        match (&self.text, binary) {
            (_, true) => Ok(codec::to_binary(&self.request)),
            (Some(text), false) => Ok(codec::Body { bytes: text.clone(), json_length: None }),
            (None, false) => codec::to_json(&self.request),
        }
    }

    /// Checks the answer to the first request, before anything is measured.
    ///
    /// # Errors
    /// The first difference from what is expected.
    pub(super) fn check_first(&self, outputs: &[NamedTensor]) -> Result<()> {
        match self.expected.as_ref().and_then(|expected| expected.difference(outputs)) {
            Some(difference) => bail!("the first answer is not the one that is expected: {difference}"),
            None => Ok(()),
        }
    }
}

impl Expected {
    fn read(path: &Path, tolerance: f64) -> Result<Self> {
        let outputs = parse_tensors(&input::read_text(path)?)
            .with_context(|| format!("cannot use `{}`", path.display()))?;
        Ok(Self { outputs, tolerance, right: OnceLock::new() })
    }

    pub(super) fn difference(&self, found: &[NamedTensor]) -> Option<String> {
        compare::difference(&self.outputs, found, self.tolerance)
    }

    /// Whether an answer is right; it is only read where its bytes are new.
    pub(super) fn is_met_by(&self, read: impl FnOnce() -> Result<Vec<NamedTensor>>, body: &Bytes) -> bool {
        if self.right.get() == Some(body) {
            return true;
        }
        let is_right = read().is_ok_and(|outputs| self.difference(&outputs).is_none());
        if is_right {
            // One is enough: servers that write the same answer write the same bytes.
            let _ = self.right.set(body.clone());
        }
        is_right
    }
}

/// How many rows a request has: the size of the first input's first axis where
/// that is free, or where nobody says.
fn rows(request: &Request, signature: Option<&Signature>) -> usize {
    let Some((name, tensor)) = request.inputs.first() else { return 1 };
    match signature.and_then(|signature| signature.input(name)) {
        Some(spec) if !has_rows(spec) => 1,
        _ => tensor.shape().first().copied().unwrap_or(1).max(1),
    }
}

fn has_rows(spec: &samara_nn::TensorSpec) -> bool {
    spec.shape.first() == Some(&ANY_SIZE)
}

#[cfg(test)]
mod tests {
    use samara_nn::{Datatype, Tensor, TensorSpec};

    use super::*;

    #[test]
    fn rows_are_the_sizes_of_a_free_first_axis() {
        let inputs = vec![("x".to_owned(), Tensor::from_vec([3, 2], vec![0u8; 6]).unwrap())];
        let request = Request { id: None, inputs, outputs: Vec::new() };
        let signature = |shape: &[i64]| Signature {
            inputs: vec![TensorSpec::new("x", Datatype::Uint8, shape)],
            outputs: Vec::new(),
        };
        assert_eq!(rows(&request, Some(&signature(&[-1, 2]))), 3);
        assert_eq!(rows(&request, Some(&signature(&[3, 2]))), 1);
        assert_eq!(rows(&request, None), 3);
        assert_eq!(rows(&Request { id: None, inputs: Vec::new(), outputs: Vec::new() }, None), 1);
    }

    #[test]
    fn equal_bytes_are_read_once() {
        let outputs = || vec![("y".to_owned(), Tensor::from_vec([1], vec![1f32]).unwrap())];
        let expected = Expected { outputs: outputs(), tolerance: 0.1, right: OnceLock::new() };
        let (body, other) = (Bytes::from("a"), Bytes::from("b"));
        let wrong = || Ok(vec![("y".to_owned(), Tensor::from_vec([1], vec![2f32])?)]);
        assert!(!expected.is_met_by(wrong, &body));
        assert!(expected.is_met_by(|| Ok(outputs()), &body));
        assert!(expected.is_met_by(|| bail!("it is read again"), &body));
        assert!(!expected.is_met_by(wrong, &other));
        assert!(!expected.is_met_by(|| bail!("it is no answer"), &other));
    }
}
