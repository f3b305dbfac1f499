//! Room for a number of those who come and go, which may become larger or
//! smaller meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, Semaphore};

/// Room for so many. Whoever is in stays when there is less of it: as many as
/// are then too many have to leave before anybody else comes in.
#[derive(Debug)]
pub(crate) struct Room {
    places: Semaphore,
    size: AtomicUsize,
    /// Places that are taken although there is no room for them any more. They
    /// are not given to anybody else when they become free.
    owed: AtomicUsize,
    /// Held while the size changes.
    changing: Mutex<()>,
}

/// A place in a room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Room>);

impl Room {
    /// Room for so many, and for one at least.
    pub(crate) fn new(size: usize) -> Arc<Self> {
        let size = within_bounds(size);
        Arc::new(Self {
            places: Semaphore::new(size),
            size: AtomicUsize::new(size),
            owed: AtomicUsize::new(0),
            changing: Mutex::default(),
        })
    }

    /// How many it has room for.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// How many are in.
    pub(crate) fn taken(&self) -> usize {
        let places = self.size() + self.owed.load(Ordering::Relaxed);
        places.saturating_sub(self.places.available_permits())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Place> {
        self.places.try_acquire().ok()?.forget();
        Some(Place(Arc::clone(self)))
    }

    /// Waits for a place, in order.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Place, AcquireError> {
        self.places.acquire().await?.forget();
        Ok(Place(Arc::clone(self)))
    }

    /// Makes room for so many from now on, and for one at least.
    pub(crate) fn resize(&self, size: usize) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let size = within_bounds(size);
        let before = self.size.swap(size, Ordering::Relaxed);
        if size < before {
            self.owed.fetch_add(before - size, Ordering::Relaxed);
            // Those that nobody has go at once, and come back where others
            // have left meanwhile instead.
            let gone = self.places.forget_permits(before - size);
            self.places.add_permits(gone - self.pay(gone));
        } else {
            let new = size - before;
            self.places.add_permits(new - self.pay(new));
        }
    }

    /// Takes so many off what is owed, or all of it; gives how many.
    fn pay(&self, places: usize) -> usize {
        let less = |owed: usize| (owed > 0).then(|| owed.saturating_sub(places));
        let owed = self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        owed.unwrap_or(0).min(places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(room) = self;
        room.places.add_permits(1 - room.pay(1));
    }
}

fn within_bounds(size: usize) -> usize {
    size.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(room: &Arc<Room>) -> Vec<Place> {
        std::iter::from_fn(|| room.try_take()).collect()
    }

    #[test]
    fn a_larger_room_has_more_places_at_once() {
        let room = Room::new(2);
        let first = fill(&room);
        assert_eq!((first.len(), room.taken()), (2, 2));
        room.resize(5);
        assert_eq!((fill(&room).len(), room.taken()), (3, 5));
        room.resize(usize::MAX);
        assert!(!room.is_full());
        room.resize(2);
        assert_eq!((room.is_full(), room.taken()), (true, 2));
    }

    #[test]
    fn those_who_are_in_stay_in_a_smaller_room_and_leave_first() {
        let room = Room::new(4);
        let mut inside = fill(&room);
        room.resize(2);
        assert_eq!((room.size(), room.taken()), (2, 4));
        for left in [3, 2] {
            inside.pop();
            assert_eq!((room.taken(), room.try_take().is_none()), (left, true));
        }
        inside.pop();
        let last = fill(&room);
        assert_eq!((last.len(), room.taken()), (1, 2));
        drop(last);
        drop(inside);
        assert_eq!((room.taken(), fill(&room).len()), (0, 2));
    }

    #[test]
    fn what_is_owed_is_paid_by_what_is_added() {
        let room = Room::new(4);
        let mut inside = fill(&room);
        room.resize(1);
        room.resize(3);
        assert_eq!((room.taken(), room.try_take().is_none()), (4, true));
        room.resize(6);
        assert_eq!(fill(&room).len(), 2);
        inside.clear();
        assert_eq!((room.taken(), fill(&room).len()), (0, 6));
    }

    #[test]
    fn free_places_go_at_once() {
        let room = Room::new(4);
        let inside = room.try_take();
        room.resize(0);
        assert_eq!((room.size(), room.is_full()), (1, true));
        drop(inside);
        assert_eq!(fill(&room).len(), 1);
    }

    #[tokio::test]
    async fn those_who_wait_get_the_places_that_are_added() {
        let room = Room::new(1);
        let inside = room.try_take().unwrap();
        let waiting = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.take().await.unwrap() }
        });
        room.resize(2);
        drop(waiting.await.unwrap());
        drop(inside);
        assert_eq!(room.taken(), 0);
    }
}
