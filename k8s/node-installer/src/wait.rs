//! Doing nothing until told to end.

use std::mem::MaybeUninit;

use anyhow::{Result, ensure};

/// Sleeps until SIGTERM or SIGINT. A pod's first process would not be ended by
/// them otherwise.
///
/// # Errors
/// When the signals cannot be waited for.
pub(crate) fn for_the_end() -> Result<()> {
    let mut set = MaybeUninit::uninit();
    let mut signal = 0;
    // SAFETY: `sigemptyset` initialises the set before anything reads it, and
    // all pointers are to variables of this function, which is the only thread.
    let failed = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0
            || libc::sigwait(set.as_ptr(), &raw mut signal) != 0
    };
    ensure!(!failed, "cannot wait for signals");
    Ok(())
}
