//! Whether a tensor in the file brings the data that its shape claims.

use samara_nn::Beside;

use super::{Data, External, quote};

impl Data<'_> {
    /// What a sound tensor takes in memory, 0 for text.
    pub(super) fn bytes(&self) -> u64 {
        let count =
            self.dims.iter().fold(1u64, |count, &dim| count.saturating_mul(u64::try_from(dim).unwrap_or(0)));
        bits(self.datatype).map_or(0, |bits| count.saturating_mul(bits).div_ceil(8))
    }
}

/// Checks one tensor; weights in other files are those `beside` the model's.
///
/// # Errors
/// In words, without the tensor's name.
pub(super) fn check(data: &Data<'_>, beside: &Beside) -> Result<(), String> {
    let mut count = 1u64;
    for &dim in &data.dims {
        let dim = u64::try_from(dim).map_err(|_| format!("its shape {:?} has a negative size", data.dims))?;
        count = count
            .checked_mul(dim)
            .ok_or_else(|| format!("its shape {:?} holds more elements than memory can", data.dims))?;
    }
    let expected = bits(data.datatype)
        .map(|bits| {
            count
                .checked_mul(bits)
                .map(|bits| bits.div_ceil(8))
                .ok_or_else(|| format!("its shape {:?} holds more elements than memory can", data.dims))
        })
        .transpose()?;
    if let Some(external) = &data.external {
        return check_external(external, expected, beside);
    }
    match (data.raw_length.filter(|&length| length > 0), expected) {
        (Some(found), Some(expected)) if found != expected => {
            Err(format!("its shape {:?} takes {expected} bytes, but it brings {found}", data.dims))
        }
        (Some(_), None) if data.datatype == STRING => Err("text cannot be raw data".to_owned()),
        (Some(_), _) => Ok(()),
        (None, _) => {
            let found = data.typed_count;
            // Complex numbers take two fields each, small ones share a field.
            let fields = match data.datatype {
                14 | 15 => count.saturating_mul(2),
                21 | 22 => count.div_ceil(2),
                23 => count.div_ceil(2),
                _ => count,
            };
            if found == fields {
                Ok(())
            } else {
                Err(format!("its shape {:?} holds {count} elements, but it brings {found}", data.dims))
            }
        }
    }
}

fn check_external(external: &External<'_>, expected: Option<u64>, beside: &Beside) -> Result<(), String> {
    let shown = quote(external.location);
    let size = beside
        .size(external.location)
        .map_err(|error| format!("its data are in the file {shown}, {error}"))?;
    let number = |text: Option<&str>, what: &str| {
        text.map(|text| {
            text.trim().parse::<u64>().map_err(|_| format!("its {what} {} is not a number", quote(text)))
        })
        .transpose()
    };
    let offset = number(external.offset, "offset")?.unwrap_or(0);
    let available = size
        .checked_sub(offset)
        .ok_or_else(|| format!("its data start at byte {offset} of {shown}, which has {size}"))?;
    let length = number(external.length, "length")?.unwrap_or(available);
    if length > available {
        return Err(format!("it claims {length} bytes of {shown}, where {available} are left"));
    }
    match expected {
        Some(expected) if expected != length => {
            Err(format!("its shape takes {expected} bytes, but {shown} holds {length} for it"))
        }
        Some(_) => Ok(()),
        None => Err("data of this type cannot lie in another file".to_owned()),
    }
}

const STRING: i64 = 8;

/// Bits per element of a datatype that may come as raw data.
fn bits(datatype: i64) -> Option<u64> {
    Some(match datatype {
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        21..=23 => 4,
        25 | 26 => 2,
        _ => return None,
    })
}
