//! Completes a kernel's WGSL text: parameters, bindings, datatypes and the tail.

use std::fmt::Write;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::tail::{Tail, Word};

/// A kernel file. Its `main` reads `params`, the inputs by their names, and
/// writes `out[…] = finish(i, found)`.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub name: &'static str,
    pub body: &'static str,
    /// The names of its parameters, each one word.
    pub params: &'static [&'static str],
}

/// A kernel with all that a shader takes.
pub(crate) struct Spec<'a> {
    pub kernel: &'static Kernel,
    /// The tensors that the kernel reads, with the names that it gives them.
    pub inputs: &'a [(&'static str, Dtype)],
    /// The WGSL type of what it hands to `finish`.
    pub found: &'static str,
    /// Further declarations, such as constants that choose between variants.
    pub declarations: Vec<String>,
    pub tail: Option<&'a Tail>,
    /// A tail for what the kernel finds on its way, as the function `score`.
    pub scores: Option<&'a Tail>,
    /// The stored WGSL type of the output.
    pub out: &'static str,
    /// Words of `params.tail` that the declarations read, which come first.
    pub words: Vec<Word>,
    /// Whether it may find values that it cannot go on with. Its first parameter
    /// is then the number that it leaves in `faults`.
    pub has_faults: bool,
}

/// The text of a shader, ready to be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    pub name: &'static str,
    pub text: Arc<str>,
    /// Buffers that it reads; it writes one.
    pub reads: usize,
    /// Whether it also has a place to tell faults.
    pub has_faults: bool,
}

/// A shader, and what its `params.tail` holds.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub shader: Shader,
    pub words: Vec<Word>,
}

/// The most buffers that a shader may read beside the one that it writes:
/// what every device offers.
pub(crate) const MOST_READS: usize = 7;

const FUNCTIONS: &str = include_str!("kernels/functions.wgsl");
/// Those of integers of 64 bits, which not every device knows.
const WIDE_FUNCTIONS: &str = include_str!("kernels/functions_wide.wgsl");

impl<'a> Spec<'a> {
    /// A kernel that reads nothing and declares nothing, with `found` as what it
    /// hands to the tail, or as the output where there is none.
    pub(crate) fn new(kernel: &'static Kernel, found: &'static str, tail: Option<&'a Tail>) -> Self {
        let out = tail.map_or(found, |tail| tail.dtype(tail.last()).stored());
        Self {
            kernel,
            inputs: &[],
            found,
            declarations: Vec::new(),
            tail,
            scores: None,
            out,
            words: Vec::new(),
            has_faults: false,
        }
    }

    pub(crate) fn render(&self) -> Variant {
        let mut words = self.words.clone();
        let (mut tails, mut needs_functions, mut is_wide) = (String::new(), false, false);
        let named = [("score", "score", self.scores), ("finish", "tail", self.tail)];
        for (name, tensors, tail) in
            named.iter().filter_map(|&(name, tensors, tail)| Some((name, tensors, tail?)))
        {
            let rendered = tail.render(name, tensors, words);
            tails.push_str(&rendered.text);
            needs_functions |= rendered.needs_functions;
            is_wide |= rendered.is_wide;
            words = rendered.words;
        }
        let functions = match (needs_functions, is_wide) {
            (false, _) => &[][..],
            (true, false) => &[FUNCTIONS],
            (true, true) => &[FUNCTIONS, WIDE_FUNCTIONS],
        };
        words.resize(words.len().next_multiple_of(4), Word::Bits(0));
        let of_tails = named.iter().flat_map(|(_, tensors, tail)| {
            let inputs = tail.map_or(&[][..], Tail::inputs);
            inputs.iter().enumerate().map(move |(index, view)| (format!("{tensors}{index}"), view.dtype))
        });
        let inputs = self.inputs.iter().map(|(name, dtype)| ((*name).to_owned(), *dtype));
        let inputs: Vec<(String, Dtype)> = inputs.chain(of_tails).collect();
        let mut text = String::new();
        text.push_str("struct Params {\n");
        for name in self.kernel.params {
            let _ = writeln!(text, "    {name}: u32,");
        }
        let _ = writeln!(text, "    tail: array<vec4<u32>, {}>,\n}}", (words.len() / 4).max(1));
        text.push_str("@group(0) @binding(0) var<uniform> params: Params;\n");
        let _ = writeln!(text, "@group(0) @binding(1) var<storage, read_write> out: array<{}>;", self.out);
        for (index, (name, dtype)) in inputs.iter().enumerate() {
            let (binding, element) = (index + 2, dtype.stored());
            let _ =
                writeln!(text, "@group(0) @binding({binding}) var<storage, read> {name}: array<{element}>;");
        }
        let reads = inputs.len();
        if self.has_faults {
            let binding = reads + 2;
            let _ =
                writeln!(text, "@group(0) @binding({binding}) var<storage, read_write> faults: atomic<u32>;");
        }
        let _ = writeln!(text, "alias Found = {};", self.found);
        for declaration in &self.declarations {
            let _ = writeln!(text, "{declaration}");
        }
        text.extend(functions.iter().copied());
        text.push_str(&tails);
        text.push_str(self.kernel.body);
        for (word, extension) in [("coop_mat", "wgpu_cooperative_matrix"), ("f16", "f16")] {
            if text.contains(word) {
                text.insert_str(0, &format!("enable {extension};\n"));
            }
        }
        let shader = Shader { name: self.kernel.name, text: text.into(), reads, has_faults: self.has_faults };
        Variant { shader, words }
    }
}
