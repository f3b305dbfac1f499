//! Never answers.

#[samara_sdk::function]
fn endless(x: f32) -> f32 {
    while std::hint::black_box(true) {}
    x
}
