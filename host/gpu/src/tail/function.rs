//! The functions of element-wise chains, as WGSL expressions.

use crate::dtype::Dtype;

/// A function of one to three values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    /// From one datatype to another, as Rust's `as` converts.
    Cast,
    Abs,
    Neg,
    Sign,
    Square,
    Recip,
    Sqrt,
    Rsqrt,
    Exp,
    Ln,
    Floor,
    Ceil,
    /// To the nearest integer, halves away from zero.
    Round,
    /// To the nearest integer, halves to the even one.
    RoundEven,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Sigmoid,
    Silu,
    HardSwish,
    GeluErf,
    GeluTanh,
    /// `x` where it is positive, else `x` times the second value.
    LeakyRelu,
    Not,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Min,
    Max,
    Pow,
    /// Whether it is no number.
    IsNan,
    IsInfinite,
    IsPositiveInfinity,
    IsNegativeInfinity,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// The second value where the first is true, else the third.
    Select,
}

/// A call as text.
pub(crate) struct Call {
    pub text: String,
    pub needs_functions: bool,
}

impl Function {
    /// The call over arguments of type `from` (for [`Function::Select`] that of
    /// the condition) that gives a value of type `to`.
    pub(crate) fn render(self, arguments: &[String], from: Dtype, to: Dtype) -> Call {
        let argument = |index: usize| arguments.get(index).map_or("", String::as_str);
        let (a, b, c) = (argument(0), argument(1), argument(2));
        let plain = |text: String| Call { text, needs_functions: false };
        match self {
            Function::Cast => cast(a, from, to),
            Function::Select => plain(format!("select({c}, {b}, {a})")),
            Function::Neg => plain(to.wrap(format!("-{a}"))),
            Function::Abs if from.stored() == "u32" || from == Dtype::U64 => plain(a.to_owned()),
            Function::Abs if from == Dtype::I64 => plain(format!("select({a}, -{a}, {a} < 0li)")),
            Function::Abs => plain(to.wrap(format!("abs({a})"))),
            Function::Sign => plain(format!("sign({a})")),
            Function::IsNan
            | Function::IsInfinite
            | Function::IsPositiveInfinity
            | Function::IsNegativeInfinity => {
                Call { text: format!("{}(f32({a}))", self.float_name().0), needs_functions: true }
            }
            Function::Square => plain(to.wrap(format!("{a} * {a}"))),
            Function::Add => plain(to.wrap(format!("{a} + {b}"))),
            Function::Sub => plain(to.wrap(format!("{a} - {b}"))),
            Function::Mul => plain(to.wrap(format!("{a} * {b}"))),
            Function::Div => plain(to.wrap(format!("{a} / {b}"))),
            Function::Rem if !from.is_float() => plain(format!("{a} % {b}")),
            Function::Pow if from == Dtype::I64 => {
                Call { text: format!("wide_power({a}, u32({b}))"), needs_functions: true }
            }
            Function::Pow if !from.is_float() => {
                Call { text: format!("whole_power({a}, u32({b}))"), needs_functions: true }
            }
            Function::Min | Function::Max if !from.is_float() => {
                plain(format!("{}({a}, {b})", if self == Function::Min { "min" } else { "max" }))
            }
            Function::ShiftLeft => plain(to.wrap(format!("{a} << u32({b})"))),
            Function::ShiftRight => plain(format!("{a} >> u32({b})")),
            Function::And => plain(format!("{a} && {b}")),
            Function::Or => plain(format!("{a} || {b}")),
            Function::Xor | Function::NotEqual => plain(format!("{a} != {b}")),
            Function::Not => plain(format!("!{a}")),
            Function::BitAnd => plain(format!("{a} & {b}")),
            Function::BitOr => plain(format!("{a} | {b}")),
            Function::BitXor => plain(format!("{a} ^ {b}")),
            Function::BitNot => plain(to.wrap(format!("~{a}"))),
            Function::Equal => plain(format!("{a} == {b}")),
            Function::Less => plain(format!("{a} < {b}")),
            Function::LessOrEqual => plain(format!("{a} <= {b}")),
            Function::Greater => plain(format!("{a} > {b}")),
            Function::GreaterOrEqual => plain(format!("{a} >= {b}")),
            _ => self.render_float(arguments, from),
        }
    }

