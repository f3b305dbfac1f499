//! Sessions of the library, and runs in them.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ort::AsPointer;
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session as NativeSession, SessionInputValue};
use ort::value::DynValue;
use samara_nn::Beside;

use super::arena::Arena;

/// A session of the library, with a set of weights of its own.
pub(super) struct Native {
    // Ends before the memory that it used is given back.
    session: NativeSession,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    turn: Turn,
    // The library may have let it stay where it is.
    _weights: Beside,
    _memory: ReleaseUnused,
}

/// Which runs of a session may be under way at a time.
pub(super) enum Turn {
    /// Any: all nodes run by the library's own provider, on the thread that calls.
    SideBySide,
    /// One: providers differ in what they allow.
    OneByOne(Mutex<()>),
}

/// Has memory given back when it is dropped.
pub(super) struct ReleaseUnused(pub(super) Arena);

impl Native {
    /// # Errors
    /// When a name cannot be handed to the library.
    pub(super) fn new(
        session: NativeSession,
        turn: Turn,
        weights: Beside,
        arena: Arena,
    ) -> ort::Result<Self> {
        let names = |outlets: &[ort::value::Outlet]| -> ort::Result<Vec<CString>> {
            let name = |outlet: &ort::value::Outlet| {
                CString::new(outlet.name()).map_err(|_| ort::Error::new("a name holds a zero byte"))
            };
            outlets.iter().map(name).collect()
        };
        let (inputs, outputs) = (names(session.inputs())?, names(session.outputs())?);
        Ok(Self { session, inputs, outputs, turn, _weights: weights, _memory: ReleaseUnused(arena) })
    }

    pub(super) fn session(&self) -> &NativeSession {
        &self.session
    }

    /// Whether several callers may use it without waiting for each other.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.turn, Turn::SideBySide)
    }

    /// Computes all outputs, in their order; `inputs` are in theirs.
    ///
    /// # Errors
    /// What the library says.
    pub(super) fn run(
        &self,
        inputs: &[SessionInputValue<'_>],
        options: &RunOptions,
    ) -> ort::Result<Vec<DynValue>> {
        if inputs.len() != self.inputs.len() {
            let message = format!("{} inputs are there, and {} are taken", inputs.len(), self.inputs.len());
            return Err(ort::Error::new(message));
        }
        let _alone = match &self.turn {
            Turn::SideBySide => None,
            Turn::OneByOne(turn) => Some(turn.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        let pointers =
            |names: &[CString]| names.iter().map(|name| name.as_ptr()).collect::<Vec<*const c_char>>();
        let (input_names, output_names) = (pointers(&self.inputs), pointers(&self.outputs));
        let values: Vec<_> = inputs.iter().map(|value| value.ptr()).collect();
        let mut computed = vec![std::ptr::null_mut(); output_names.len()];
        // SAFETY: every array has the length that is announced, names end with a
        // zero, and all of it lives until the call returns. The library lets one
        // session run on many threads at once with its own provider, which is the
        // only one where the turn is `SideBySide`; else this thread holds the turn.
        let status = unsafe {
            (ort::api().Run)(
                self.session.inner().ptr().cast_mut(),
                options.ptr(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                computed.as_mut_ptr(),
            )
        };
        // SAFETY: the status comes straight from the call.
        let ran = unsafe { ort::Error::result_from_status(status) };
        let allocator = self.session.allocator();
        // SAFETY: the library made these values for this caller, who frees each
        // once, by the allocator of their session.
        let own = |value| unsafe { DynValue::from_ptr(value, Some(allocator)) };
        let computed: Vec<Option<DynValue>> =
            computed.into_iter().map(|value| NonNull::new(value).map(own)).collect();
        ran?;
        let missing = || ort::Error::new("an output was not computed");
        computed.into_iter().map(|value| value.ok_or_else(missing)).collect()
    }
}

/// Gives a session that is to be opened the files that its model's weights are in,
/// by the names that the model has for them. They have to stay as long as the session.
///
/// # Errors
/// When the library refuses them.
pub(super) fn add_files(builder: &mut SessionBuilder, files: &BTreeMap<String, Bytes>) -> ort::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let names = files.keys().map(|name| os_text(name));
    let names = names.collect::<ort::Result<Vec<_>>>()?;
    let name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let contents: Vec<*mut c_char> =
        files.values().map(|bytes| bytes.as_ptr().cast::<c_char>().cast_mut()).collect();
    let lengths: Vec<usize> = files.values().map(Bytes::len).collect();
    // SAFETY: the three arrays have the length that is announced, names end with a
    // zero, and the library only reads the files, which outlive the session.
    let status = unsafe {
        (ort::api().AddExternalInitializersFromMemory)(
            builder.ptr_mut(),
            name_pointers.as_ptr(),
            contents.as_ptr(),
            lengths.as_ptr(),
            files.len(),
        )
    };
    // SAFETY: the status comes straight from the call.
    unsafe { ort::Error::result_from_status(status) }
}

#[cfg(not(windows))]
fn os_text(text: &str) -> ort::Result<CString> {
    CString::new(text).map_err(|_| ort::Error::new("a name holds a zero byte"))
}

/// Names as Windows has them, with a zero behind.
#[cfg(windows)]
fn os_text(text: &str) -> ort::Result<Vec<u16>> {
    match text.contains('\0') {
        true => Err(ort::Error::new("a name holds a zero byte")),
        false => Ok(text.encode_utf16().chain([0]).collect()),
    }
}

impl Drop for ReleaseUnused {
    fn drop(&mut self) {
        self.0.release_unused();
    }
}
