//! What puts one thing in the place of another.

use std::collections::HashMap;

use super::{Attributes, Fault, Values};

/// A row of zeros with a one at the place of the category.
#[derive(Debug)]
pub(crate) struct OneHotEncoder {
    pub(crate) places: Classes,
    pub(crate) count: usize,
    /// Whether what is no category becomes zeros, and is no error.
    pub(crate) zeros: bool,
}

/// Where each key lies.
#[derive(Debug)]
pub(crate) enum Classes {
    Ints(HashMap<i64, usize>),
    Texts(HashMap<String, usize>),
    /// By the bits of the double, which [`bits`] tells.
    Doubles(HashMap<u64, usize>),
}

/// A value for each key.
#[derive(Debug)]
pub(crate) enum LabelEncoder {
    /// Text has the number of its place, and a number the text there.
    Places { texts: Vec<String>, places: HashMap<String, usize>, number: i64, text: String },
    Pairs {
        keys: Classes,
        values: Values,
        default: Values,
        /// Whether a key that is not a number is found. As in ONNX Runtime, it is
        /// not before version 4 of the domain.
        finds_none: bool,
    },
}

impl OneHotEncoder {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let zeros = attributes.int("zeros").unwrap_or(1) != 0;
        let texts = attributes.texts("cats_strings")?;
        let ints = attributes.ints("cats_int64s");
        // Of categories that are there twice, the last place counts.
        let (places, count) = match (ints, &texts[..]) {
            ([], []) => return Err(attributes.fault("it has neither `cats_int64s` nor `cats_strings`")),
            (ints, []) => (Classes::Ints(ints.iter().copied().zip(0..).collect()), ints.len()),
            ([], texts) => {
                let texts = texts.iter().map(|&text| text.to_owned());
                (Classes::Texts(texts.zip(0..).collect()), attributes.texts("cats_strings")?.len())
            }
            _ => return Err(attributes.wrong("cats_strings", "is there beside `cats_int64s`")),
        };
        Ok(Self { places, count, zeros })
    }

    /// Whether the categories are text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.places, Classes::Texts(_))
    }
}

impl LabelEncoder {
    pub(super) fn read(attributes: &Attributes<'_>, version: i64) -> Result<Self, Fault> {
        let text = attributes.text("default_string")?.unwrap_or("_Unused").to_owned();
        let number = attributes.int("default_int64").unwrap_or(-1);
        let old = attributes.texts("classes_strings")?;
        if !old.is_empty() {
            let texts: Vec<String> = old.into_iter().map(str::to_owned).collect();
            let places = first_places(texts.iter().cloned());
            return Ok(LabelEncoder::Places { texts, places, number, text });
        }
        let keys = list(attributes, "keys")?;
        let values = list(attributes, "values")?;
        attributes.has_length("values", values.len(), keys.len())?;
        let default = match attributes.tensor("default_tensor")? {
            Some(default) => default,
            None => match &values {
                Values::Floats(_) => Values::Floats(vec![attributes.float("default_float").unwrap_or(-0.0)]),
                Values::Doubles(_) => Values::Doubles(vec![-0.0]),
                Values::Ints(_) => Values::Ints(vec![number]),
                Values::Shorts(_) => Values::Shorts(vec![number as i16]),
                Values::Texts(_) => Values::Texts(vec![text]),
            },
        };
        attributes.has_length("default_tensor", default.len(), 1)?;
        if std::mem::discriminant(&default) != std::mem::discriminant(&values) {
            return Err(attributes.wrong("default_tensor", "is of another type than the values"));
        }
        Ok(LabelEncoder::Pairs { keys: Classes::of(keys), values, default, finds_none: version >= 4 })
    }
}

impl Classes {
    /// Of keys that are there twice, the first place counts.
    fn of(keys: Values) -> Self {
        match keys {
            Values::Ints(keys) => Classes::Ints(first_places(keys)),
            Values::Shorts(keys) => Classes::Ints(first_places(keys.into_iter().map(i64::from))),
            Values::Texts(keys) => Classes::Texts(first_places(keys)),
            Values::Floats(keys) => {
                Classes::Doubles(first_places(keys.into_iter().map(|key| bits(key.into()))))
            }
            Values::Doubles(keys) => Classes::Doubles(first_places(keys.into_iter().map(bits))),
        }
    }

    pub(crate) fn of_double(places: &HashMap<u64, usize>, key: f64) -> Option<usize> {
        places.get(&bits(key)).copied()
    }
}

/// Equal bits for equal numbers, and for all that are none.
fn bits(key: f64) -> u64 {
    if key.is_nan() { f64::NAN.to_bits() } else { (key + 0.0).to_bits() }
}

fn first_places<K: Eq + std::hash::Hash>(keys: impl IntoIterator<Item = K>) -> HashMap<K, usize> {
    let mut places = HashMap::new();
    for (place, key) in keys.into_iter().enumerate() {
        places.entry(key).or_insert(place);
    }
    places
}

/// The one list of this name that there is: of one type, or a tensor.
fn list(attributes: &Attributes<'_>, name: &str) -> Result<Values, Fault> {
    // Keys may be what is not a number: that is how it is found.
    let lists = [
        Values::Ints(attributes.ints(&format!("{name}_int64s")).to_vec()),
        Values::Floats(attributes.raw_floats(&format!("{name}_floats")).to_vec()),
        Values::Texts(attributes.texts(&format!("{name}_strings"))?.into_iter().map(str::to_owned).collect()),
    ];
    let mut found = lists.into_iter().filter(|list| !list.is_empty());
    let tensor = attributes.tensor(&format!("{name}_tensor"))?.filter(|list| !list.is_empty());
    match (found.next(), found.next(), tensor) {
        (Some(list), None, None) | (None, None, Some(list)) => Ok(list),
        (None, None, None) => Err(attributes.fault(format!("it has no list of {name}"))),
        _ => Err(attributes.fault(format!("it has more than one list of {name}"))),
    }
}
