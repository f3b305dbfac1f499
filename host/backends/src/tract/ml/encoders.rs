//! What puts one thing in the place of another.

use tract_onnx::prelude::TractResult;
use tract_onnx::tract_hir::internal::{Datum, DatumType, Tensor, bail};
use tract_onnx::tract_hir::tract_ndarray::ArrayD;

use crate::onnx::learned::{Classes, LabelEncoder, Labels, OneHotEncoder, Values};

/// The datatype of labels.
pub(super) fn datatype(labels: &Labels) -> DatumType {
    match labels {
        Labels::Ints(_) => DatumType::I64,
        Labels::Texts(_) => DatumType::String,
    }
}

/// The labels at these places.
pub(super) fn labels(labels: &Labels, places: &[usize]) -> TractResult<Tensor> {
    match labels {
        Labels::Ints(labels) => tensor(&[places.len()], places.iter().map(|&place| labels[place]).collect()),
        Labels::Texts(labels) => {
            tensor(&[places.len()], places.iter().map(|&place| labels[place].clone()).collect())
        }
    }
}

pub(super) fn one_hot(encoder: &OneHotEncoder, input: &Tensor) -> TractResult<Tensor> {
    let places = match &encoder.places {
        Classes::Texts(places) => {
            let texts = input.try_as_plain_ram()?.as_slice::<String>()?;
            texts.iter().map(|text| places.get(text).copied()).collect::<Vec<_>>()
        }
        Classes::Ints(places) => {
            // A fraction counts as the whole number towards zero.
            let numbers = input.cast_to::<i64>()?;
            let numbers = numbers.try_as_plain_ram()?.as_slice::<i64>()?;
            numbers.iter().map(|number| places.get(number).copied()).collect()
        }
        Classes::Doubles(_) => bail!("it has categories that are fractions"),
    };
    let mut made = vec![0.0f32; places.len() * encoder.count];
    for (index, place) in places.into_iter().enumerate() {
        match place {
            Some(place) => made[index * encoder.count + place] = 1.0,
            None if encoder.zeros => {}
            None => bail!("element {index} of its input is no category that it knows"),
        }
    }
    let mut shape = input.shape().to_vec();
    shape.push(encoder.count);
    Tensor::from_shape(&shape, &made)
}

/// The datatype of what a label encoder makes of this one, `None` for one that it
/// does not take.
pub(super) fn encoded(encoder: &LabelEncoder, input: DatumType) -> Option<DatumType> {
    use DatumType::{F32, F64, I64, String};
    match encoder {
        LabelEncoder::Places { .. } => match input {
            String => Some(I64),
            I64 => Some(String),
            _ => None,
        },
        LabelEncoder::Pairs { keys, values, .. } => {
            let fits = match keys {
                Classes::Ints(_) => input == I64,
                Classes::Texts(_) => input == String,
                Classes::Doubles(_) => input == F32 || input == F64,
            };
            fits.then_some(match values {
                Values::Floats(_) => F32,
                Values::Doubles(_) => F64,
                Values::Ints(_) => I64,
                Values::Shorts(_) => DatumType::I16,
                Values::Texts(_) => String,
            })
        }
    }
}

pub(super) fn encode(encoder: &LabelEncoder, input: &Tensor) -> TractResult<Tensor> {
    let shape = input.shape();
    match encoder {
        LabelEncoder::Places { texts, text, .. } if input.datum_type() == DatumType::I64 => {
            let numbers = input.try_as_plain_ram()?.as_slice::<i64>()?.iter();
            let named =
                numbers.map(|&number| usize::try_from(number).ok().and_then(|place| texts.get(place)));
            tensor(shape, named.map(|named| named.unwrap_or(text).clone()).collect())
        }
        LabelEncoder::Places { places, number, .. } => {
            let texts = input.try_as_plain_ram()?.as_slice::<String>()?.iter();
            let place = |text| places.get(text).and_then(|&place| i64::try_from(place).ok());
            tensor(shape, texts.map(|text| place(text).unwrap_or(*number)).collect())
        }
        LabelEncoder::Pairs { keys, values, default, finds_none } => {
            let places = find(keys, input, *finds_none)?;
            match (values, default) {
                (Values::Floats(values), Values::Floats(default)) => {
                    pick(shape, &places, values, &default[0])
                }
                (Values::Doubles(values), Values::Doubles(default)) => {
                    pick(shape, &places, values, &default[0])
                }
                (Values::Ints(values), Values::Ints(default)) => pick(shape, &places, values, &default[0]),
                (Values::Shorts(values), Values::Shorts(default)) => {
                    pick(shape, &places, values, &default[0])
                }
                (Values::Texts(values), Values::Texts(default)) => pick(shape, &places, values, &default[0]),
                _ => bail!("its default is of another type than its values"),
            }
        }
    }
}

/// The place of each element among the keys.
fn find(keys: &Classes, input: &Tensor, finds_none: bool) -> TractResult<Vec<Option<usize>>> {
    Ok(match keys {
        Classes::Ints(places) => {
            let numbers = input.try_as_plain_ram()?.as_slice::<i64>()?;
            numbers.iter().map(|number| places.get(number).copied()).collect()
        }
        Classes::Texts(places) => {
            let texts = input.try_as_plain_ram()?.as_slice::<String>()?;
            texts.iter().map(|text| places.get(text).copied()).collect()
        }
        Classes::Doubles(places) => {
            let numbers = input.cast_to::<f64>()?;
            let numbers = numbers.try_as_plain_ram()?.as_slice::<f64>()?;
            let can_be_found = |number: &f64| finds_none || !number.is_nan();
            let find = |&number| {
                Some(number).filter(can_be_found).and_then(|number| Classes::of_double(places, number))
            };
            numbers.iter().map(find).collect()
        }
    })
}

fn pick<T>(shape: &[usize], places: &[Option<usize>], values: &[T], default: &T) -> TractResult<Tensor>
where
    T: Datum + Clone,
{
    tensor(shape, places.iter().map(|place| place.map_or(default, |place| &values[place]).clone()).collect())
}

fn tensor<T: Datum>(shape: &[usize], values: Vec<T>) -> TractResult<Tensor> {
    Ok(Tensor::from(ArrayD::from_shape_vec(shape, values)?))
}
