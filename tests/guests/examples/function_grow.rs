//! Takes memory, and touches it, until it is refused; then it aborts.

#[samara_sdk::function]
fn grow(mebibytes_at_once: i64) -> i64 {
    let size = usize::try_from(mebibytes_at_once).unwrap_or(1).max(1) << 20;
    let mut held = Vec::new();
    loop {
        // An allocation that is refused ends the program.
        held.push(std::hint::black_box(vec![1u8; size]));
    }
}
