//! What is computed for every element of a step's output once its kernel has
//! found a value: a chain of element-wise functions over that value, further
//! tensors and numbers, fused into the kernel's own shader.
//!
//! Elements are told apart by their index in row order alone, so that a
//! reshaped output keeps its tail. Numbers and sizes reach the shader as
//! uniforms: its text says only which functions are applied to what.

mod function;

use std::fmt::Write;

use tract_core::internal::TDim;

pub(crate) use function::Function;

use crate::dtype::{Dtype, Need};
use crate::view::{Axis, View, is_one, is_zero, same};

/// A chain of functions, one value after the other; the last is the output.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    /// Tensors with as many elements as the output, in its order.
    inputs: Vec<View>,
    /// The bits of numbers, low word first.
    scalars: Vec<[u32; 2]>,
    values: Vec<Value>,
}

#[derive(Debug, Clone)]
struct Value {
    dtype: Dtype,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// What the kernel found.
    Kernel,
    Input(usize),
    Scalar(usize),
    Call(Function, Vec<Handle>),
}

/// A value of a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle(usize);

/// One word of a shader's parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    Size(TDim),
    Bits(u32),
}

/// A tail as a part of a shader.
pub(crate) struct Rendered {
    /// The function `finish`.
    pub text: String,
    /// What `params.tail` holds.
    pub words: Vec<Word>,
    /// Whether `text` calls functions of `kernels/functions.wgsl`.
    pub needs_functions: bool,
    /// Whether it computes with integers of 64 bits.
    pub is_wide: bool,
}

impl Tail {
    /// A tail that hands on what the kernel found.
    pub(crate) fn of_kernel(dtype: Dtype) -> Self {
        let mut tail = Self::empty();
        tail.push(dtype, Source::Kernel);
        tail
    }

    /// A tail of no value yet, for a kernel that finds nothing by itself.
    pub(crate) fn empty() -> Self {
        Self { inputs: Vec::new(), scalars: Vec::new(), values: Vec::new() }
    }

    pub(crate) fn inputs(&self) -> &[View] {
        &self.inputs
    }

    /// The output.
    pub(crate) fn last(&self) -> Handle {
        Handle(self.values.len().saturating_sub(1))
    }

    pub(crate) fn dtype(&self, value: Handle) -> Dtype {
        self.values[value.0].dtype
    }

    /// How many functions it applies.
    pub(crate) fn calls(&self) -> usize {
        self.values.iter().filter(|value| matches!(value.source, Source::Call(..))).count()
    }

    /// The names of the functions that it applies, in order.
    pub(crate) fn call_names(&self) -> Vec<String> {
        let names = self.values.iter().filter_map(|value| match &value.source {
            Source::Call(function, _) => Some(format!("{function:?}").to_lowercase()),
            _ => None,
        });
        names.collect()
    }

    pub(crate) fn input(&mut self, view: View) -> Handle {
        let dtype = view.dtype;
        if let Some(known) = self.inputs.iter().position(|input| *input == view) {
            let read = |value: &Value| matches!(value.source, Source::Input(input) if input == known);
            if let Some(index) = self.values.iter().position(read) {
                return Handle(index);
            }
        }
        self.inputs.push(view);
        self.push(dtype, Source::Input(self.inputs.len() - 1))
    }

    /// A number, given by its bits.
    pub(crate) fn scalar(&mut self, dtype: Dtype, bits: [u32; 2]) -> Handle {
        self.scalars.push(bits);
        self.push(dtype, Source::Scalar(self.scalars.len() - 1))
    }

    pub(crate) fn float(&mut self, dtype: Dtype, value: f32) -> Handle {
        let bits = match dtype {
            Dtype::F16 => u32::from(half::f16::from_f32(value).to_bits()),
            _ => value.to_bits(),
        };
        self.scalar(dtype, [bits, 0])
    }

    pub(crate) fn call(&mut self, dtype: Dtype, function: Function, arguments: &[Handle]) -> Handle {
        self.push(dtype, Source::Call(function, arguments.to_vec()))
    }

