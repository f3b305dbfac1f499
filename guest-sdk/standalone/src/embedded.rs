//! What was put into the component: the model's name and signature, and its file.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::contract::{Datatype, Signature, TensorSpec};

/// Where the payload lies in memory. `samara compile` finds it by its mark and writes
/// the address and the length, which are 0 in a runner without a model.
#[repr(C)]
struct Slot {
    mark: [u8; 24],
    // Read as what may change, so that no compiler takes the zeroes for granted.
    address: AtomicU32,
    length: AtomicU32,
}

#[unsafe(no_mangle)]
static SAMARA_STANDALONE_SLOT: Slot =
    Slot { mark: *b"samara-standalone-slot-1", address: AtomicU32::new(0), length: AtomicU32::new(0) };

/// Names the file that a runner without a model reads its payload from.
const PAYLOAD_VARIABLE: &str = "SAMARA_STANDALONE_PAYLOAD";

/// In the order of the contract's enum.
const DATATYPES: [Datatype; 14] = [
    Datatype::Bool,
    Datatype::Uint8,
    Datatype::Uint16,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Int8,
    Datatype::Int16,
    Datatype::Int32,
    Datatype::Int64,
    Datatype::Fp16,
    Datatype::Bf16,
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Bytes,
];

/// What the weights begin at a multiple of.
const ALIGNMENT: usize = 64;

/// The parts of a payload.
pub(crate) struct Embedded {
    pub(crate) name: String,
    pub(crate) signature: Signature,
    pub(crate) file: &'static [u8],
    /// What the file refers to as `weights.data`; aligned as numbers have to be.
    pub(crate) weights: &'static [u8],
}

impl Embedded {
    /// Takes the payload apart.
    pub(crate) fn read() -> Result<Self, String> {
        let payload = payload()?;
        Rest(payload).embedded(payload).ok_or_else(|| "the model in this component is cut short".to_owned())
    }
}

fn payload() -> Result<&'static [u8], String> {
    let slot = &SAMARA_STANDALONE_SLOT;
    let [address, length] = [&slot.address, &slot.length].map(|word| word.load(Ordering::Relaxed) as usize);
    if length > 0 {
        // SAFETY: whoever wrote the two words added a data segment of this length at this
        // address, in pages behind all that the linker and the allocator know of.
        return Ok(unsafe { std::slice::from_raw_parts(address as *const u8, length) });
    }
    let Some(path) = std::env::var_os(PAYLOAD_VARIABLE) else {
        return Err(
            "there is no model in this component; `samara compile --standalone` puts one in".to_owned()
        );
    };
    let bytes =
        std::fs::read(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    Ok(bytes.leak())
}

/// What is not read yet. Numbers are little-endian; texts and lists begin with their
/// length as four bytes.
struct Rest(&'static [u8]);

impl Rest {
    fn embedded(&mut self, payload: &'static [u8]) -> Option<Embedded> {
        let name = self.text()?;
        let signature = Signature { inputs: self.specs()?, outputs: self.specs()? };
        let length = self.length()?;
        let file = self.take(length)?;
        let weights = payload.get((payload.len() - self.0.len()).next_multiple_of(ALIGNMENT)..)?;
        Some(Embedded { name, signature, file, weights })
    }

    fn specs(&mut self) -> Option<Vec<TensorSpec>> {
        (0..self.length()?).map(|_| self.spec()).collect()
    }

    fn spec(&mut self) -> Option<TensorSpec> {
        let name = self.text()?;
        let datatype = *DATATYPES.get(usize::from(self.take(1)?[0]))?;
        let size = |rest: &mut Self| Some(i64::from_le_bytes(rest.take(8)?.try_into().ok()?));
        let shape = (0..self.length()?).map(|_| size(self)).collect::<Option<_>>()?;
        Some(TensorSpec { name, datatype, shape })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn take(&mut self, count: usize) -> Option<&'static [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}
