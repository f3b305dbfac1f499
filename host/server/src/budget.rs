//! How many bytes of request bodies a server holds at a time, of all requests
//! together: each is bounded by itself, and there are many connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// The bytes that all requests together may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    most: AtomicU64,
    held: AtomicU64,
}

/// What one request holds of them; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    held: AtomicU64,
}

impl Budget {
    /// Room for `most` bytes.
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most: AtomicU64::new(most), held: AtomicU64::new(0) })
    }

    /// Room for so many bytes from now on. What is held stays.
    pub(crate) fn resize(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// What all shares hold together.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share that holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), held: AtomicU64::new(0) }
    }
}

impl Share {
    /// Holds so many bytes more.
    ///
    /// # Errors
    /// [`Error::Crowded`] when all requests together then hold too many.
    pub(crate) fn take(&self, bytes: u64) -> Result<()> {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let held = self.budget.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let most = self.budget.most.load(Ordering::Relaxed);
        match held <= most {
            true => Ok(()),
            false => Err(Error::Crowded { limit: most }),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budget = Budget::new(10);
        let (one, two) = (budget.share(), budget.share());
        one.take(6).unwrap();
        two.take(4).unwrap();
        assert!(matches!(two.take(1), Err(Error::Crowded { limit: 10 })));
        drop(two);
        one.take(4).unwrap();
        drop(one);
        assert_eq!(budget.held(), 0);
    }
}
