//! Guests of HTTP functions. They may work on when their answer is complete and
//! its connection closed, and the end of a server waits for them too.

use tokio::sync::watch;

/// How many there are.
#[derive(Debug)]
pub(crate) struct Guests(watch::Sender<usize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guest(watch::Sender<usize>);

impl Default for Guests {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Guests {
    pub(crate) fn begin(&self) -> Guest {
        self.0.send_modify(|count| *count += 1);
        Guest(self.0.clone())
    }

    /// Waits until there is none.
    pub(super) async fn gone(&self) {
        // There is a sender for as long as this is waited for.
        let _ = self.0.subscribe().wait_for(|&count| count == 0).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::select;

    use super::*;

    #[tokio::test]
    async fn the_last_one_is_waited_for() {
        let guests = Guests::default();
        guests.gone().await;
        let (first, second) = (guests.begin(), guests.begin());
        for guest in [first, second] {
            select! {
                biased;
                () = guests.gone() => panic!("one is there"),
                () = std::future::ready(()) => drop(guest),
            }
        }
        guests.gone().await;
    }
}