    /// A function of floating-point numbers, computed in 32 bits.
    fn render_float(self, arguments: &[String], from: Dtype) -> Call {
        let (name, needs_functions) = self.float_name();
        let arguments: Vec<String> = match from {
            Dtype::F16 => arguments.iter().map(|argument| format!("f32({argument})")).collect(),
            _ => arguments.to_vec(),
        };
        let call = format!("{name}({})", arguments.join(", "));
        Call { text: if from == Dtype::F16 { format!("f16({call})") } else { call }, needs_functions }
    }

    /// What the function is called in WGSL, or in `kernels/functions.wgsl`.
    fn float_name(self) -> (&'static str, bool) {
        match self {
            Function::Sqrt => ("sqrt", false),
            Function::Exp => ("exp", false),
            Function::Ln => ("log", false),
            Function::Floor => ("floor", false),
            Function::Ceil => ("ceil", false),
            Function::RoundEven => ("round", false),
            Function::Sin => ("sin", false),
            Function::Cos => ("cos", false),
            Function::Tan => ("tan", false),
            Function::Asin => ("asin_of", true),
            Function::Acos => ("acos_of", true),
            Function::Atan => ("atan", false),
            Function::Sinh => ("sinh", false),
            Function::Cosh => ("cosh", false),
            Function::Asinh => ("asinh_of", true),
            Function::Acosh => ("acosh", false),
            Function::Atanh => ("atanh", false),
            Function::Recip => ("reciprocal", true),
            Function::Rsqrt => ("reciprocal_root", true),
            Function::Round => ("round_away", true),
            Function::Tanh => ("tanh_of", true),
            Function::Erf => ("erf", true),
            Function::Sigmoid => ("sigmoid", true),
            Function::Silu => ("silu", true),
            Function::HardSwish => ("hard_swish", true),
            Function::GeluErf => ("gelu_erf", true),
            Function::GeluTanh => ("gelu_tanh", true),
            Function::LeakyRelu => ("leaky_relu", true),
            Function::Min => ("smaller", true),
            Function::Max => ("larger", true),
            Function::Pow => ("power", true),
            Function::Rem => ("remainder", true),
            Function::IsNan => ("is_nan", true),
            Function::IsInfinite => ("is_infinite", true),
            Function::IsPositiveInfinity => ("is_positive_infinity", true),
            Function::IsNegativeInfinity => ("is_negative_infinity", true),
            // All others are rendered above.
            _ => ("abs", false),
        }
    }
}

