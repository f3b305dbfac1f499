//! A model in the library, and what is compiled of it for one session.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use samara_nn::{Datatype, Tensor};

use super::api::{CPU, HOST_MEMORY, Handle, LOCK_READ, LOCK_WRITE, Layout, MOST_AXES, OK, TensorType};
use super::library::Loaded;

/// Why the library did not do something, in words.
pub(super) type Refusal = String;

/// A model file that the library has read. Its weights are those bytes.
pub(super) struct NativeModel {
    handle: Handle,
    library: Arc<Loaded>,
    /// What the handle refers to.
    _bytes: Bytes,
}

// SAFETY: the library only reads a model once it is made, and ties it to no thread.
unsafe impl Send for NativeModel {}
// SAFETY: as above.
unsafe impl Sync for NativeModel {}

/// One interpreter of a model: its plan, its memory, its weights packed for the CPU.
pub(super) struct Compiled {
    handle: Handle,
    /// Which of the model's signatures is run.
    signature: usize,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
    /// Set when the run that goes on is to be given up; the library has a pointer to it.
    stop: Arc<AtomicBool>,
    model: Arc<NativeModel>,
}

/// An input or output: its element type, its sizes, and memory once there is some.
struct Slot {
    datatype: Datatype,
    element: c_int,
    shape: Vec<usize>,
    buffer: Handle,
}

// SAFETY: the library ties a compiled model and its buffers to no thread; `&mut self`
// lets one at a time use them.
unsafe impl Send for Compiled {}

impl NativeModel {
    /// # Errors
    /// [`Refusal`] where the library cannot read it.
    pub(super) fn new(library: &Arc<Loaded>, bytes: &Bytes) -> Result<Self, Refusal> {
        let bytes = aligned(bytes);
        let environment = library.environment();
        let mut handle = null_mut();
        // SAFETY: the bytes stay where they are for as long as the handle, beside which
        // they are kept.
        let status = unsafe {
            (library.api.create_model)(environment.0, bytes.as_ptr().cast(), bytes.len(), &raw mut handle)
        };
        drop(environment);
        check(status, "read it")?;
        Ok(Self { handle, library: Arc::clone(library), _bytes: bytes })
    }
}

impl Drop for NativeModel {
    fn drop(&mut self) {
        let _environment = self.library.environment();
        // SAFETY: nothing that was compiled of it is left: that holds an `Arc` of it.
        unsafe { (self.library.api.destroy_model)(self.handle) }
    }
}

impl Compiled {
    /// Plans the model with `threads` threads, for the sizes that its file has.
    ///
    /// # Errors
    /// [`Refusal`] with what the library says.
    pub(super) fn new(
        model: &Arc<NativeModel>,
        signature: usize,
        inputs: &[Tensors],
        outputs: &[Tensors],
        threads: usize,
    ) -> Result<Self, Refusal> {
        let api = &model.library.api;
        let environment = model.library.environment();
        let options = Options::new(model, threads)?;
        let mut handle = null_mut();
        // SAFETY: all three handles live; the library copies what it needs of the options.
        let status = unsafe { (api.compile)(environment.0, model.handle, options.handle, &raw mut handle) };
        drop(options);
        drop(environment);
        check(status, "prepare it: it may have an operator, or a version of one, that the library lacks")?;
        let mut compiled = Self {
            handle,
            signature,
            inputs: inputs.iter().map(Slot::new).collect(),
            outputs: outputs.iter().map(Slot::new).collect(),
            stop: Arc::new(AtomicBool::new(false)),
            model: Arc::clone(model),
        };
        let flag = Arc::as_ptr(&compiled.stop).cast_mut().cast();
        // SAFETY: the flag lives as long as `compiled`, which ends the handle first.
        check(unsafe { (api.set_cancellation)(handle, flag, is_set) }, "be made to stop")?;
        compiled.plan()?;
        Ok(compiled)
    }

