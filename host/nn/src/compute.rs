//! The threads that models run on, so that no async worker ever does.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads behind one bounded queue, shared by every model of
/// the process. Threads start when there is work for them. Dropping it lets
/// queued jobs finish and joins the threads.
pub struct Compute {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    most_threads: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Compute {
    /// At most `threads` threads, and at most `capacity` jobs that wait for one.
    pub fn new(threads: usize, capacity: usize) -> Self {
        let shared = Shared { queue: Mutex::default(), work: Condvar::new(), capacity };
        Self { shared: Arc::new(shared), threads: Mutex::default(), most_threads: threads.max(1) }
    }

    pub fn threads(&self) -> usize {
        self.most_threads
    }

    /// Jobs that wait for a thread now.
    pub fn waiting(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    /// Queues a job. An idle thread takes it at once.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue is full.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let needs_thread = {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(Error::ShutDown);
            }
            if queue.jobs.len() >= self.shared.capacity {
                return Err(Error::Overloaded { waiting: queue.jobs.len() });
            }
            queue.jobs.push_back(Box::new(job));
            queue.jobs.len() > queue.idle
        };
        if needs_thread {
            self.add_thread();
        }
        self.shared.work.notify_one();
        Ok(())
    }

    fn add_thread(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= self.most_threads {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let name = format!("samara-compute-{}", threads.len());
        // A refused thread is no harm while another one lives; without any, the
        // job would wait forever, so it runs right here.
        match std::thread::Builder::new().name(name).spawn(move || shared.serve()) {
            Ok(thread) => threads.push(thread),
            Err(_) if threads.is_empty() => {
                drop(threads);
                if let Some(job) = self.shared.lock().jobs.pop_front() {
                    job();
                }
            }
            Err(_) => {}
        }
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle may be dropped by a job: a thread cannot join itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        while let Some(job) = self.next() {
            // Jobs catch their own panics; one that escapes must not cost the thread.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_side_by_side_up_to_the_number_of_threads() {
        let compute = Compute::new(2, 8);
        let (meet_a, meet_b) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (done, finished) = mpsc::channel();
        let (send_a, receive_b) = (meet_a.0, meet_b.1);
        let (send_b, receive_a) = (meet_b.0, meet_a.1);
        let done_too = done.clone();
        // Each job waits for the other: only two threads can finish them.
        compute
            .submit(move || {
                send_a.send(()).unwrap();
                receive_b.recv().unwrap();
                done.send(()).unwrap();
            })
            .unwrap();
        compute
            .submit(move || {
                send_b.send(()).unwrap();
                receive_a.recv().unwrap();
                done_too.send(()).unwrap();
            })
            .unwrap();
        finished.recv().unwrap();
        finished.recv().unwrap();
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let compute = Compute::new(1, 1);
        let (started, running) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        compute
            .submit(move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
            })
            .unwrap();
        running.recv().unwrap();
        compute.submit(|| {}).unwrap();
        let error = compute.submit(|| {}).unwrap_err();
        assert!(matches!(error, Error::Overloaded { waiting: 1 }), "{error}");
        release.send(()).unwrap();
    }

    #[test]
    fn a_panicking_job_costs_no_thread() {
        let compute = Compute::new(1, 8);
        compute.submit(|| panic!("on purpose")).unwrap();
        let (done, finished) = mpsc::channel();
        compute.submit(move || done.send(()).unwrap()).unwrap();
        finished.recv().unwrap();
    }
}
