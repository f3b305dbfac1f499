//! Executes `unreachable`.

#[samara_sdk::function]
fn trap(#[tensor(name = "x")] _x: f32) -> f32 {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}
