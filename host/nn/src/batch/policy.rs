//! When waiting calls are taken, and which of them together: decided from the
//! queue and the time alone.

use std::time::{Duration, Instant};

use super::queue::{Place, Queue, Waiting};

/// How the calls of one user of a model may be merged with others. A batch
/// obeys the strictest of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Rows in one run at most; 1: calls are never merged. A call that brings
    /// more rows by itself runs alone.
    pub max_rows: usize,
    /// How long a call may wait for others while the model runs for someone.
    /// A call that finds the model idle never waits.
    pub delay: Duration,
}

impl BatchPolicy {
    pub const OFF: Self = Self { max_rows: 1, delay: Duration::ZERO };

    /// What holds for a model that is known to keep rows apart when nobody
    /// says otherwise: only calls that wait anyway are merged.
    pub const AUTOMATIC: Self = Self { max_rows: 32, delay: Duration::ZERO };

    pub fn merges(&self) -> bool {
        self.max_rows > 1
    }
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self::OFF
    }
}

/// Shapes that are gathered for side by side. Where more wait, gathering is
/// pointless and calls are taken in turn.
const MOST_GROUPS: usize = 8;

/// What to do with a queue now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Run these calls together.
    Take(Vec<Place>),
    /// Nothing is due before this moment, unless a run ends or a call comes.
    WaitUntil(Instant),
    /// As many runs as the model may have are under way.
    Busy,
    /// Nobody waits.
    Empty,
}

/// Decides what an idle thread does with a model's queue. A lone call of an
/// idle model is taken at once. While `running` runs of the model are under
/// way, calls gather until they fill a batch or the first of them is due.
pub(crate) fn decide<T>(queue: &Queue<T>, now: Instant, running: usize, sessions: usize) -> Decision {
    if queue.is_empty() {
        return Decision::Empty;
    }
    if running >= sessions {
        return Decision::Busy;
    }
    let mut seen: Vec<&Waiting<T>> = Vec::new();
    let mut earliest: Option<Instant> = None;
    for (place, lead) in queue.in_turn() {
        if seen.iter().any(|known| known.merges_with(lead)) {
            continue;
        }
        let batch = gather(queue, place, lead);
        if running == 0 || batch.full || batch.due <= now || seen.len() == MOST_GROUPS {
            return Decision::Take(batch.places);
        }
        seen.push(lead);
        earliest = Some(earliest.map_or(batch.due, |earliest| earliest.min(batch.due)));
    }
    earliest.map_or(Decision::Empty, Decision::WaitUntil)
}

/// Calls that would run together.
struct Gathered {
    places: Vec<Place>,
    /// Whether no further call could join.
    full: bool,
    due: Instant,
}

/// The batch that `lead` begins: in turns, one call of each caller, until it is
/// full. Each caller's calls stay in order.
fn gather<T>(queue: &Queue<T>, place: Place, lead: &Waiting<T>) -> Gathered {
    let mut batch = Gathered { places: vec![place], full: false, due: lead.due };
    let Some(merge) = lead.merge.as_ref() else {
        batch.full = true;
        return batch;
    };
    let (mut rows, mut most) = (merge.rows, merge.most);
    let mut lines: Vec<_> = queue
        .lines_after(place)
        .map(|(line, calls)| calls.filter(|(_, call)| call.merges_with(lead)).map(move |found| (line, found)))
        .collect();
    while !batch.full && !lines.is_empty() {
        lines.retain_mut(|line| {
            if rows >= most {
                return false;
            }
            let Some((line, (position, call))) = line.next() else {
                return false;
            };
            let Some(merge) = call.merge.as_ref() else {
                return false;
            };
            if rows + merge.rows > most.min(merge.most) {
                batch.full = true;
                return false;
            }
            rows += merge.rows;
            most = most.min(merge.most);
            batch.due = batch.due.min(call.due);
            batch.places.push(Place { line, position });
            true
        });
        batch.full |= rows >= most;
    }
    batch.full |= rows >= most;
    batch
}
