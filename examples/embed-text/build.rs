//! Sorts the vocabulary into a table, so that an instance has nothing to read when it starts.

use std::fmt::Write;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=vocab.txt");
    let Ok(vocabulary) = std::fs::read_to_string("vocab.txt") else {
        println!("cargo::error=vocab.txt is missing: `python3 make_model.py .` writes it (see README.md)");
        return;
    };
    let mut words: Vec<(&str, usize)> = vocabulary.lines().zip(0..).collect();
    words.sort_unstable();
    let mut table = format!("static WORDS: [(&str, u16); {}] = [\n", words.len());
    for (word, token) in words {
        writeln!(table, "({word:?}, {token}),").expect("a String takes all");
    }
    table.push_str("];\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("words.rs"), table).expect("cargo's folder can be written");
}
