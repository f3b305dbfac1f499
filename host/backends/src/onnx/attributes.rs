//! The attributes of a node, as the operators of `ai.onnx.ml` need them: each
//! asked for by name, of one kind, free of numbers that are none.

use super::read::read_data;
use super::wire::{Damage, Fields};
use super::{Node, quote};

/// What is wrong with the attributes of a node.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {reason}")]
pub(crate) struct Fault {
    node: String,
    reason: String,
}

/// The attributes of one node.
pub(crate) struct Attributes<'a> {
    node: String,
    found: Vec<Attribute<'a>>,
}

/// Numbers or text out of an attribute that is a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Ints(Vec<i64>),
    Shorts(Vec<i16>),
    Texts(Vec<String>),
}

#[derive(Default)]
struct Attribute<'a> {
    name: &'a str,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<&'a [u8]>,
    tensor: Option<&'a [u8]>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a> Attributes<'a> {
    pub(crate) fn read(node: &Node<'a>) -> Result<Self> {
        let name = node.to_string();
        let damaged = |damage: Damage| Fault { node: name.clone(), reason: damage.to_string() };
        let found = node.attributes.iter().map(|bytes| read_attribute(bytes).map_err(damaged));
        let found = found.collect::<Result<Vec<_>>>()?;
        Ok(Self { node: name, found })
    }

    /// A fault of the node itself.
    pub(crate) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { node: self.node.clone(), reason: reason.into() }
    }

    /// A fault of one attribute.
    pub(crate) fn wrong(&self, name: &str, reason: impl std::fmt::Display) -> Fault {
        self.fault(format!("its attribute `{name}` {reason}"))
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.find(name)?.int
    }

    /// A number that may be none: what is missing is marked by one.
    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.find(name)?.float
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(bytes) = self.find(name).and_then(|attribute| attribute.text) else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| self.wrong(name, "is not UTF-8 text"))
    }

    pub(crate) fn ints(&self, name: &str) -> &[i64] {
        self.find(name).map_or(&[], |attribute| &attribute.ints)
    }

    /// Numbers, empty where the attribute is missing.
    ///
    /// # Errors
    /// When one is not a number.
    pub(crate) fn floats(&self, name: &str) -> Result<&[f32]> {
        let floats = self.raw_floats(name);
        match floats.iter().position(|float| float.is_nan()) {
            None => Ok(floats),
            Some(index) => Err(self.not_a_number(name, index)),
        }
    }

    /// Numbers of which some may be none.
    pub(crate) fn raw_floats(&self, name: &str) -> &[f32] {
        self.find(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&'a str>> {
        let texts = self.find(name).map_or(&[][..], |attribute| &attribute.texts);
        let texts = texts.iter().map(|bytes| std::str::from_utf8(bytes));
        texts
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| self.wrong(name, "holds what is not UTF-8 text"))
    }

    /// The elements of a tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Values>> {
        let Some(bytes) = self.find(name).and_then(|attribute| attribute.tensor) else { return Ok(None) };
        read_values(bytes).map(Some).map_err(|reason| self.wrong(name, reason))
    }

    /// Numbers out of a list or, under the name with `_as_tensor`, a tensor.
    ///
    /// # Errors
    /// When both are there, or one of the numbers is none.
    pub(crate) fn floats_or_tensor(&self, name: &str) -> Result<Values> {
        let floats = self.floats(name)?;
        let long = format!("{name}_as_tensor");
        match self.tensor(&long)? {
            None => Ok(Values::Floats(floats.to_vec())),
            Some(_) if !floats.is_empty() => Err(self.wrong(&long, format!("is there beside `{name}`"))),
            Some(values @ (Values::Floats(_) | Values::Doubles(_))) => {
                self.all_numbers(&long, &values)?;
                Ok(values)
            }
            Some(_) => Err(self.wrong(&long, "holds neither FLOAT nor DOUBLE")),
        }
    }

    /// # Errors
    /// When one of the values is not a number.
    pub(crate) fn all_numbers(&self, name: &str, values: &Values) -> Result<()> {
        let index = match values {
            Values::Floats(floats) => floats.iter().position(|float| float.is_nan()),
            Values::Doubles(doubles) => doubles.iter().position(|double| double.is_nan()),
            Values::Ints(_) | Values::Shorts(_) | Values::Texts(_) => None,
        };
        index.map_or(Ok(()), |index| Err(self.not_a_number(name, index)))
    }

    /// # Errors
    /// When the list has another length.
    pub(crate) fn has_length(&self, name: &str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(self.wrong(name, format!("has {found} elements where {expected} are expected")))
    }

    fn not_a_number(&self, name: &str, index: usize) -> Fault {
        self.wrong(name, format!("is not a number at index {index}"))
    }

    fn find(&self, name: &str) -> Option<&Attribute<'a>> {
        self.found.iter().find(|attribute| attribute.name == name)
    }
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Floats(values) => values.len(),
            Values::Doubles(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Shorts(values) => values.len(),
            Values::Texts(values) => values.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number at an index, 0 for text.
    pub(crate) fn number(&self, index: usize) -> f64 {
        match self {
            Values::Floats(values) => f64::from(values[index]),
            Values::Doubles(values) => values[index],
            Values::Ints(values) => values[index] as f64,
            Values::Shorts(values) => f64::from(values[index]),
            Values::Texts(_) => 0.0,
        }
    }
}

