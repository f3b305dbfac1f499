//! What the messages of one request of gRPC take of the memory that there is
//! for bodies: from their arrival until each is answered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::arrival::PREFIX;
use crate::budget::Share;
use crate::error::{Error, Result};

tokio::task_local! {
    /// Of the request whose messages this task reads.
    static HELD: Arc<Held>;
}

/// The messages of one request. A message counts as it arrives, and as what it
/// becomes where that is larger: lists of numbers do in memory.
#[derive(Debug)]
pub(super) struct Held {
    share: Share,
    /// The most that the lists of one message may become, in bytes.
    limit: u64,
    /// What the messages hold that were read and not taken over, in their order.
    read: Mutex<VecDeque<u64>>,
}

impl Held {
    /// Of nothing yet. The lists of a message become `limit` bytes at most.
    pub(super) fn new(share: Share, limit: u64) -> Arc<Self> {
        Arc::new(Self { share, limit, read: Mutex::default() })
    }

    /// Lets the messages that `work` reads count here.
    pub(super) async fn within<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        HELD.scope(Arc::clone(self), work).await
    }

    /// The one that messages count in here, if any.
    pub(super) fn here() -> Option<Arc<Self>> {
        HELD.try_with(Arc::clone).ok()
    }

    /// So many bytes came.
    ///
    /// # Errors
    /// [`Error::Crowded`].
    pub(super) fn arrived(&self, bytes: usize) -> Result<()> {
        self.share.take(bytes as u64)
    }

    /// So many bytes that came are kept no longer.
    pub(super) fn passed_on(&self, bytes: usize) {
        drop(self.share.split(bytes as u64));
    }

    /// Takes over what the next message holds that was read.
    pub(super) fn next(&self) -> Share {
        let next = self.read.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.share.split(next.unwrap_or_default())
    }

    fn read(&self, message: usize, lists: u64) -> Result<()> {
        if lists > self.limit {
            let what = "what the typed contents of a message hold, in memory,";
            return Err(Error::TooLarge { what, limit: self.limit });
        }
        let message = (PREFIX + message) as u64;
        self.share.take(lists.saturating_sub(message))?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).push_back(message.max(lists));
        Ok(())
    }
}

/// A message of so many bytes is about to be read, whose lists become that
/// large.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Crowded`].
pub(super) fn reading(message: usize, lists: u64) -> Result<()> {
    HELD.try_with(|held| held.read(message, lists)).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    #[tokio::test]
    async fn a_message_is_held_as_the_larger_of_its_forms_until_it_is_answered() {
        let budget = Budget::new(100);
        let held = Held::new(budget.share(), 60);
        held.within(async {
            held.arrived(PREFIX + 20 + PREFIX + 10).unwrap();
            reading(20, 60).unwrap();
            reading(10, 0).unwrap();
            assert_eq!(budget.held(), 60 + PREFIX as u64 + 10);
            assert!(matches!(reading(20, 61), Err(Error::TooLarge { limit: 60, .. })));
        })
        .await;
        let (first, second) = (held.next(), held.next());
        drop(held);
        assert_eq!(budget.held(), 60 + PREFIX as u64 + 10);
        drop(first);
        assert_eq!(budget.held(), PREFIX as u64 + 10);
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn lists_need_room_beside_what_others_hold() {
        let budget = Budget::new(100);
        let others = budget.share();
        others.take(50).unwrap();
        let held = Held::new(budget.share(), 60);
        held.arrived(20).unwrap();
        let refused = held.within(async { reading(15, 60) }).await;
        assert!(matches!(refused, Err(Error::Crowded { limit: 100 })));
        assert!(Held::here().is_none() && reading(15, 1000).is_ok());
    }
}
