//! Whether an instance serves one call or several.

use std::sync::{Mutex, PoisonError};

/// The life of an instance. A reused one keeps its memory, so a call can see
/// what an earlier one left: an explicit choice, never the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reuse {
    /// A fresh instance per call.
    #[default]
    Never,
    /// An instance serves up to this many calls, one at a time. One that
    /// failed is not used again.
    Calls(u32),
}

impl Reuse {
    /// Whether an instance that served `calls` may serve another.
    pub(crate) fn allows(self, calls: u32) -> bool {
        match self {
            Reuse::Never => false,
            Reuse::Calls(most) => calls < most,
        }
    }
}

/// Idle instances of one stage, most recently used first, so that what is used
/// least cools down.
pub(crate) struct Idle<T> {
    items: Mutex<Vec<T>>,
    most: usize,
}

impl<T> Idle<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { items: Mutex::default(), most }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn put(&self, item: T) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() < self.most {
            items.push(item);
        }
    }
}