/// Floats to integers saturate, and what is no number becomes 0.
fn cast(a: &str, from: Dtype, to: Dtype) -> Call {
    let plain = |text: String| Call { text, needs_functions: false };
    if from == to {
        return plain(a.to_owned());
    }
    if to == Dtype::Bool {
        return plain(format!("({a} != {}(0))", from.computed()));
    }
    if from == Dtype::Bool || to.is_float() {
        return plain(format!("{}({a})", to.computed()));
    }
    if from.is_float() {
        let wide = if from == Dtype::F16 { format!("f32({a})") } else { a.to_owned() };
        let name = match to {
            Dtype::U8 => "to_u8",
            Dtype::I8 => "to_i8",
            Dtype::U16 => "to_u16",
            Dtype::I16 => "to_i16",
            Dtype::U32 => "to_u32",
            Dtype::I32 => "to_i32",
            Dtype::U64 => return plain(format!("u64(select({wide}, 0.0, {wide} != {wide}))")),
            _ => return plain(format!("i64(select({wide}, 0.0, {wide} != {wide}))")),
        };
        return Call { text: format!("{name}({wide})"), needs_functions: true };
    }
    // Signs go along where there is room for them.
    let wide = if from.stored() == "i32" && to == Dtype::U64 { format!("i64({a})") } else { a.to_owned() };
    plain(to.wrap(format!("{}({wide})", to.computed())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::check_shader;
    use crate::shader::{Kernel, Spec};
    use crate::tail::Tail;

    static PROBE: Kernel = Kernel {
        name: "probe",
        body: "@compute @workgroup_size(1) fn main() { out[0] = finish(0u, 0.0); }",
        params: &["count"],
    };

    /// All functions, with the datatypes that they take.
    fn all() -> Vec<(Function, usize, Vec<Dtype>)> {
        use Dtype::{Bool, F16, F32, I8, I16, I32, I64, U8, U16, U32, U64};
        use Function::*;
        let floats = vec![F16, F32];
        let numbers = vec![F16, F32, I8, I16, I32, I64, U8, U16, U32, U64];
        let integers = numbers[2..].to_vec();
        let mut all = Vec::new();
        for function in [
            Recip, Sqrt, Rsqrt, Exp, Ln, Floor, Ceil, Round, RoundEven, Sin, Cos, Tan, Asin, Acos, Atan,
            Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Sigmoid, Silu, HardSwish, GeluErf, GeluTanh,
        ] {
            all.push((function, 1, floats.clone()));
        }
        all.push((LeakyRelu, 2, floats.clone()));
        all.push((Pow, 2, vec![F16, F32, I32, I64]));
        all.push((Sign, 1, vec![F16, F32, I32]));
        all.extend([Abs, Neg].map(|function| (function, 1, vec![F16, F32, I8, I16, I32, I64])));
        all.push((Square, 1, numbers.clone()));
        all.extend([Add, Sub, Mul, Div, Rem, Min, Max].map(|function| (function, 2, numbers.clone())));
        all.extend(
            [ShiftLeft, ShiftRight, BitAnd, BitOr, BitXor].map(|function| (function, 2, integers.clone())),
        );
        all.push((BitNot, 1, integers));
        all.push((Not, 1, vec![Bool]));
        all.extend([And, Or, Xor].map(|function| (function, 2, vec![Bool])));
        all
    }

    fn render(function: Function, arguments: &[Dtype], out: Dtype) {
        let mut tail = Tail::empty();
        // Numbers out of the parameters, which no compiler can know.
        let handles: Vec<_> = arguments
            .iter()
            .enumerate()
            .map(|(index, &dtype)| tail.scalar(dtype, [index as u32, 7]))
            .collect();
        tail.call(out, function, &handles);
        check_shader(&Spec::new(&PROBE, "f32", Some(&tail)).render().shader.text);
    }

    #[test]
    fn every_function_is_wgsl_for_every_datatype() {
        for (function, arguments, dtypes) in all() {
            for dtype in dtypes {
                render(function, &vec![dtype; arguments], dtype);
            }
        }
    }

    #[test]
    fn every_comparison_choice_and_cast_is_wgsl() {
        use Dtype::{Bool, F16, F32, I8, I16, I32, I64, U8, U16, U32, U64};
        let all = [Bool, F16, F32, I8, I16, I32, I64, U8, U16, U32, U64];
        for one in all {
            for other in all {
                render(Function::Cast, &[one], other);
            }
            render(Function::Select, &[Bool, one, one], one);
            let kinds = [
                Function::IsNan,
                Function::IsInfinite,
                Function::IsPositiveInfinity,
                Function::IsNegativeInfinity,
            ];
            for function in kinds.into_iter().filter(|_| one.is_float()) {
                render(function, &[one], Bool);
            }
            for function in [Function::Equal, Function::NotEqual] {
                render(function, &[one, one], Bool);
            }
            let ordered =
                [Function::Less, Function::LessOrEqual, Function::Greater, Function::GreaterOrEqual];
            for function in ordered.into_iter().filter(|_| one != Bool) {
                render(function, &[one, one], Bool);
            }
        }
    }
}