fn read_attribute(bytes: &[u8]) -> std::result::Result<Attribute<'_>, Damage> {
    let (mut attribute, mut kind) = (Attribute::default(), 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => attribute.name = value.text(1)?,
            (2, value) => attribute.float = Some(value.float(2)?),
            (3, value) => attribute.int = Some(value.int(3)?),
            (4, value) => attribute.text = Some(value.bytes(4)?),
            (5, value) => attribute.tensor = Some(value.bytes(5)?),
            (7, value) => attribute.floats.extend(value.floats(7)?),
            (8, value) => attribute.ints.extend(value.ints(8)?),
            (9, value) => attribute.texts.push(value.bytes(9)?),
            (20, value) => kind = value.int(20)?,
            _ => {}
        }
    }
    // Some writers leave out what is zero or empty.
    match kind {
        1 => _ = attribute.float.get_or_insert_default(),
        2 => _ = attribute.int.get_or_insert_default(),
        3 => _ = attribute.text.get_or_insert_default(),
        _ => {}
    }
    Ok(attribute)
}

/// The elements of a `TensorProto` that holds them itself.
pub(super) fn read_values(bytes: &[u8]) -> std::result::Result<Values, String> {
    let outline = read_data(bytes).map_err(|damage| damage.to_string())?;
    super::data::check(&outline, &samara_nn::Beside::Nothing)?;
    if outline.external.is_some() {
        return Err("has its data in another file".to_owned());
    }
    let mut raw = None;
    let (mut floats, mut doubles, mut ints, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in Fields::new(bytes) {
        let (number, value) = field.map_err(|damage| damage.to_string())?;
        let read = match number {
            4 => value.floats(4).map(|values| floats.extend(values)),
            5 | 7 => value.ints(number).map(|values| ints.extend(values)),
            6 => value.text(6).map(|text| texts.push(text.to_owned())),
            9 => value.bytes(9).map(|bytes| raw = Some(bytes).filter(|bytes| !bytes.is_empty())),
            10 => value.doubles(10).map(|values| doubles.extend(values)),
            _ => Ok(()),
        };
        read.map_err(|damage| damage.to_string())?;
    }
    let raw = raw.unwrap_or_default();
    match outline.datatype {
        FLOAT => floats.extend(words(raw).map(f32::from_le_bytes)),
        DOUBLE => doubles.extend(words(raw).map(f64::from_le_bytes)),
        UINT8 => ints.extend(raw.iter().map(|&byte| i64::from(byte))),
        INT16 => ints.extend(words(raw).map(|word| i64::from(i16::from_le_bytes(word)))),
        INT64 => ints.extend(words(raw).map(i64::from_le_bytes)),
        _ => {}
    }
    match outline.datatype {
        FLOAT => Ok(Values::Floats(floats)),
        DOUBLE => Ok(Values::Doubles(doubles)),
        UINT8 | INT64 => Ok(Values::Ints(ints)),
        INT16 => {
            let shorts = ints.into_iter().map(i16::try_from).collect::<std::result::Result<_, _>>();
            shorts.map(Values::Shorts).map_err(|_| "holds numbers that INT16 does not have".to_owned())
        }
        STRING => Ok(Values::Texts(texts)),
        other => Err(format!("is a tensor of the ONNX datatype {}", quote(&other.to_string()))),
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks().0.iter().copied()
}

const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT16: i64 = 5;
const INT64: i64 = 7;
const STRING: i64 = 8;
const DOUBLE: i64 = 11;
