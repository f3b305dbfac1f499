//! Cases in the engine inside standalone components: each is checked and written as
//! `samara compile --standalone` does, and read by one runner, which is compiled once.

use std::collections::BTreeMap;
use std::sync::Arc;

use samara_backends::{RegistryOptions, StandaloneModel, registry, standalone_model};
use samara_engine::{
    CallOptions, CompiledCode, DirectoryGrant, Error, Function, FunctionSource, Grants, GuestOutput, Host,
    HostOptions, Limits, Reuse, StageSource, Standalone, standalone_payload,
};
use samara_nn::{Compute, NamedTensor, Pool, Signature, TensorSpec};

use crate::case::{Case, Suite};
use crate::lists::Outcome;
use crate::{Runs, source};

/// A runner without a model, which reads one from a file.
pub(crate) struct Runner {
    host: Host,
    code: CompiledCode,
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Runner {
    pub(crate) fn new() -> Self {
        let models = Pool::new(registry(&RegistryOptions::default()), Arc::new(Compute::new(1, 4)));
        let code_cache = Some(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"));
        let options =
            HostOptions { code_cache, code_cache_read_only: false, models: Arc::new(models), instances: 2 };
        let host = Host::new(options).unwrap();
        let runner = std::fs::read(samara_test::standalone_runner()).unwrap();
        Self {
            code: host.compile("runner", &runner).unwrap(),
            host,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// What the engine answers to a model that is written for it, whose outputs are
    /// declared as those `expected`.
    ///
    /// # Errors
    /// What ended the call.
    pub(crate) fn answer(
        &self,
        name: &str,
        model: &StandaloneModel,
        inputs: Vec<NamedTensor>,
        expected: &[NamedTensor],
    ) -> Result<Vec<NamedTensor>, Error> {
        let specs = |tensors: &[NamedTensor]| tensors.iter().map(spec).collect();
        let signature = Signature { inputs: specs(&inputs), outputs: specs(expected) };
        let parts = Standalone { name, signature: &signature, file: &model.file, weights: &model.weights };
        let source = self.function(&standalone_payload(&parts));
        let answered = self.runtime.block_on(async {
            Function::load(&self.host, source).await?.infer(inputs, CallOptions::default()).await
        });
        answered.map(|outcome| outcome.outputs)
    }

    fn function(&self, payload: &[u8]) -> FunctionSource {
        std::fs::write(self.folder.path().join("payload"), payload).unwrap();
        let directory = DirectoryGrant {
            host: self.folder.path().to_owned(),
            guest: "/model".to_owned(),
            writable: false,
        };
        FunctionSource {
            name: "runner".to_owned(),
            stages: vec![StageSource::Compiled {
                name: "runner".to_owned(),
                code: self.code.clone(),
                rename: BTreeMap::new(),
            }],
            models: BTreeMap::new(),
            limits: Limits::default(),
            grants: Grants {
                environment: vec![("SAMARA_STANDALONE_PAYLOAD".to_owned(), "/model/payload".to_owned())],
                directories: vec![directory],
                ..Grants::default()
            },
            reuse: Reuse::Never,
            output: GuestOutput::Discard,
        }
    }
}

impl Runs for Runner {
    fn run(&self, suite: &Suite, case: &Case, model: &[u8], inputs: Vec<NamedTensor>) -> (Outcome, String) {
        let model = match standalone_model(&source(case, model)) {
            Ok(model) => model,
            Err(error) => return (Outcome::Refused, error.to_string()),
        };
        match self.answer(&case.name, &model, inputs, &suite.outputs(case)) {
            // An output that is not as the case's is an answer too, a wrong one.
            Err(error @ Error::Output { .. }) => (Outcome::Wrong, error.to_string()),
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(outputs) => match suite.difference(case, &outputs) {
                Some(difference) => (Outcome::Wrong, difference),
                None => (Outcome::Passed, String::new()),
            },
        }
    }
}

fn spec((name, tensor): &NamedTensor) -> TensorSpec {
    let shape: Vec<i64> = tensor.shape().iter().map(|&size| size as i64).collect();
    TensorSpec::new(name.clone(), tensor.datatype(), shape)
}
