//! The functions of LiteRT's C library that are called here, and the layout of what
//! passes through them. Both are what the library has had since its version 2.1.6.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

/// A structure of the library behind a pointer.
pub(super) type Handle = *mut c_void;

/// `kLiteRtStatusOk`.
pub(super) const OK: c_int = 0;
/// The bit that stands for the CPU among accelerators.
pub(super) const CPU: c_int = 1;
/// Memory of the process, among the types of buffers.
pub(super) const HOST_MEMORY: c_int = 1;
pub(super) const LOCK_READ: c_int = 0;
pub(super) const LOCK_WRITE: c_int = 1;

/// The most axes of a tensor.
pub(super) const MOST_AXES: usize = 8;

/// An option of an environment whose value is a whole number.
#[repr(C)]
pub(super) struct EnvironmentOption {
    tag: c_int,
    value: Value,
}

/// A value of one of several kinds.
#[repr(C)]
struct Value {
    kind: c_int,
    integer: i64,
}

impl EnvironmentOption {
    const INTEGER: c_int = 2;

    /// Only accelerators of this set are looked for.
    pub(super) const fn accelerators(set: i64) -> Self {
        Self { tag: 24, value: Value { kind: Self::INTEGER, integer: set } }
    }

    /// Nothing below this severity is printed; 4 is nothing at all.
    pub(super) const fn least_severity(severity: i64) -> Self {
        Self { tag: 25, value: Value { kind: Self::INTEGER, integer: severity } }
    }
}

/// The sizes of a tensor: as many of `sizes` as the low seven bits of `rank` say.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Layout {
    pub rank: u32,
    pub sizes: [i32; MOST_AXES],
    pub strides: [u32; MOST_AXES],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TensorType {
    pub element: c_int,
    pub layout: Layout,
}

const _: () = assert!(size_of::<Layout>() == 68 && size_of::<TensorType>() == 72);
const _: () = assert!(size_of::<EnvironmentOption>() == 24);

/// Whether a run is to be given up; called between operators with the pointer that was
/// registered with it.
pub(super) type IsCancelled = unsafe extern "C" fn(*mut c_void) -> bool;

macro_rules! functions {
    ($($(#[$doc:meta])* $field:ident: $symbol:literal = fn($($argument:ty),* $(,)?) $(-> $answer:ty)?;)*) => {
        /// The library, loaded, with its functions.
        pub(super) struct Api {
            $($(#[$doc])* pub $field: unsafe extern "C" fn($($argument),*) $(-> $answer)?,)*
            _library: Library,
        }

        impl Api {
            /// Loads the library.
            ///
            /// # Errors
            /// In words, where it is none or lacks a function.
            pub(super) fn load(path: &Path) -> Result<Self, String> {
                let shown = path.display();
                // SAFETY: loading a library runs its initialisers; the file is one that
                // the host's owner put where the library is looked for.
                let library = unsafe { Library::new(path) }
                    .map_err(|error| format!("`{shown}` cannot be loaded: {error}"))?;
                // SAFETY: since version 2.1.6, the first with the last function of the
                // list, all of them have had these types.
                Ok(unsafe { Self {
                    $($field: *library.get(concat!($symbol, "\0").as_bytes()).map_err(|_| lacks(path, $symbol))?,)*
                    _library: library,
                } })
            }
        }
    };
}

functions! {
    create_environment: "LiteRtCreateEnvironment" = fn(c_int, *const EnvironmentOption, *mut Handle) -> c_int;
    create_options: "LiteRtCreateOptions" = fn(*mut Handle) -> c_int;
    destroy_options: "LiteRtDestroyOptions" = fn(Handle);
    set_accelerators: "LiteRtSetOptionsHardwareAccelerators" = fn(Handle, c_int) -> c_int;
    /// Takes a text of settings over, and the function that frees it.
    create_opaque_options: "LiteRtCreateOpaqueOptions" =
        fn(*const c_char, *mut c_void, unsafe extern "C" fn(*mut c_void), *mut Handle) -> c_int;
    destroy_opaque_options: "LiteRtDestroyOpaqueOptions" = fn(Handle);
    add_opaque_options: "LiteRtAddOpaqueOptions" = fn(Handle, Handle) -> c_int;
    create_model: "LiteRtCreateModelFromBuffer" = fn(Handle, *const c_void, usize, *mut Handle) -> c_int;
    destroy_model: "LiteRtDestroyModel" = fn(Handle);
    compile: "LiteRtCreateCompiledModel" = fn(Handle, Handle, Handle, *mut Handle) -> c_int;
    destroy_compiled: "LiteRtDestroyCompiledModel" = fn(Handle);
    set_cancellation: "LiteRtSetCompiledModelCancellationFunction" =
        fn(Handle, *mut c_void, IsCancelled) -> c_int;
    resize: "LiteRtCompiledModelResizeInputTensor" = fn(Handle, usize, usize, *const c_int, usize) -> c_int;
    input_requirements: "LiteRtGetCompiledModelInputBufferRequirements" =
        fn(Handle, usize, usize, *mut Handle) -> c_int;
    output_requirements: "LiteRtGetCompiledModelOutputBufferRequirements" =
        fn(Handle, usize, usize, *mut Handle) -> c_int;
    requirements_size: "LiteRtGetTensorBufferRequirementsBufferSize" = fn(Handle, *mut usize) -> c_int;
    /// Also has memory planned, where the last argument says so.
    output_layouts: "LiteRtGetCompiledModelOutputTensorLayouts" =
        fn(Handle, usize, usize, *mut Layout, bool) -> c_int;
    create_buffer: "LiteRtCreateManagedTensorBuffer" =
        fn(Handle, c_int, *const TensorType, usize, *mut Handle) -> c_int;
    destroy_buffer: "LiteRtDestroyTensorBuffer" = fn(Handle);
    lock: "LiteRtLockTensorBuffer" = fn(Handle, *mut *mut c_void, c_int) -> c_int;
    unlock: "LiteRtUnlockTensorBuffer" = fn(Handle) -> c_int;
    run: "LiteRtRunCompiledModel" = fn(Handle, usize, usize, *mut Handle, usize, *mut Handle) -> c_int;
    messages: "LiteRtCompiledModelGetErrorMessages" = fn(Handle, *mut *mut c_char) -> c_int;
    clear_messages: "LiteRtCompiledModelClearErrors" = fn(Handle) -> c_int;
    /// Not called: it came when functions took the environment that they are given here.
    _create_model_from_descriptor: "LiteRtCreateModelFromFd" =
        fn(Handle, c_int, usize, usize, *mut Handle) -> c_int;
}

fn lacks(path: &Path, symbol: &str) -> String {
    format!(
        "`{}` is not the LiteRT library, or is older than 2.1.6: it lacks `{symbol}`; {}",
        path.display(),
        super::library::ADVICE
    )
}
