//! Prints its input to standard output and to standard error.

#[samara_sdk::function]
fn stdout(text: String) -> String {
    println!("out: {text}");
    eprintln!("err: {text}");
    text
}
