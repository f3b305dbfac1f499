//! A session runs on many threads and ends on any: none of them keeps anything
//! of it. A test program of its own: it counts what the whole process holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, Format, LoadOptions, ModelSource, RunContext, Session, Tensor};
use samara_test::onnx::ready;

struct Counting;

/// Pieces of memory that are in use.
static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all of the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SESSIONS: usize = 200;

#[test]
fn a_session_that_ends_elsewhere_leaves_nothing_on_a_thread() {
    let backends = registry(&RegistryOptions::default());
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: ready::perceptron().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let (_, model) = backends.load(&source, &Choice::from("tract"), &LoadOptions::default()).unwrap();
    let input = Tensor::from_vec([1, 512], vec![0.5f32; 512]).unwrap();
    let (work, taken) = mpsc::sync_channel::<Box<dyn Session>>(0);
    let (done, ran) = mpsc::sync_channel::<Box<dyn Session>>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for mut session in taken {
                session.run(std::slice::from_ref(&input), &RunContext::default()).unwrap();
                done.send(session).unwrap();
            }
        });
        let once = || {
            work.send(model.session().unwrap()).unwrap();
            drop(ran.recv().unwrap());
        };
        (0..10).for_each(|_| once());
        let before = HELD.load(Ordering::Relaxed);
        (0..SESSIONS).for_each(|_| once());
        let more = HELD.load(Ordering::Relaxed).saturating_sub(before);
        assert!(more < SESSIONS / 4, "{more} pieces of memory are left of {SESSIONS} sessions");
        drop(work);
    });
}
