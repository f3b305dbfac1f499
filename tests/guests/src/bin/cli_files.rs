//! Prints the file that its first argument names, and appends the second, if
//! any, to it.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "/data/hello.txt".to_owned());
    print!("{}", std::fs::read_to_string(&path)?);
    if let Some(line) = arguments.next() {
        writeln!(std::fs::OpenOptions::new().append(true).open(&path)?, "{line}")?;
    }
    Ok(())
}
