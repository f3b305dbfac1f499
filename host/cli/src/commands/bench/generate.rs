//! Tensors made up from a signature, the same ones every time.

use anyhow::{Context, Result, bail};
use samara_nn::{ANY_SIZE, Datatype, NamedTensor, Signature, Tensor, TensorSpec, format_shape};

/// The most bytes of one tensor.
const MOST_BYTES: usize = 1 << 30;
/// The letters of one made-up BYTES element.
const LETTERS: usize = 16;
const SEED: u64 = 0x5a3a_7a1d_c0de_0001;

/// A tensor for every input: floats from 0 to 1, bytes of every value, other
/// integers 0 or 1, which are as good as any index or mask, and words.
/// Free axes have one entry, a free first axis `rows`.
///
/// # Errors
/// When a tensor would take too much memory.
pub(super) fn inputs(signature: &Signature, rows: usize) -> Result<Vec<NamedTensor>> {
    let mut random = Random(SEED);
    signature
        .inputs
        .iter()
        .map(|spec| {
            let tensor = tensor(spec, rows, &mut random)
                .with_context(|| format!("cannot make up a value for the input `{}`", spec.name))?;
            Ok((spec.name.clone(), tensor))
        })
        .collect()
}

fn tensor(spec: &TensorSpec, rows: usize, random: &mut Random) -> Result<Tensor> {
    let mut shape = Vec::with_capacity(spec.shape.len());
    for (axis, &size) in spec.shape.iter().enumerate() {
        shape.push(match (axis, size) {
            (0, ANY_SIZE) => rows,
            (_, ANY_SIZE) => 1,
            (_, size) => usize::try_from(size).with_context(|| format!("axis {axis} has the size {size}"))?,
        });
    }
    let each = spec.datatype.size().unwrap_or(size_of::<u32>() + LETTERS);
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let bytes = count.and_then(|count| count.checked_mul(each)).filter(|&bytes| bytes <= MOST_BYTES);
    let (Some(count), Some(bytes)) = (count, bytes) else {
        bail!("{}{} is larger than {MOST_BYTES} bytes", spec.datatype, format_shape(&shape));
    };
    let mut data = Vec::with_capacity(bytes);
    for _ in 0..count {
        push(&mut data, spec.datatype, random);
    }
    Ok(Tensor::new(spec.datatype, shape, data)?)
}

fn push(data: &mut Vec<u8>, datatype: Datatype, random: &mut Random) {
    let float = |random: &mut Random| random.below(1 << 24) as f32 / (1 << 24) as f32;
    match datatype {
        Datatype::Fp16 => data.extend(half::f16::from_f32(float(random)).to_le_bytes()),
        Datatype::Bf16 => data.extend(half::bf16::from_f32(float(random)).to_le_bytes()),
        Datatype::Fp32 => data.extend(float(random).to_le_bytes()),
        Datatype::Fp64 => data.extend(f64::from(float(random)).to_le_bytes()),
        Datatype::Uint8 => data.push(random.below(256) as u8),
        Datatype::Bytes => {
            data.extend((LETTERS as u32).to_le_bytes());
            data.extend((0..LETTERS).map(|_| b'a' + random.below(26) as u8));
        }
        _ => {
            // Little-endian: the lowest byte is the first.
            let start = data.len();
            data.resize(start + datatype.size().unwrap_or(1), 0);
            data[start] = random.below(2) as u8;
        }
    }
}

/// The generator splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_is_made_the_same_every_time() {
        let specs = Datatype::ALL.map(|datatype| TensorSpec::new(datatype.name(), datatype, [-1, 3, -1]));
        let signature = Signature { inputs: specs.into(), outputs: Vec::new() };
        let tensors = inputs(&signature, 5).unwrap();
        assert_eq!(tensors, inputs(&signature, 5).unwrap());
        for ((name, tensor), spec) in tensors.iter().zip(&signature.inputs) {
            assert_eq!((name, tensor.shape()), (&spec.name, &[5, 3, 1][..]));
            assert!(spec.clone().conform(tensor.clone()).is_ok());
        }
        let floats = &tensors.iter().find(|(name, _)| name == "FP32").unwrap().1;
        let floats = floats.elements::<f32>().unwrap();
        assert!(floats.iter().all(|float| (0.0..1.0).contains(float)) && floats[0] != floats[1]);
    }

    #[test]
    fn what_is_too_large_or_senseless_is_refused() {
        let make = |shape: &[i64]| {
            let inputs_of =
                Signature { inputs: vec![TensorSpec::new("x", Datatype::Fp32, shape)], outputs: Vec::new() };
            format!("{:#}", inputs(&inputs_of, 1).unwrap_err())
        };
        assert!(
            make(&[1 << 40])
                .starts_with("cannot make up a value for the input `x`: FP32[1099511627776] is larger")
        );
        assert!(make(&[i64::MAX, i64::MAX]).contains("is larger than"));
        assert!(make(&[-2]).contains("axis 0 has the size -2"));
    }
}