    /// A flag that gives up the run that goes on, where it is set.
    pub(super) fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// Runs it once; inputs and outputs are in the signature's order.
    ///
    /// # Errors
    /// [`Refusal`] with what the library says.
    pub(super) fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Refusal> {
        self.fit(inputs)?;
        for (slot, tensor) in self.inputs.iter().zip(inputs) {
            self.write(slot, tensor)?;
        }
        let mut given: Vec<Handle> = self.inputs.iter().map(|slot| slot.buffer).collect();
        let mut taken: Vec<Handle> = self.outputs.iter().map(|slot| slot.buffer).collect();
        // SAFETY: the buffers live and have the sizes that the library asked for.
        let status = unsafe {
            (self.api().run)(
                self.handle,
                self.signature,
                given.len(),
                given.as_mut_ptr(),
                taken.len(),
                taken.as_mut_ptr(),
            )
        };
        self.checked(status, "run it")?;
        self.outputs.iter().map(|slot| self.read(slot)).collect()
    }

    /// Makes inputs and outputs as large as these tensors are.
    fn fit(&mut self, inputs: &[Tensor]) -> Result<(), Refusal> {
        let is_same = |(slot, tensor): (&Slot, &Tensor)| slot.shape == tensor.shape();
        if self.inputs.iter().zip(inputs).all(is_same) && self.has_buffers() {
            return Ok(());
        }
        for (index, tensor) in inputs.iter().enumerate() {
            if self.inputs[index].shape == tensor.shape() {
                continue;
            }
            if tensor.is_empty() {
                return Err("it takes no tensor without elements".to_owned());
            }
            let sizes: Result<Vec<c_int>, _> =
                tensor.shape().iter().map(|&size| c_int::try_from(size)).collect();
            let sizes = sizes.map_err(|_| format!("an axis of {:?} is too long", tensor.shape()))?;
            // What is planned is for other sizes from here on, whatever happens.
            self.inputs[index].shape.clear();
            self.release();
            // SAFETY: the sizes outlive the call.
            let status = unsafe {
                (self.api().resize)(self.handle, self.signature, index, sizes.as_ptr(), sizes.len())
            };
            self.checked(status, "take inputs of these sizes")?;
            self.inputs[index].shape = tensor.shape().to_vec();
        }
        self.plan()
    }

