//! The time in seconds since 1970, a pause of a millisecond by the monotonic
//! clock, and eight random bytes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use samara_sdk::Error;

#[samara_sdk::function(outputs = ["seconds", "paused_nanoseconds", "random"])]
fn clock_random() -> Result<(i64, i64, u64), Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(1));
    let paused = start.elapsed().as_nanos();
    // The hasher's key comes from the host's randomness.
    let random = RandomState::new().hash_one(0);
    Ok((i64::try_from(seconds)?, i64::try_from(paused)?, random))
}
