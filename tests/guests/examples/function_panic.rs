//! Panics with a message that names its input.

#[samara_sdk::function]
fn panics(x: f32) -> f32 {
    panic!("no good comes of {x}")
}
