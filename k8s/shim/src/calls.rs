//! What of containerd's calls the shim's library is not left alone with.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Error;

use containerd_shim_protos::api::{CreateTaskRequest, PidsResponse, ProcessInfo, StateResponse};
use containerd_shim_protos::protobuf::{Message, Result};
use containerd_shim_protos::ttrpc::proto::{
    Code, MESSAGE_TYPE_REQUEST, MESSAGE_TYPE_RESPONSE, Request, Response, Status,
};

use crate::asked::Asked;
use crate::frame::Frame;
use crate::{bundle, failure, policy};

const SERVICE: &str = "containerd.task.v2.Task";

/// In the words of the library that makes containers, where two of its processes
/// report in the wrong order: on a machine that is overloaded, once in a while. It
/// takes away what it has made by then.
const OUT_OF_ORDER: &str = "received unexpected message: InitReady";

/// How often a container is made anew for that.
const TRIES: u32 = 5;

/// The calls of one connection.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// What containerd told the shim of itself.
    asked: Asked,
    /// Streams that wait for a container's processes.
    pids: Mutex<HashSet<u32>>,
    /// Containers that are being made, by their streams.
    creates: Mutex<HashMap<u32, Create>>,
}

/// A call to make a container, and how often it may be made again.
#[derive(Debug)]
struct Create {
    frame: Frame,
    left: u32,
}

impl Calls {
    pub(crate) fn of(asked: Asked) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Whether a call is one that other systems are asked about.
    pub(crate) fn may_take_long(frame: &Frame) -> bool {
        let request = || Request::parse_from_bytes(&frame.payload).ok();
        frame.kind == MESSAGE_TYPE_REQUEST && request().is_some_and(|request| request.method == "Create")
    }

    /// Makes of a call what the library can answer, or the answer itself.
    pub(crate) fn asked(&self, frame: &mut Frame) -> Option<Frame> {
        if frame.kind != MESSAGE_TYPE_REQUEST {
            return None;
        }
        // What cannot be read is for the library to refuse.
        let mut request = Request::parse_from_bytes(&frame.payload).ok()?;
        if request.service != SERVICE {
            return None;
        }
        match request.method.as_str() {
            "Create" => {
                let create = CreateTaskRequest::parse_from_bytes(&request.payload).ok()?;
                let bundle = Path::new(&create.bundle);
                if let Err(error) = policy::check(bundle, &create.id, &self.asked) {
                    return refusal(frame, &error);
                }
                bundle::prepare(bundle);
                let create = Create { frame: frame.clone(), left: TRIES };
                lock(&self.creates).insert(frame.stream, create);
            }
            // Both begin with the container's name.
            "Pids" => {
                "State".clone_into(&mut request.method);
                if let Ok(payload) = request.write_to_bytes() {
                    frame.payload = payload;
                    lock(&self.pids).insert(frame.stream);
                }
            }
            _ => {}
        }
        None
    }

    /// Makes of the library's answer what was asked for, or gives the call that it is
    /// to be asked again.
    pub(crate) fn answered(&self, frame: &mut Frame) -> Option<Frame> {
        if frame.kind != MESSAGE_TYPE_RESPONSE {
            return None;
        }
        let create = lock(&self.creates).remove(&frame.stream);
        if let Some(create) = create {
            return self.again(create, frame);
        }
        let asks_for_processes = lock(&self.pids).remove(&frame.stream);
        if asks_for_processes && let Ok(payload) = processes(&frame.payload) {
            frame.payload = payload;
        }
        None
    }

    fn again(&self, create: Create, answer: &Frame) -> Option<Frame> {
        let response = Response::parse_from_bytes(&answer.payload).ok()?;
        if create.left == 0 || !response.status().message.contains(OUT_OF_ORDER) {
            return None;
        }
        let frame = create.frame.clone();
        lock(&self.creates).insert(answer.stream, Create { left: create.left - 1, ..create });
        Some(frame)
    }
}

/// What a panic left behind is as good as before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer that a container is not made. What it says becomes the pod's event.
fn refusal(call: &Frame, error: &Error) -> Option<Frame> {
    let mut status = Status::new();
    status.set_code(Code::FAILED_PRECONDITION);
    status.message = failure::message(error);
    let response = Response { status: Some(status).into(), ..Response::default() };
    let payload = response.write_to_bytes().ok()?;
    Some(Frame { kind: MESSAGE_TYPE_RESPONSE, payload, ..call.clone() })
}

