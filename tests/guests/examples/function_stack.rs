//! Calls itself until the stack ends.

#[samara_sdk::function]
fn stack(x: i64) -> i64 {
    deeper(x)
}

#[allow(unconditional_recursion, reason = "that is the case")]
fn deeper(x: i64) -> i64 {
    // The buffer outlives the call, so that this cannot become a loop.
    let buffer = std::hint::black_box([x; 64]);
    deeper(x + 1) + buffer[63]
}
