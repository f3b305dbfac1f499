//! Which functions an element-wise node of tract's stands for.

use tract_core::internal::{Tensor, TypedNode};
use tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_core::ops::cast::Cast;
use tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_core::ops::logic::{self, Iff};
use tract_core::ops::{math, nn};

use crate::dtype::Dtype;
use crate::tail::{Function, Handle, Tail};

/// A function with what it takes beside the node's inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lower) struct Applied {
    function: Function,
    /// A last argument that the node itself holds.
    number: Option<f32>,
    /// Whether the two inputs change places.
    swapped: bool,
}

impl Applied {
    fn new(function: Function) -> Self {
        Self { function, number: None, swapped: false }
    }

    fn with(function: Function, number: f32) -> Self {
        Self { number: Some(number), ..Self::new(function) }
    }

    /// Adds the function to a tail.
    pub(super) fn apply(&self, tail: &mut Tail, arguments: &[Handle], dtype: Dtype) {
        let mut arguments = arguments.to_vec();
        if self.swapped {
            arguments.swap(0, 1);
        }
        if let Some(number) = self.number {
            arguments.push(tail.float(dtype, number));
        }
        tail.call(dtype, self.function, &arguments);
    }

    /// Whether it can be computed for these datatypes.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn check(&self, types: &[Dtype], out: Dtype) -> Result<(), String> {
        let operands = if self.function == Function::Select { &types[1..] } else { types };
        let first = operands.first().copied().unwrap_or(out);
        if operands.iter().any(|dtype| *dtype != first) {
            return Err(format!("its inputs differ in datatype: {types:?}"));
        }
        let result = match self.kind() {
            Kind::Convert | Kind::Choose => return Ok(()),
            Kind::Compare | Kind::Test => Dtype::Bool,
            _ => first,
        };
        let takes = match self.kind() {
            Kind::Float | Kind::Test => first.is_float(),
            Kind::Signed => {
                first.is_float() || matches!(first, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64)
            }
            Kind::Sign => first.is_float() || first == Dtype::I32,
            Kind::Power => first.is_float() || matches!(first, Dtype::I32 | Dtype::I64),
            Kind::Number => first != Dtype::Bool,
            Kind::Integer => !first.is_float() && first != Dtype::Bool,
            Kind::Logic => first == Dtype::Bool,
            Kind::Bits => !first.is_float(),
            Kind::Compare => {
                first != Dtype::Bool || matches!(self.function, Function::Equal | Function::NotEqual)
            }
            Kind::Convert | Kind::Choose => true,
        };
        match takes && result == out {
            true => Ok(()),
            false => Err(format!("the GPU does not compute it from {first:?} to {out:?}")),
        }
    }

    fn kind(&self) -> Kind {
        match self.function {
            Function::Cast => Kind::Convert,
            Function::Select => Kind::Choose,
            Function::Equal
            | Function::NotEqual
            | Function::Less
            | Function::LessOrEqual
            | Function::Greater
            | Function::GreaterOrEqual => Kind::Compare,
            Function::Abs | Function::Neg => Kind::Signed,
            Function::Sign => Kind::Sign,
            Function::Pow => Kind::Power,
            Function::IsNan
            | Function::IsInfinite
            | Function::IsPositiveInfinity
            | Function::IsNegativeInfinity => Kind::Test,
            Function::Add
            | Function::Sub
            | Function::Mul
            | Function::Div
            | Function::Rem
            | Function::Min
            | Function::Max
            | Function::Square => Kind::Number,
            Function::ShiftLeft | Function::ShiftRight => Kind::Integer,
            Function::And | Function::Or | Function::Xor | Function::Not => Kind::Logic,
            Function::BitAnd | Function::BitOr | Function::BitXor | Function::BitNot => Kind::Bits,
            _ => Kind::Float,
        }
    }
}

/// The datatypes that a function takes and gives.
enum Kind {
    Float,
    /// Floats and signed integers.
    Signed,
    /// Floats and integers of 32 bits.
    Sign,
    /// Floats and the integers that ONNX takes to a power.
    Power,
    /// From floats to booleans.
    Test,
    Number,
    Integer,
    Logic,
    Bits,
    Compare,
    Convert,
    Choose,
}

/// `None` for nodes that do not work element by element.
pub(super) fn recognise(node: &TypedNode) -> Option<Result<Applied, String>> {
    let unknown = || Err("the GPU has no such function".to_owned());
    if node.op_is::<Cast>() {
        return Some(Ok(Applied::new(Function::Cast)));
    }
    if node.op_is::<Iff>() {
        return Some(Ok(Applied::new(Function::Select)));
    }
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        return Some(unary(op.0.as_ref()).map_or_else(unknown, Ok));
    }
    let op = node.op_as::<TypedBinOp>()?;
    if op.0.is::<math::SubF>() {
        return Some(Ok(Applied { swapped: true, ..Applied::new(Function::Sub) }));
    }
    Some(binary(op.0.as_ref()).map(Applied::new).map_or_else(unknown, Ok))
}

