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
            Function::Abs => plain(to.wrap(format!("abs({a})"))),
            Function::Sign => plain(format!("sign({a})")),
            Function::Square => plain(to.wrap(format!("{a} * {a}"))),
            Function::Add => plain(to.wrap(format!("{a} + {b}"))),
            Function::Sub => plain(to.wrap(format!("{a} - {b}"))),
            Function::Mul => plain(to.wrap(format!("{a} * {b}"))),
            Function::Div => plain(to.wrap(format!("{a} / {b}"))),
            Function::Rem => plain(format!("{a} % {b}")),
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