    fn has_buffers(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).all(|slot| !slot.buffer.is_null())
    }

    /// Plans memory for the sizes of the inputs, and makes buffers.
    fn plan(&mut self) -> Result<(), Refusal> {
        self.release();
        let mut layouts = vec![Layout::default(); self.outputs.len()];
        // SAFETY: there is room for as many layouts as are told.
        let status = unsafe {
            (self.api().output_layouts)(
                self.handle,
                self.signature,
                layouts.len(),
                layouts.as_mut_ptr(),
                true,
            )
        };
        self.checked(status, "plan its memory")?;
        for (slot, layout) in self.outputs.iter_mut().zip(&layouts) {
            let rank = (layout.rank & 0x7f) as usize;
            let sizes = layout.sizes.get(..rank).ok_or("an output has more than eight axes")?;
            let sizes: Result<Vec<usize>, _> = sizes.iter().map(|&size| usize::try_from(size)).collect();
            slot.shape = sizes.map_err(|_| "the sizes of an output are not known before it runs")?;
        }
        for index in 0..self.inputs.len() {
            self.inputs[index].buffer =
                self.buffer(&self.inputs[index], self.api().input_requirements, index)?;
        }
        for index in 0..self.outputs.len() {
            self.outputs[index].buffer =
                self.buffer(&self.outputs[index], self.api().output_requirements, index)?;
        }
        Ok(())
    }

    fn buffer(
        &self,
        slot: &Slot,
        requirements: unsafe extern "C" fn(Handle, usize, usize, *mut Handle) -> c_int,
        index: usize,
    ) -> Result<Handle, Refusal> {
        let (mut wanted, mut size, mut buffer) = (null_mut(), 0usize, null_mut());
        // SAFETY: the handle lives; the answer is the library's own and is read at once.
        let status = unsafe { requirements(self.handle, self.signature, index, &raw mut wanted) };
        self.checked(status, "say how large a tensor is")?;
        // SAFETY: `wanted` was given right before.
        let status = unsafe { (self.api().requirements_size)(wanted, &raw mut size) };
        self.checked(status, "say how large a tensor is")?;
        let bytes = slot.bytes().ok_or("a tensor is larger than memory")?;
        if size < bytes {
            return Err(format!("it makes {size} bytes of a tensor of {bytes}"));
        }
        let kind = TensorType { element: slot.element, layout: slot.layout()? };
        let environment = self.model.library.environment();
        // SAFETY: the type outlives the call; the memory is the library's own.
        let status = unsafe {
            (self.api().create_buffer)(
                environment.0,
                HOST_MEMORY,
                &raw const kind,
                size.max(64),
                &raw mut buffer,
            )
        };
        drop(environment);
        check(status, "have memory for a tensor")?;
        Ok(buffer)
    }

    fn write(&self, slot: &Slot, tensor: &Tensor) -> Result<(), Refusal> {
        let data = tensor.data();
        if slot.bytes() != Some(data.len()) {
            return Err("a tensor does not have the size that was planned".to_owned());
        }
        let mut memory = null_mut();
        // SAFETY: the buffer lives.
        let status = unsafe { (self.api().lock)(slot.buffer, &raw mut memory, LOCK_WRITE) };
        check(status, "give memory of an input")?;
        // SAFETY: the buffer was made with at least as many bytes as the slot has, and
        // nobody else has it while it is locked.
        unsafe {
            std::ptr::copy_nonoverlapping(data.as_ptr(), memory.cast(), data.len());
            check((self.api().unlock)(slot.buffer), "take memory of an input")
        }
    }

    fn read(&self, slot: &Slot) -> Result<Tensor, Refusal> {
        let length = slot.bytes().ok_or("a tensor is larger than memory")?;
        let mut memory = null_mut();
        // SAFETY: the buffer lives.
        let status = unsafe { (self.api().lock)(slot.buffer, &raw mut memory, LOCK_READ) };
        check(status, "give memory of an output")?;
        // SAFETY: the buffer was made with at least `length` bytes, which the library has
        // set or zeroed, and nobody writes them while it is locked.
        let mut data = unsafe { std::slice::from_raw_parts(memory.cast::<u8>(), length) }.to_vec();
        // SAFETY: it was locked right before.
        check(unsafe { (self.api().unlock)(slot.buffer) }, "take memory of an output")?;
        if slot.datatype == Datatype::Bool {
            data.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Tensor::new(slot.datatype, slot.shape.clone(), data).map_err(|error| error.to_string())
    }

    /// Ends the buffers.
    fn release(&mut self) {
        let library = Arc::clone(&self.model.library);
        let _environment = library.environment();
        for slot in self.inputs.iter_mut().chain(&mut self.outputs) {
            let buffer = std::mem::replace(&mut slot.buffer, null_mut());
            if !buffer.is_null() {
                // SAFETY: it lives, no run goes on, and nobody has it any more.
                unsafe { (library.api.destroy_buffer)(buffer) }
            }
        }
    }

    fn api(&self) -> &super::api::Api {
        &self.model.library.api
    }

    /// A refusal with what the library's errors say, which are then forgotten.
    fn checked(&self, status: c_int, what: &str) -> Result<(), Refusal> {
        if status == OK {
            return Ok(());
        }
        let mut text: *mut c_char = null_mut();
        // SAFETY: the answer is a text of the library's that ends with a zero, or null.
        let said = unsafe {
            match (self.api().messages)(self.handle, &raw mut text) == OK && !text.is_null() {
                true => CStr::from_ptr(text).to_string_lossy().into_owned(),
                false => String::new(),
            }
        };
        if !text.is_null() {
            // SAFETY: the library hands the text over, made by `malloc`.
            unsafe { free(text.cast()) }
        }
        // SAFETY: the handle lives.
        unsafe { (self.api().clear_messages)(self.handle) };
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if said.is_empty() {
            return check(status, what);
        }
        let mut said = said.join("; ");
        let most = (0..=500).rev().find(|&most| said.is_char_boundary(most)).unwrap_or(0);
        said.truncate(most);
        Err(format!("the library cannot {what}: {said}"))
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        self.release();
        let _environment = self.model.library.environment();
        // SAFETY: no run goes on, and nobody else has the handle.
        unsafe { (self.api().destroy_compiled)(self.handle) }
    }
}

/// What is declared of one input or output.
pub(super) struct Tensors {
    pub datatype: Datatype,
    /// The sizes in the file.
    pub shape: Vec<usize>,
}

impl Slot {
    fn new(declared: &Tensors) -> Self {
        let Tensors { datatype, shape } = declared;
        Self { datatype: *datatype, element: element(*datatype), shape: shape.clone(), buffer: null_mut() }
    }

    fn bytes(&self) -> Option<usize> {
        let size = self.datatype.size()?;
        self.shape.iter().try_fold(size, |bytes, &size| bytes.checked_mul(size))
    }

