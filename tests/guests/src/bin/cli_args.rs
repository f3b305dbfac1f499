//! Prints its arguments, one a line, then its environment, sorted.

fn main() {
    for argument in std::env::args().skip(1) {
        println!("{argument}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value}");
    }
}
