//! Exits in the middle of a call.

#[samara_sdk::function]
fn exit(code: i32) -> i32 {
    std::process::exit(code)
}
