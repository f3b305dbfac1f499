//! One conformance suite over the traits of `samara-nn`, with a runner per
//! backend: a new backend only joins below, with a list of what it lacks and
//! why.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here is a failed test")]

#[path = "suite/agreement.rs"]
mod agreement;
#[path = "suite/batching.rs"]
mod batching;
#[path = "suite/files.rs"]
mod files;
#[path = "suite/hostile.rs"]
mod hostile;
#[path = "suite/kinds.rs"]
mod kinds;
#[path = "suite/models.rs"]
mod models;
#[path = "suite/runs.rs"]
mod runs;

use std::path::Path;
use std::sync::Arc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    Backend, BackendRegistry, Beside, Choice, Format, LoadOptions, Model, ModelSource, Probe, Result,
    RunContext, Target, Tensor,
};

/// A backend under test and what it is known to lack.
pub(crate) struct Subject {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) backends: BackendRegistry,
    /// Where its models run.
    pub(crate) target: Target,
    /// Cases to leave out, each with its reason.
    ignored: &'static [(&'static str, &'static str)],
}

impl Subject {
    /// Whether the case called `name` does not apply to this backend.
    pub(crate) fn ignores(&self, name: &str) -> bool {
        let reason = self.ignored.iter().find(|(case, _)| *case == name);
        if let Some((_, reason)) = reason {
            println!("{} leaves out `{name}`: {reason}", self.backend.name());
        }
        reason.is_some()
    }

    pub(crate) fn load(&self, name: &str, bytes: Vec<u8>) -> Result<Arc<dyn Model>> {
        self.load_source(&source(name, bytes, None))
    }

    /// Loads as the host does: with panics of the engine turned into errors.
    pub(crate) fn load_source(&self, source: &ModelSource) -> Result<Arc<dyn Model>> {
        let choice = Choice::Named(self.backend.name().to_owned());
        Ok(self.backends.load(source, &choice, &self.options())?.1)
    }

    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions { target: self.target, ..LoadOptions::default() }
    }
}

/// A model from memory, or from the file at `path`.
pub(crate) fn source(name: &str, bytes: Vec<u8>, path: Option<&Path>) -> ModelSource {
    ModelSource {
        name: name.to_owned(),
        identity: name.to_owned(),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: path.map(Beside::folder_of).unwrap_or_default(),
    }
}

pub(crate) fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape, values.to_vec()).unwrap()
}

/// `count` numbers that look like noise and are the same every time.
pub(crate) fn noise(shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let values = (0..count).map(|i: usize| ((i * 7919 % 1009) as f32 / 504.5) - 1.0).collect();
    Tensor::from_vec(shape, values).unwrap()
}

/// One run in a session of its own.
pub(crate) fn run(model: &dyn Model, inputs: &[Tensor]) -> Vec<Tensor> {
    model.session().unwrap().run(inputs, &RunContext::default()).unwrap()
}

/// The backends of this build; `None` when ONNX Runtime, or any GPU, is not
/// installed here.
fn subject(name: &str, ignored: &'static [(&'static str, &'static str)]) -> Option<Subject> {
    let library = if name == "onnxruntime" { Some(samara_test::onnxruntime_library()?) } else { None };
    let options = RegistryOptions {
        onnxruntime_libraries: library.into_iter().collect(),
        tensor_limit: 256 << 20,
        onnxruntime_memory_limit: Some(512 << 20),
        allow_software_gpu: true,
        ..RegistryOptions::default()
    };
    let backends = registry(&options);
    let backend = Arc::clone(backends.named(name).unwrap());
    let target = if name == "wgpu" { Target::Gpu(None) } else { Target::Cpu };
    if let (Target::Gpu(_), Probe::Unavailable { reason }) = (target, backend.probe())
        && !samara_test::has_gpu(Some(&reason))
    {
        return None;
    }
    Some(Subject { backend, backends, target, ignored })
}

macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        $(#[test]
        fn $case() {
            if let Some(subject) = subject() {
                if !subject.ignores(stringify!($case)) {
                    crate::$module::$case(&subject);
                }
            }
        })*
    };
}

macro_rules! runner {
    ($backend:ident, ignored = $ignored:expr) => {
        mod $backend {
            fn subject() -> Option<crate::Subject> {
                crate::subject(stringify!($backend), $ignored)
            }

            cases! {
                models::the_backend_says_what_it_is,
                models::signatures_name_order_and_open_sizes,
                models::unnamed_sizes_take_any_number,
                models::unnamed_sizes_may_differ,
                models::trees_are_climbed_at_any_size,
                models::footprints_follow_the_weights,
                models::rows_are_merged_only_when_independent,
                batching::rows_alone_and_together_agree,
                batching::concurrent_calls_are_merged,
                batching::a_signature_without_rows_cannot_be_merged,
                runs::every_datatype_passes_through,
                runs::datatypes_that_are_lacked_are_named,
                runs::scalars_and_empty_tensors_pass,
                runs::one_model_serves_every_size,
                runs::images_of_every_size_are_convolved,
                runs::outputs_come_in_the_signatures_order,
                runs::inputs_are_told_apart,
                runs::sizes_of_one_name_must_agree,
                runs::sizes_that_follow_from_values,
                runs::a_session_is_used_again_with_equal_bits,
                runs::sessions_run_side_by_side,
                runs::an_abandoned_call_does_not_start,
                runs::a_cancelled_run_ends_early,
                runs::text_that_is_not_text_is_refused,
                runs::threads_do_not_change_the_answer,
                runs::a_loop_without_end_is_stopped,
                runs::weights_that_are_no_numbers_are_computed_with,
                kinds::scalars_of_every_datatype_pass,
                kinds::functions_of_the_model_are_called_or_refused,
                kinds::inputs_that_are_no_tensors_are_refused,
                kinds::maps_are_refused_with_what_to_do,
                kinds::outputs_that_are_no_tensors_are_refused,
                kinds::sequences_of_tensors_are_stacked,
                kinds::sequences_of_several_shapes_fail_the_run,
                hostile::hostile_files_are_refused_and_named,
                hostile::every_truncation_is_survived,
                hostile::every_flipped_byte_is_survived,
                hostile::values_cannot_make_memory_explode,
                hostile::indices_that_lead_nowhere_are_errors,
                hostile::places_that_are_not_there_are_errors,
                files::weights_beside_the_model_are_read,
                files::weights_that_came_along_are_read,
                files::weights_of_inner_graphs_come_along_or_are_refused,
                files::weights_outside_the_directory_are_refused,
                files::weight_files_that_are_too_short_are_refused,
            }
        }
    };
}

runner!(tract, ignored = &[]);
runner!(onnxruntime, ignored = &[]);
runner!(
    wgpu,
    ignored = &[
        ("trees_are_climbed_at_any_size", "the GPU has no kernel for trees"),
        ("sizes_that_follow_from_values", "sizes on the GPU follow from the sizes of the inputs"),
        ("values_cannot_make_memory_explode", "its sizes follow from values; see `gpu/limits.rs`"),
        ("unnamed_sizes_may_differ", "one of its models takes a plan per shape"),
    ]
);
