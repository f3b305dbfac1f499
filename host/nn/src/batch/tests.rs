//! Decisions under random schedules and a clock that the test holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::context::Caller;

/// Numbers that look random and come again with their seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A call as the test remembers it.
#[derive(Debug, Clone)]
struct Made {
    number: usize,
    caller: Caller,
    merge: Option<Merge>,
    due: Instant,
}

/// A model's queue, its runs, and all that happened.
struct Simulation {
    random: Random,
    now: Instant,
    queue: Queue<Made>,
    callers: Vec<Caller>,
    /// Delays are below this many microseconds.
    delays: u64,
    sessions: usize,
    running: usize,
    waiting: BTreeMap<usize, (Made, u64)>,
    made: usize,
    /// Batches since each caller that waits was served.
    passed_over: BTreeMap<usize, usize>,
    taken: usize,
    merged: usize,
}

impl Simulation {
    fn new(seed: u64, delays: u64) -> Self {
        let mut random = Random(seed);
        let callers = (0..1 + random.below(4)).map(|_| Caller::new()).collect();
        let sessions = 1 + random.below(3) as usize;
        Self {
            random,
            now: Instant::now(),
            queue: Queue::default(),
            callers,
            delays,
            sessions,
            running: 0,
            waiting: BTreeMap::new(),
            made: 0,
            passed_over: BTreeMap::new(),
            taken: 0,
            merged: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(8) {
            0..4 => self.call(),
            4 => self.leave(),
            5 => self.now += Duration::from_micros(self.random.below(300)),
            _ => self.running = self.running.saturating_sub(1),
        }
        while self.serve() {}
    }

    fn call(&mut self) {
        let caller = self.callers[self.random.below(self.callers.len() as u64) as usize];
        let policy = BatchPolicy {
            max_rows: [1, 4, 8, 32][self.random.below(4) as usize],
            delay: Duration::from_micros(self.random.below(self.delays.max(1))),
        };
        let merge = policy.merges().then(|| Merge {
            rows: 1 + self.random.below(10) as usize,
            most: policy.max_rows,
            group: vec![self.random.below(3) as usize],
        });
        let due = due(policy, self.now, None);
        let made = Made { number: self.made, caller, merge: merge.clone(), due };
        self.made += 1;
        let ticket = self.queue.push(caller, merge, due, made.clone());
        self.waiting.insert(made.number, (made, ticket));
    }

    fn leave(&mut self) {
        let Some((made, ticket)) = self.waiting.values().next_back().cloned() else {
            return;
        };
        let left = self.queue.withdraw(made.caller, ticket).expect("it waits");
        assert_eq!(left.number, made.number);
        assert!(self.queue.withdraw(made.caller, ticket).is_none(), "nobody leaves twice");
        self.waiting.remove(&made.number);
        // Who left altogether queues up anew.
        if !self.waiting.values().any(|(other, _)| other.caller == made.caller) {
            let index = self.callers.iter().position(|caller| *caller == made.caller).unwrap();
            self.passed_over.remove(&index);
        }
    }

    /// What an idle thread does; whether there may be more to do.
    fn serve(&mut self) -> bool {
        let waiting: Vec<&Made> = self.waiting.values().map(|(made, _)| made).collect();
        assert_eq!(self.queue.len(), waiting.len());
        match decide(&self.queue, self.now, self.running, self.sessions) {
            Decision::Empty => assert!(waiting.is_empty()),
            Decision::Busy => assert_eq!(self.running, self.sessions),
            Decision::WaitUntil(due) => {
                assert!(self.running > 0, "an idle model makes nobody wait");
                assert_eq!(waiting.iter().map(|made| made.due).min(), Some(due));
                assert!(due > self.now, "nobody waits longer than due");
                assert!(waiting.iter().all(|made| made.merge.is_some()), "what runs alone waits for nobody");
                for group in 0..3 {
                    let members = || {
                        waiting
                            .iter()
                            .filter_map(|made| made.merge.as_ref())
                            .filter(|merge| merge.group == [group])
                    };
                    let most = members().map(|merge| merge.most).min().unwrap_or(usize::MAX);
                    assert!(members().map(|merge| merge.rows).sum::<usize>() < most, "no full batch waits");
                }
            }
            Decision::Take(places) => {
                let batch = self.queue.take(&places);
                assert_eq!(batch.len(), places.len());
                self.check_batch(&batch);
                self.running += 1;
                return true;
            }
        }
        false
    }

    fn check_batch(&mut self, batch: &[Made]) {
        self.taken += batch.len();
        if batch.len() > 1 {
            self.merged += 1;
            let merges: Vec<&Merge> =
                batch.iter().map(|made| made.merge.as_ref().expect("it merges")).collect();
            assert!(merges.iter().all(|merge| merge.group == merges[0].group));
            let most = merges.iter().map(|merge| merge.most).min().unwrap();
            assert!(merges.iter().map(|merge| merge.rows).sum::<usize>() <= most);
        }
        for made in batch {
            assert!(self.waiting.remove(&made.number).is_some(), "a call is taken once");
            let earlier = self
                .waiting
                .values()
                .filter(|(other, _)| other.caller == made.caller && other.number < made.number);
            let mut same_kind = earlier.filter(|(other, _)| match (&other.merge, &made.merge) {
                (Some(other), Some(made)) => other.group == made.group,
                _ => false,
            });
            assert!(same_kind.next().is_none(), "calls of one caller stay in order");
        }
        self.check_turns(batch);
    }

    /// Without delays, nobody is passed over for longer than the others take
    /// a turn each.
    fn check_turns(&mut self, batch: &[Made]) {
        for (index, caller) in self.callers.iter().enumerate() {
            let waits = self.waiting.values().any(|(made, _)| made.caller == *caller);
            let served = batch.iter().any(|made| made.caller == *caller);
            let passed = self.passed_over.entry(index).or_default();
            *passed = if waits && !served { *passed + 1 } else { 0 };
            assert!(self.delays > 0 || *passed < self.callers.len(), "caller {index} starves");
        }
    }
}

#[test]
fn every_schedule_keeps_the_rules() {
    let (mut taken, mut merged) = (0, 0);
    for seed in 0..300 {
        for delays in [0, 50, 1000] {
            let mut simulation = Simulation::new(seed, delays);
            for _ in 0..200 {
                simulation.step();
            }
            // All that is left is served once runs end.
            while !simulation.waiting.is_empty() {
                simulation.running = 0;
                assert!(simulation.serve(), "seed {seed}: somebody waits for ever");
            }
            taken += simulation.taken;
            merged += simulation.merged;
        }
    }
    assert!(merged > 1000 && taken > 4 * merged / 3, "{merged} batches of {taken} calls test little");
}

#[test]
fn a_lone_call_of_an_idle_model_is_taken_at_once() {
    let now = Instant::now();
    let policy = BatchPolicy { max_rows: 32, delay: Duration::from_secs(1) };
    let mut queue = Queue::default();
    let merge = Some(Merge { rows: 1, most: 32, group: vec![] });
    queue.push(Caller::default(), merge, due(policy, now, None), ());
    assert!(matches!(decide(&queue, now, 0, 2), Decision::Take(_)));
    assert_eq!(decide(&queue, now, 1, 2), Decision::WaitUntil(now + policy.delay));
    assert!(matches!(decide(&queue, now + policy.delay, 1, 2), Decision::Take(_)));
    assert_eq!(decide(&queue, now, 2, 2), Decision::Busy);
}

#[test]
fn a_deadline_leaves_half_its_time_for_waiting() {
    let now = Instant::now();
    let policy = BatchPolicy { max_rows: 32, delay: Duration::from_millis(10) };
    let soon = now + Duration::from_millis(4);
    assert_eq!(due(policy, now, Some(soon)), now + Duration::from_millis(2));
    assert_eq!(due(policy, now, Some(now)), now);
    assert_eq!(due(BatchPolicy { delay: Duration::MAX, ..policy }, now, None), now + Duration::from_secs(60));
}

#[test]
fn a_flood_of_one_caller_leaves_others_their_share_of_a_batch() {
    let now = Instant::now();
    let (flood, other) = (Caller::new(), Caller::new());
    let mut queue = Queue::default();
    let one = || Some(Merge { rows: 1, most: 4, group: vec![] });
    (0..100).for_each(|_| _ = queue.push(flood, one(), now, flood));
    (0..3).for_each(|_| _ = queue.push(other, one(), now, other));
    let mut batch = || {
        let Decision::Take(places) = decide(&queue, now, 0, 1) else { panic!("nothing is taken") };
        queue.take(&places).iter().filter(|caller| **caller == other).count()
    };
    assert_eq!([batch(), batch(), batch()], [2, 1, 0]);
}
