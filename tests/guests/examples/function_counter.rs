//! Counts the calls to this instance: 1 every time if instances are fresh.

use std::sync::atomic::{AtomicI64, Ordering};

#[samara_sdk::function(output = "calls")]
fn counter() -> i64 {
    static CALLS: AtomicI64 = AtomicI64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}
