//! `QLinearAdd` and `QLinearMul`: two tensors meet element by element.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TVec, Tensor, TractResult};
use tract_onnx::tract_hir::internal::bail;
use tract_onnx::tract_hir::tract_core::broadcast::multi_broadcast;
use tract_onnx::tract_hir::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_hir::tract_core::ops::change_axes::wire_rank_broadcast;
use tract_onnx::tract_hir::tract_ndarray::Zip;

use super::numbers::{Narrow, Steps};
use super::steps::Linear;
use super::wiring::{Given, Wiring, lone};
use super::{Built, Form, Layer, built, one};

const INPUTS: [&str; 8] =
    ["A", "A_scale", "A_zero_point", "B", "B_scale", "B_zero_point", "C_scale", "C_zero_point"];

pub(super) fn add(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &INPUTS, Pair { is_sum: true })
}

pub(super) fn mul(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &INPUTS, Pair { is_sum: false })
}

#[derive(Debug)]
struct Pair {
    is_sum: bool,
}

impl Layer for Pair {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let (a, b) = (given.narrow("A")?, given.narrow("B")?);
        given.all_of(&["B", "A_zero_point", "B_zero_point", "C_zero_point"], a.datatype)?;
        given.all_of(&["A_scale", "B_scale", "C_scale"], DatumType::F32)?;
        given.need("C_scale")?;
        one(a.datatype, multi_broadcast(&[a.shape.clone(), b.shape.clone()])?)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let linear = |wiring: &Wiring<'_>, scale: &str, zero: &str| {
            TractResult::Ok(Linear { scale: wiring.scale(scale)?, zero: wiring.zero(zero)? })
        };
        let a = linear(wiring, "A_scale", "A_zero_point")?;
        let b = linear(wiring, "B_scale", "B_zero_point")?;
        let c = linear(wiring, "C_scale", "C_zero_point")?;
        let pair = [wiring.need("A")?, wiring.need("B")?];
        let both = wire_rank_broadcast(wiring.name("aligned"), wiring.model, &pair)?;
        let operator: Box<dyn BinMiniOp> =
            if self.is_sum { Box::new(Sum::new(a, b, c)) } else { Box::new(Times::new(a, b, c)) };
        Ok(lone(wiring.step("", TypedBinOp(operator, None), &both)?))
    }
}

/// Two steps that become one.
trait Meet: Clone + PartialEq {
    fn meet<T: Narrow>(&self, a: T, b: T) -> T;

    fn all_in_a<T: Narrow>(&self, a: &mut Tensor, b: &Tensor) -> TractResult<()> {
        if a.shape() == b.shape() {
            let mut a = a.try_as_plain_ram_mut()?;
            let b = b.try_as_plain_ram()?;
            for (a, b) in a.as_slice_mut::<T>()?.iter_mut().zip(b.as_slice::<T>()?) {
                *a = self.meet(*a, *b);
            }
            return Ok(());
        }
        let mut a = a.try_as_plain_ram_mut()?;
        let b = b.to_plain_array_view::<T>()?;
        Zip::from(a.to_array_view_mut::<T>()?).and_broadcast(b).for_each(|a, b| *a = self.meet(*a, *b));
        Ok(())
    }

    fn all<T: Narrow>(&self, c: &mut Tensor, a: &Tensor, b: &Tensor) -> TractResult<()> {
        let mut c = c.try_as_plain_ram_mut()?;
        let (a, b) = (a.to_plain_array_view::<T>()?, b.to_plain_array_view::<T>()?);
        Zip::from(c.to_array_view_mut::<T>()?)
            .and_broadcast(a)
            .and_broadcast(b)
            .for_each(|c, a, b| *c = self.meet(*a, *b));
        Ok(())
    }
}

/// Sums of two tensors.
#[derive(Debug, Clone, PartialEq)]
struct Sum {
    a: f64,
    b: f64,
    /// What the zero points come to.
    fixed: f64,
}

impl Sum {
    fn new(a: Linear, b: Linear, c: Linear) -> Self {
        let (a_scale, b_scale) = (a.scale / c.scale, b.scale / c.scale);
        let zeros = a_scale.mul_add(a.zero as f32, b_scale * b.zero as f32);
        let fixed = c.zero as f32 - zeros;
        Self { a: a_scale.into(), b: b_scale.into(), fixed: fixed.into() }
    }
}

