//! Damaged files by the hundreds: those that the check lets through go to the library,
//! in a process of their own, because C++ that reads outside its memory ends it.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use samara_nn::{Cancellation, Model, RunContext, Tensor};

use crate::case::Cases;
use crate::{load, source};

/// Says to the child which model it is to damage, and from which to which time.
const WORK: &str = "SAMARA_TEST_MUTATIONS";

#[test]
fn damaged_models_end_no_process() {
    let Some(_) = samara_test::litert_library() else { return };
    let Some(_) = Cases::read() else { return };
    let count = std::env::var("SAMARA_TEST_MUTATIONS_COUNT").map_or(300, |count| count.parse().unwrap());
    let mut ended = Vec::new();
    for name in ["mlp", "int8-classifier", "uint8-classifier", "endless"] {
        let (mut first, mut killed, mut total) = (0, Vec::new(), [0u64; 4]);
        while first < count {
            let said = child(name, first, count);
            let outcomes: Vec<(u64, usize)> = said.lines().filter_map(outcome).collect();
            outcomes.iter().for_each(|&(_, outcome)| total[outcome] += 1);
            first = outcomes.last().map_or(first, |&(index, _)| index + 1);
            if first < count {
                killed.push(first);
                first += 1;
            }
        }
        println!(
            "{name}: {} refused by the check, {} by the library, {} runs failed, {} answered, killed by {killed:?}",
            total[0], total[1], total[2], total[3]
        );
        ended.extend(killed.iter().map(|index| format!("{name} {index}")));
        assert!(total[0] > 0 && total[3] > 0, "{name}: {total:?}");
    }
    assert!(ended.is_empty(), "these ended the process: {ended:?}");
}

#[test]
#[ignore = "the test above starts it"]
fn child_of_damaged_models() {
    let Ok(work) = std::env::var(WORK) else { return };
    let [name, first, end] = work.split(' ').collect::<Vec<_>>()[..] else { return };
    let whole = Cases::read().unwrap().model(name);
    for index in first.parse::<u64>().unwrap()..end.parse().unwrap() {
        let bytes = damaged(&whole, index);
        let outcome = if samara_backends::check(&source("m", bytes.clone())).is_err() {
            0
        } else {
            match load("m", bytes).unwrap() {
                Err(_) => 1,
                Ok(model) => 2 + usize::from(runs(&model)),
            }
        };
        println!("mutation {index} {outcome}");
    }
}

/// What a child says, whether it came to its end or not.
fn child(name: &str, first: u64, end: u64) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "mutations::child_of_damaged_models", "--ignored", "--nocapture"]);
    command.env(WORK, format!("{name} {first} {end}")).stderr(Stdio::null());
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

fn outcome(line: &str) -> Option<(u64, usize)> {
    // The first stands behind what the test harness writes.
    let (_, numbers) = line.split_once("mutation ")?;
    let (index, outcome) = numbers.split_once(' ')?;
    Some((index.parse().ok()?, outcome.parse().ok()?))
}

/// One to four places of the file with other bytes.
fn damaged(whole: &[u8], index: u64) -> Vec<u8> {
    let mut state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    random(2);
    let mut bytes = whole.to_vec();
    for _ in 0..1 + random(4) {
        let at = random(bytes.len());
        bytes[at] = match random(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ 1 << random(8),
            _ => u8::try_from(random(256)).unwrap(),
        };
    }
    bytes
}

/// Whether it answers zeros within a moment.
fn runs(model: &Arc<dyn Model>) -> bool {
    let inputs = model.signature().inputs.iter().map(|spec| {
        let shape: Vec<usize> = spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(1)).collect();
        let bytes = shape.iter().product::<usize>() * spec.datatype.size()?;
        Tensor::new(spec.datatype, shape, vec![0; bytes]).ok()
    });
    let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else { return false };
    let Ok(mut session) = model.session() else { return false };
    let cancellation = Cancellation::default();
    let context = RunContext { cancellation: cancellation.clone(), ..RunContext::default() };
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(Duration::from_millis(50)).is_err() {
                cancellation.cancel();
            }
        });
        let answered = session.run(&inputs, &context).is_ok();
        // The other thread may be past its time already.
        let _ = done.send(());
        answered
    })
}
