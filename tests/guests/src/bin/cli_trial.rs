//! A trial of a sweep: prints what it was told as one JSON object, among other
//! lines, or writes it into the file that `--into` names. `--fail=WORDS` ends it
//! with these words and a failure, `--loop=true` says so and never ends.

use std::collections::BTreeMap;

fn main() -> std::process::ExitCode {
    let mut told: BTreeMap<String, String> =
        std::env::vars().map(|(name, value)| (format!("env.{name}"), value)).collect();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        told.insert(name.trim_start_matches('-').to_owned(), value.to_owned());
    }
    if let Some(words) = told.get("fail").filter(|words| !words.is_empty()) {
        eprintln!("before the end\nerror: {words}");
        return std::process::ExitCode::FAILURE;
    }
    if told.get("loop").is_some_and(|value| value == "true") {
        eprintln!("looping");
        loop {
            std::hint::black_box(&told);
        }
    }
    let into = told.get("into").cloned();
    let members: Vec<String> = told.iter().map(|(name, value)| member(name, value)).collect();
    let object = format!("{{{}}}", members.join(","));
    println!("{{\"epoch\":1}}");
    match into {
        Some(file) => std::fs::write(file, object).expect("the file can be written"),
        None => println!("{object}\nthat was all"),
    }
    std::process::ExitCode::SUCCESS
}

/// A number as a number, all else as a string.
fn member(name: &str, value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{name:?}:{number}"),
        _ => format!("{name:?}:{value:?}"),
    }
}