    /// Takes over all that `other` computes and gives its output.
    pub(crate) fn absorb(&mut self, other: Tail) -> Handle {
        let mut places: Vec<Handle> = Vec::with_capacity(other.values.len());
        for value in other.values {
            let place = match value.source {
                Source::Kernel => self.push(value.dtype, Source::Kernel),
                Source::Input(index) => self.input(other.inputs[index].clone()),
                Source::Scalar(index) => self.scalar(value.dtype, other.scalars[index]),
                Source::Call(function, arguments) => {
                    let arguments: Vec<Handle> =
                        arguments.iter().map(|argument| places[argument.0]).collect();
                    self.call(value.dtype, function, &arguments)
                }
            };
            places.push(place);
        }
        places.last().copied().unwrap_or(Handle(0))
    }

    fn push(&mut self, dtype: Dtype, source: Source) -> Handle {
        self.values.push(Value { dtype, source });
        Handle(self.values.len() - 1)
    }

    /// The function `NAME(i, found)`, which gives the element to store at index
    /// `i` of the output. It reads its tensors, each called `tensors` and a
    /// number, and `params.tail`, where the words `before` come first.
    pub(crate) fn render(&self, name: &str, tensors: &str, before: Vec<Word>) -> Rendered {
        let mut writer = Writer { words: before, ..Writer::default() };
        let mut text = String::new();
        for (index, value) in self.values.iter().enumerate() {
            let expression = match &value.source {
                Source::Kernel => format!("{}(found)", value.dtype.computed()),
                Source::Input(input) => {
                    let place = writer.place(&mut text, &self.inputs[*input]);
                    value.dtype.load(&format!("{tensors}{input}[{place}]"))
                }
                Source::Scalar(scalar) => writer.scalar(value.dtype, self.scalars[*scalar]),
                Source::Call(function, arguments) => {
                    let names: Vec<String> =
                        arguments.iter().map(|argument| format!("v{}", argument.0)).collect();
                    let from = arguments.first().map_or(value.dtype, |&argument| self.dtype(argument));
                    let call = function.render(&names, from, value.dtype);
                    writer.needs_functions |= call.needs_functions;
                    call.text
                }
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "    let v{index} = {expression};");
        }
        let out = self.values.last().map_or(Dtype::F32, |value| value.dtype);
        let stored = out.store(&format!("v{}", self.last().0));
        let text = format!(
            "fn {name}(i: u32, found: Found) -> {} {{\n{text}    return {stored};\n}}\n",
            out.stored()
        );
        let is_wide = self.values.iter().any(|value| value.dtype.need() == Some(Need::Int64));
        Rendered { text, words: writer.words, needs_functions: writer.needs_functions, is_wide }
    }
}

/// What a shader calls a word of `params.tail`.
pub(crate) fn word_name(index: usize) -> String {
    format!("params.tail[{}].{}", index / 4, ["x", "y", "z", "w"][index % 4])
}

/// A function `NAME(i)` that gives the place in `view` of the element with
/// index `i`, and the words that it reads from `params.tail`, where `before`
/// words come first.
pub(crate) fn render_place(name: &str, view: &View, before: Vec<Word>) -> (String, Vec<Word>) {
    let mut writer = Writer { words: before, ..Writer::default() };
    let mut text = String::new();
    let place = writer.place(&mut text, view);
    (format!("fn {name}(i: u32) -> u32 {{\n{text}    return {place};\n}}\n"), writer.words)
}

#[derive(Default)]
struct Writer {
    words: Vec<Word>,
    needs_functions: bool,
    /// Sizes that an index was taken apart by, with the names of its parts.
    split: Vec<(Vec<TDim>, String)>,
}

impl Writer {
    /// The name of a word of the parameters.
    fn word(&mut self, word: Word) -> String {
        let known = self.words.iter().position(|known| *known == word);
        let index = known.unwrap_or_else(|| {
            self.words.push(word);
            self.words.len() - 1
        });
        word_name(index)
    }

