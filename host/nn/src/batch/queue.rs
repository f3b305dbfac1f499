//! The calls that wait for one model: a line for each caller, served in turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::policy::BatchPolicy;
use crate::context::Caller;

/// No policy makes a call wait longer for others.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Who waits for a model. What is next is decided by
/// [`decide`](super::policy::decide).
pub(crate) struct Queue<T> {
    /// The line in front is served next. None is empty.
    lines: VecDeque<Line<T>>,
    waiting: usize,
    next_ticket: u64,
}

struct Line<T> {
    caller: Caller,
    calls: VecDeque<Waiting<T>>,
}

/// A call that waits.
pub(crate) struct Waiting<T> {
    ticket: u64,
    /// `None`: it runs alone.
    pub(crate) merge: Option<Merge>,
    /// When it has waited long enough for others.
    pub(crate) due: Instant,
    pub(crate) work: T,
}

/// On what terms a call may run together with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) rows: usize,
    /// Rows that it accepts in one run, its own included.
    pub(crate) most: usize,
    /// The open sizes behind axis 0: calls merge when they are equal.
    pub(crate) group: Vec<usize>,
}

/// Where a call stands in a queue, until the queue changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) position: usize,
}

impl<T> Waiting<T> {
    pub(crate) fn merges_with(&self, other: &Self) -> bool {
        match (&self.merge, &other.merge) {
            (Some(one), Some(other)) => one.group == other.group,
            _ => false,
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { lines: VecDeque::new(), waiting: 0, next_ticket: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many calls of one caller wait.
    pub(crate) fn of(&self, caller: Caller) -> usize {
        self.lines.iter().find(|line| line.caller == caller).map_or(0, |line| line.calls.len())
    }

    /// Adds a call to its caller's line and gives the ticket by which it can be
    /// withdrawn.
    pub(crate) fn push(&mut self, caller: Caller, merge: Option<Merge>, due: Instant, work: T) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let call = Waiting { ticket, merge, due, work };
        match self.lines.iter_mut().find(|line| line.caller == caller) {
            Some(line) => line.calls.push_back(call),
            None => self.lines.push_back(Line { caller, calls: VecDeque::from([call]) }),
        }
        self.waiting += 1;
        ticket
    }

    /// Takes a call out that nobody waits for any more; `None` when it is not
    /// here, having been taken already.
    pub(crate) fn withdraw(&mut self, caller: Caller, ticket: u64) -> Option<T> {
        let index = self.lines.iter().position(|line| line.caller == caller)?;
        let calls = &mut self.lines[index].calls;
        let position = calls.binary_search_by_key(&ticket, |call| call.ticket).ok()?;
        let call = calls.remove(position)?;
        if calls.is_empty() {
            self.lines.remove(index);
        }
        self.waiting -= 1;
        Some(call.work)
    }

    /// Takes out the calls at these places, which must be places of this queue
    /// as it is now, in their order. The lines they stood in go to the back,
    /// whoever was served last behind the others.
    pub(crate) fn take(&mut self, places: &[Place]) -> Vec<T> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        // From the back of each line, so that the other places stay true.
        order.sort_by_key(|&index| std::cmp::Reverse(places[index].position));
        let mut taken: Vec<Option<T>> = places.iter().map(|_| None).collect();
        for index in order {
            let Place { line, position } = places[index];
            taken[index] =
                self.lines.get_mut(line).and_then(|line| line.calls.remove(position)).map(|call| call.work);
        }
        let taken: Vec<T> = taken.into_iter().flatten().collect();
        self.waiting -= taken.len();
        self.rotate(places);
        taken
    }

    fn rotate(&mut self, places: &[Place]) {
        let last_served = |line: usize| places.iter().rposition(|place| place.line == line);
        let mut lines: Vec<(Option<usize>, Line<T>)> = std::mem::take(&mut self.lines)
            .into_iter()
            .enumerate()
            .map(|(index, line)| (last_served(index), line))
            .filter(|(_, line)| !line.calls.is_empty())
            .collect();
        lines.sort_by_key(|(served, _)| *served);
        self.lines = lines.into_iter().map(|(_, line)| line).collect();
    }

    /// All calls in the order in which they would be taken one by one: the
    /// first of each line, then the second of each.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = (Place, &Waiting<T>)> {
        let longest = self.lines.iter().map(|line| line.calls.len()).max().unwrap_or(0);
        (0..longest).flat_map(move |position| {
            self.lines
                .iter()
                .enumerate()
                .filter_map(move |(line, calls)| Some((Place { line, position }, calls.calls.get(position)?)))
        })
    }

    /// The lines in turn after the one of `place`, which comes last and begins
    /// behind it.
    pub(crate) fn lines_after(
        &self,
        place: Place,
    ) -> impl Iterator<Item = (usize, impl Iterator<Item = (usize, &Waiting<T>)>)> {
        let count = self.lines.len();
        (1..=count).map(move |step| {
            let line = (place.line + step) % count;
            let begin = if line == place.line { place.position + 1 } else { 0 };
            (line, self.lines[line].calls.iter().enumerate().skip(begin))
        })
    }
}

/// When a call that came at `now` is due: after the policy's delay, of which a
/// deadline leaves it half the time that it has.
pub(crate) fn due(policy: BatchPolicy, now: Instant, deadline: Option<Instant>) -> Instant {
    let patience: Duration = deadline
        .map_or(policy.delay, |deadline| policy.delay.min(deadline.saturating_duration_since(now) / 2));
    now + patience.min(LONGEST_DELAY)
}