/// A container's processes, from the answer that says its state. One that has not
/// begun to run, or has ended, is named by a process all the same: containerd takes
/// a shim whose container has none for one that never was given a container, and
/// does away with it when it starts itself.
fn processes(answer: &[u8]) -> Result<Vec<u8>> {
    let mut response = Response::parse_from_bytes(answer)?;
    if response.status().code() != Code::OK {
        return Ok(answer.to_vec());
    }
    let state = StateResponse::parse_from_bytes(&response.payload)?;
    let pid = if state.pid == 0 { std::process::id() } else { state.pid };
    let process = ProcessInfo { pid, ..ProcessInfo::default() };
    let pids = PidsResponse { processes: vec![process], ..PidsResponse::default() };
    response.payload = pids.write_to_bytes()?;
    response.write_to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::api::{PidsRequest, StateRequest};

    fn call(method: &str, call: &impl Message) -> Frame {
        let request = Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            payload: call.write_to_bytes().unwrap(),
            ..Request::default()
        };
        Frame::of(7, MESSAGE_TYPE_REQUEST, request.write_to_bytes().unwrap())
    }

    fn answer(stream: u32, response: &Response) -> Frame {
        Frame::of(stream, MESSAGE_TYPE_RESPONSE, response.write_to_bytes().unwrap())
    }

    fn state(pid: u32) -> Response {
        let state = StateResponse { pid, ..StateResponse::default() };
        Response { payload: state.write_to_bytes().unwrap(), ..Response::default() }
    }

    fn pids(frame: &Frame) -> Vec<u32> {
        let response = Response::parse_from_bytes(&frame.payload).unwrap();
        let pids = PidsResponse::parse_from_bytes(&response.payload).unwrap();
        pids.processes.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn processes_are_found_out_by_the_state() {
        let calls = Calls::default();
        for (pid, expected) in [(42, 42), (0, std::process::id())] {
            let mut asked = call("Pids", &PidsRequest { id: "c".to_owned(), ..Default::default() });
            calls.asked(&mut asked);
            let request = Request::parse_from_bytes(&asked.payload).unwrap();
            assert_eq!(request.method, "State");
            assert_eq!(StateRequest::parse_from_bytes(&request.payload).unwrap().id, "c");
            let other = answer(9, &state(pid));
            let mut same = other.clone();
            calls.answered(&mut same);
            assert_eq!(same, other, "nobody asked for processes there");
            let mut answered = answer(7, &state(pid));
            calls.answered(&mut answered);
            assert_eq!(pids(&answered), [expected]);
        }
    }

    #[test]
    fn a_refusal_stays_as_it_is() {
        let calls = Calls::default();
        calls.asked(&mut call("Pids", &PidsRequest::default()));
        let mut status = Status::new();
        status.set_code(Code::NOT_FOUND);
        let refused = answer(7, &Response { status: Some(status).into(), ..Response::default() });
        let mut answered = refused.clone();
        calls.answered(&mut answered);
        assert_eq!(answered, refused);
    }

    #[test]
    fn a_container_that_is_made_out_of_order_is_made_again() {
        let refused = |words: &str| {
            let mut status = Status::new();
            status.set_code(Code::UNKNOWN);
            status.message = format!("failed to create container: {words}");
            answer(7, &Response { status: Some(status).into(), ..Response::default() })
        };
        let calls = Calls::default();
        let create = CreateTaskRequest { bundle: "/no/such/folder".to_owned(), ..Default::default() };
        let mut create = call("Create", &create);
        assert_eq!(calls.asked(&mut create), None);
        for _ in 0..TRIES {
            assert_eq!(calls.answered(&mut refused(OUT_OF_ORDER)), Some(create.clone()));
        }
        assert_eq!(calls.answered(&mut refused(OUT_OF_ORDER)), None, "it is told at last");

        assert_eq!(calls.asked(&mut create), None);
        assert_eq!(calls.answered(&mut refused("no such file")), None);
        assert_eq!(calls.answered(&mut refused(OUT_OF_ORDER)), None, "nobody asked for it");
    }

    #[test]
    fn other_calls_pass_as_they_are() {
        let calls = Calls::default();
        let create = CreateTaskRequest { bundle: "/no/such/folder".to_owned(), ..Default::default() };
        for frame in [call("State", &StateRequest::default()), call("Create", &create)] {
            let mut asked = frame.clone();
            calls.asked(&mut asked);
            assert_eq!(asked, frame);
        }
        let mut noise = Frame::of(7, MESSAGE_TYPE_REQUEST, vec![0xff; 9]);
        calls.asked(&mut noise);
        assert_eq!(noise.payload, [0xff; 9]);
    }
}