    fn scalar(&mut self, dtype: Dtype, [low, high]: [u32; 2]) -> String {
        let low = self.word(Word::Bits(low));
        match dtype {
            Dtype::F32 => format!("bitcast<f32>({low})"),
            Dtype::F16 => format!("f16(unpack2x16float({low}).x)"),
            Dtype::Bool => format!("({low} != 0u)"),
            Dtype::U64 | Dtype::I64 => {
                let high = self.word(Word::Bits(high));
                let bits = format!("(u64({low}) | (u64({high}) << 32u))");
                if dtype == Dtype::U64 { bits } else { format!("bitcast<i64>({bits})") }
            }
            _ if dtype.stored() == "i32" => format!("bitcast<i32>({low})"),
            _ => low,
        }
    }

    /// Where the element with index `i` lies.
    fn place(&mut self, text: &mut String, view: &View) -> String {
        let axes = view.collapsed();
        let mut place = match is_zero(&view.offset) {
            true => String::new(),
            false => self.word(Word::Size(view.offset.clone())),
        };
        let mut add = |term: String| {
            place = if place.is_empty() { term } else { format!("{place} + {term}") };
        };
        match &axes[..] {
            _ if view.is_one_element() => {}
            _ if view.is_row_major() => add("i".to_owned()),
            _ => {
                let parts = self.take_apart(text, &axes);
                for (index, axis) in axes.iter().enumerate().filter(|(_, axis)| !is_zero(&axis.stride)) {
                    let part = format!("{parts}_{index}");
                    match is_one(&axis.stride) {
                        true => add(part),
                        false => add(format!("{part} * {}", self.word(Word::Size(axis.stride.clone())))),
                    }
                }
            }
        }
        if place.is_empty() { "0u".to_owned() } else { place }
    }

    /// Takes index `i` apart along axes, and gives what the names of the parts
    /// begin with.
    fn take_apart(&mut self, text: &mut String, axes: &[Axis]) -> String {
        let sizes: Vec<TDim> = axes.iter().map(|axis| axis.size.clone()).collect();
        let equal = |known: &Vec<TDim>| {
            known.len() == sizes.len() && known.iter().zip(&sizes).all(|(known, size)| same(known, size))
        };
        if let Some((_, name)) = self.split.iter().find(|(known, _)| equal(known)) {
            return name.clone();
        }
        let name = format!("c{}", self.split.len());
        let mut rest = "i".to_owned();
        for (index, size) in sizes.iter().enumerate().skip(1).rev() {
            let size = self.word(Word::Size(size.clone()));
            let _ = writeln!(text, "    let {name}_{index} = {rest} % {size};");
            let _ = writeln!(text, "    let {name}_{index}r = {rest} / {size};");
            rest = format!("{name}_{index}r");
        }
        let _ = writeln!(text, "    let {name}_0 = {rest};");
        self.split.push((sizes, name.clone()));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Root;

    fn whole(root: usize, shape: &[i64]) -> View {
        let shape: Vec<TDim> = shape.iter().map(|&size| TDim::from(size)).collect();
        View::whole(Root(root), Dtype::F32, &shape)
    }

    #[test]
    fn the_text_depends_on_functions_and_strides_but_not_on_sizes() {
        let text = |channels: i64, bound: f32| {
            let mut tail = Tail::of_kernel(Dtype::F32);
            let found = tail.last();
            let mut bias = whole(1, &[channels, 1, 1]);
            assert!(bias.broadcast(&[2, channels, 5, 5].map(TDim::from)).is_empty());
            let bias = tail.input(bias);
            let sum = tail.call(Dtype::F32, Function::Add, &[found, bias]);
            let bound = tail.float(Dtype::F32, bound);
            tail.call(Dtype::F32, Function::Min, &[sum, bound]);
            tail.render("finish", "tail", Vec::new())
        };
        let (one, other) = (text(3, 6.0), text(8, f32::INFINITY));
        assert_eq!(one.text, other.text);
        assert_ne!(one.words, other.words);
    }

    #[test]
    fn absorbing_reads_no_tensor_twice() {
        let mut one = Tail::empty();
        let x = one.input(whole(1, &[4]));
        one.call(Dtype::F32, Function::Exp, &[x]);
        let mut tail = Tail::empty();
        let x = tail.input(whole(1, &[4]));
        let y = tail.absorb(one);
        tail.call(Dtype::F32, Function::Mul, &[x, y]);
        assert_eq!(tail.inputs().len(), 1);
        assert_eq!(tail.call_names(), ["exp", "mul"]);
    }
}
