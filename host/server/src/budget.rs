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

    /// Hands over so many of the bytes that it holds, or all of them.
    pub(crate) fn split(&self, bytes: u64) -> Share {
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let before = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let part = before.unwrap_or_default().min(bytes);
        Share { budget: Arc::clone(&self.budget), held: AtomicU64::new(part) }
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

    #[test]
    fn a_part_is_given_back_by_itself() {
        let budget = Budget::new(10);
        let whole = budget.share();
        whole.take(8).unwrap();
        let part = whole.split(3);
        drop(whole.split(1));
        assert_eq!(budget.held(), 7);
        drop(whole);
        assert_eq!(budget.held(), 3);
        drop(part.split(100));
        assert_eq!((part.held.load(Ordering::Relaxed), budget.held()), (0, 0));
        budget.resize(2);
        assert!(matches!(budget.share().take(3), Err(Error::Crowded { limit: 2 })));
    }
}