/// The datatype and the bits of a tensor whose elements are all the same.
pub(in crate::lower) fn uniform_bits(tensor: &Tensor) -> Option<(Dtype, [u32; 2])> {
    let dtype = Dtype::of(tensor.datum_type())?;
    let uniform = tensor.as_uniform()?;
    let bytes = uniform.as_bytes();
    let mut wide = [0u8; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let mut value = u64::from_le_bytes(wide);
    // Narrow signed integers lie in 32 bits on the device.
    value = match dtype {
        Dtype::I8 => i32::from(value as u8 as i8) as u32 as u64,
        Dtype::I16 => i32::from(value as u16 as i16) as u32 as u64,
        _ => value,
    };
    Some((dtype, [value as u32, (value >> 32) as u32]))
}

fn unary(op: &dyn ElementWiseMiniOp) -> Option<Applied> {
    macro_rules! table {
        ($($module:ident :: $op:ident => $function:ident),* $(,)?) => {
            $(if op.is::<$module::$op>() {
                return Some(Applied::new(Function::$function));
            })*
        };
    }
    table! {
        math::Abs => Abs, math::Neg => Neg, math::Sign => Sign, math::Square => Square,
        math::Recip => Recip, math::Sqrt => Sqrt, math::Rsqrt => Rsqrt, math::Exp => Exp,
        math::Ln => Ln, math::Floor => Floor, math::Ceil => Ceil, math::Round => Round,
        math::RoundHalfToEven => RoundEven, math::Sin => Sin, math::Cos => Cos, math::Tan => Tan,
        math::Asin => Asin, math::Acos => Acos, math::Atan => Atan, math::Sinh => Sinh,
        math::Cosh => Cosh, math::Tanh => Tanh, math::Asinh => Asinh, math::Acosh => Acosh,
        math::Atanh => Atanh, math::Erf => Erf, nn::Sigmoid => Sigmoid, nn::Silu => Silu,
        nn::HardSwish => HardSwish, math::IsNan => IsNan, logic::Not => Not, logic::BitNot => BitNot,
    }
    if op.is::<nn::gelu_exact::GeluExact>() {
        return Some(Applied::new(Function::GeluErf));
    }
    if let Some(gelu) = op.downcast_ref::<nn::gelu_approximate::GeluApproximate>() {
        return (!gelu.fast_impl).then_some(Applied::new(Function::GeluTanh));
    }
    if let Some(leaky) = op.downcast_ref::<nn::LeakyRelu>() {
        return Some(Applied::with(Function::LeakyRelu, leaky.alpha));
    }
    if let Some(test) = op.downcast_ref::<math::IsInf>() {
        return match (test.detect_positive, test.detect_negative) {
            (true, true) => Some(Applied::new(Function::IsInfinite)),
            (true, false) => Some(Applied::new(Function::IsPositiveInfinity)),
            (false, true) => Some(Applied::new(Function::IsNegativeInfinity)),
            (false, false) => None,
        };
    }
    op.downcast_ref::<math::PowConst>().map(|power| Applied::with(Function::Pow, power.exponent))
}

fn binary(op: &dyn BinMiniOp) -> Option<Function> {
    macro_rules! table {
        ($($module:ident :: $op:ident => $function:ident),* $(,)?) => {
            $(if op.is::<$module::$op>() {
                return Some(Function::$function);
            })*
        };
    }
    table! {
        math::Add => Add, math::Sub => Sub, math::Mul => Mul, math::Div => Div, math::Rem => Rem,
        math::Min => Min, math::Max => Max, math::Pow => Pow, math::ShiftLeft => ShiftLeft,
        math::ShiftRight => ShiftRight, logic::And => And, logic::Or => Or, logic::Xor => Xor,
        logic::BitAnd => BitAnd, logic::BitOr => BitOr, logic::BitXor => BitXor,
        logic::CompEq => Equal, logic::CompNE => NotEqual, logic::CompLT => Less,
        logic::CompLTE => LessOrEqual, logic::CompGT => Greater, logic::CompGTE => GreaterOrEqual,
    }
    None
}

#[cfg(test)]
mod tests {
    use tract_core::internal::{tensor0, tensor1};

    use super::*;

    #[test]
    fn equal_elements_are_one_number() {
        assert_eq!(uniform_bits(&tensor1(&[1.5f32; 3])), Some((Dtype::F32, [1.5f32.to_bits(), 0])));
        assert_eq!(uniform_bits(&tensor0(-2i8)), Some((Dtype::I8, [-2i32 as u32, 0])));
        assert_eq!(uniform_bits(&tensor0(-1i64)), Some((Dtype::I64, [u32::MAX; 2])));
        assert_eq!(uniform_bits(&tensor1(&[1.0f32, 2.0])), None);
    }
}