impl Meet for Sum {
    // Each product and the sum it goes to are rounded once, to a float: in doubles the
    // product is exact.
    #[inline(always)]
    fn meet<T: Narrow>(&self, a: T, b: T) -> T {
        let sum = (f64::from(b.wide()) * self.b + self.fixed) as f32;
        let sum = (f64::from(a.wide()) * self.a + f64::from(sum)) as f32;
        Steps::of::<T>(0).nearest(sum)
    }
}

/// Products of two tensors.
#[derive(Debug, Clone, PartialEq)]
struct Times {
    a: i32,
    b: i32,
    scale: f32,
    c: f32,
}

impl Times {
    fn new(a: Linear, b: Linear, c: Linear) -> Self {
        Self { a: a.zero, b: b.zero, scale: a.scale * b.scale / c.scale, c: c.zero as f32 }
    }
}

impl Meet for Times {
    #[inline(always)]
    fn meet<T: Narrow>(&self, a: T, b: T) -> T {
        let product = (a.wide() - self.a) * (b.wide() - self.b);
        Steps::of::<T>(0).nearest(product as f32 * self.scale + self.c)
    }
}

/// Quotients of floats. tract multiplies with the inverse of what is a constant, which
/// is rounded twice.
pub(super) fn quotient() -> TypedBinOp {
    TypedBinOp(Box::new(Quotient), None)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Quotient;

impl BinMiniOp for Quotient {
    fn name(&self) -> &'static str {
        "Quotient"
    }

    fn result_datum_type(&self, a: DatumType, b: DatumType) -> TractResult<DatumType> {
        if (a, b) != (DatumType::F32, DatumType::F32) {
            bail!("no quotients of {a:?} and {b:?} are known");
        }
        Ok(a)
    }

    fn is_commutative(&self) -> bool {
        false
    }

    fn eval_in_a(&self, a: &mut Tensor, b: &Tensor) -> TractResult<()> {
        let mut a = a.try_as_plain_ram_mut()?;
        let b = b.to_plain_array_view::<f32>()?;
        Zip::from(a.to_array_view_mut::<f32>()?).and_broadcast(b).for_each(|a, b| *a /= *b);
        Ok(())
    }

    fn eval_out_of_place(&self, c: &mut Tensor, a: &Tensor, b: &Tensor) -> TractResult<()> {
        let mut c = c.try_as_plain_ram_mut()?;
        let (a, b) = (a.to_plain_array_view::<f32>()?, b.to_plain_array_view::<f32>()?);
        Zip::from(c.to_array_view_mut::<f32>()?)
            .and_broadcast(a)
            .and_broadcast(b)
            .for_each(|c, a, b| *c = *a / *b);
        Ok(())
    }
}

macro_rules! mini_op {
    ($operator:ty, $name:literal) => {
        // Scales of a model's file are compared as they are.
        impl Eq for $operator {}

        impl BinMiniOp for $operator {
            fn name(&self) -> &'static str {
                $name
            }

            fn result_datum_type(&self, a: DatumType, b: DatumType) -> TractResult<DatumType> {
                if a != b {
                    bail!("{} of {a:?} and {b:?}", $name);
                }
                Ok(a)
            }

            fn is_commutative(&self) -> bool {
                false
            }

            fn eval_in_a(&self, a: &mut Tensor, b: &Tensor) -> TractResult<()> {
                match a.datum_type() {
                    DatumType::U8 => self.all_in_a::<u8>(a, b),
                    DatumType::I8 => self.all_in_a::<i8>(a, b),
                    other => bail!("{} of {other:?}", $name),
                }
            }

            fn eval_out_of_place(&self, c: &mut Tensor, a: &Tensor, b: &Tensor) -> TractResult<()> {
                match c.datum_type() {
                    DatumType::U8 => self.all::<u8>(c, a, b),
                    DatumType::I8 => self.all::<i8>(c, a, b),
                    other => bail!("{} of {other:?}", $name),
                }
            }
        }
    };
}

mini_op!(Sum, "QLinearAdd");
mini_op!(Times, "QLinearMul");