    fn layout(&self) -> Result<Layout, Refusal> {
        let mut layout = Layout { rank: self.shape.len() as u32, ..Layout::default() };
        if self.shape.len() > MOST_AXES {
            return Err("a tensor has more than eight axes".to_owned());
        }
        for (to, &size) in layout.sizes.iter_mut().zip(&self.shape) {
            *to = i32::try_from(size).map_err(|_| "an axis of a tensor is too long")?;
        }
        Ok(layout)
    }
}

/// How a model is compiled.
struct Options<'a> {
    handle: Handle,
    model: &'a NativeModel,
}

impl<'a> Options<'a> {
    fn new(model: &'a NativeModel, threads: usize) -> Result<Self, Refusal> {
        let api = &model.library.api;
        let mut handle = null_mut();
        // SAFETY: the answer is kept and ended with these options.
        check(unsafe { (api.create_options)(&raw mut handle) }, "make options")?;
        let options = Self { handle, model };
        // SAFETY: the handle lives.
        check(unsafe { (api.set_accelerators)(handle, CPU) }, "be told where to run")?;
        options.add(c"xnnpack", &format!("num_threads = {threads}\n"))?;
        // 2: errors are kept to be asked for, not printed.
        options.add(c"runtime_options_string", "error_reporter_mode = 2\n")?;
        Ok(options)
    }

    /// Adds settings of a part of the library, which are lines of TOML.
    fn add(&self, part: &CStr, settings: &str) -> Result<(), Refusal> {
        let api = &self.model.library.api;
        let text = CString::new(settings).map_err(|error| error.to_string())?.into_raw();
        let mut opaque = null_mut();
        // SAFETY: the library copies the part's name, and takes the text over with the
        // function that ends it.
        let status =
            unsafe { (api.create_opaque_options)(part.as_ptr(), text.cast(), end_text, &raw mut opaque) };
        if status != OK {
            // SAFETY: the text is as it was made, and the library did not take it.
            unsafe { end_text(text.cast()) }
            return check(status, "make options");
        }
        // SAFETY: both handles live, and the second becomes part of the first.
        let status = unsafe { (api.add_opaque_options)(self.handle, opaque) };
        if status != OK {
            // SAFETY: it was not added, so it is still this function's to end.
            unsafe { (api.destroy_opaque_options)(opaque) }
        }
        check(status, "take options")
    }
}

impl Drop for Options<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the options once a model is compiled.
        unsafe { (self.model.library.api.destroy_options)(self.handle) }
    }
}

unsafe extern "C" {
    /// C's own.
    fn free(pointer: *mut c_void);
}

unsafe extern "C" fn end_text(text: *mut c_void) {
    // SAFETY: it is a text that `CString::into_raw` gave, and the library calls this once.
    drop(unsafe { CString::from_raw(text.cast()) });
}

unsafe extern "C" fn is_set(flag: *mut c_void) -> bool {
    // SAFETY: it is the flag of a `Compiled`, which lives while its model runs.
    unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}

fn check(status: c_int, what: &str) -> Result<(), Refusal> {
    match status {
        OK => Ok(()),
        2 => Err(format!("the library cannot {what}: no memory is left")),
        status => Err(format!("the library cannot {what} (its status is {status})")),
    }
}

/// The bytes where numbers of sixteen bytes can be read, copied if they lie elsewhere.
fn aligned(bytes: &Bytes) -> Bytes {
    const ALIGNMENT: usize = 16;
    if (bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return bytes.clone();
    }
    let mut copy = vec![0u8; bytes.len() + ALIGNMENT];
    let start = copy.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    copy[start..start + bytes.len()].copy_from_slice(bytes);
    Bytes::from(copy).slice(start..start + bytes.len())
}

/// The library's number for a datatype.
fn element(datatype: Datatype) -> c_int {
    match datatype {
        Datatype::Fp32 => 1,
        Datatype::Int32 => 2,
        Datatype::Uint8 => 3,
        Datatype::Int64 => 4,
        Datatype::Bytes => 5,
        Datatype::Bool => 6,
        Datatype::Int16 => 7,
        Datatype::Int8 => 9,
        Datatype::Fp16 => 10,
        Datatype::Fp64 => 11,
        Datatype::Uint64 => 13,
        Datatype::Uint32 => 16,
        Datatype::Uint16 => 17,
        Datatype::Bf16 => 19,
    }
}
