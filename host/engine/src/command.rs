//! Commands: components and modules that are run to their end.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi::{I32Exit, p2, p3};

use crate::call::Call;
use crate::error::{Error, Result};
use crate::grants::{DirectoryGrant, Grants};
use crate::host::Host;
use crate::instance::{InstanceState, Surroundings, Terms};
use crate::kind::Wasi;
use crate::program::{self, ProgramPre};
use crate::stage::until;

/// A deadline for those that were given none.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// One run of a command. What it may reach comes on top of what the function was
/// loaded with.
#[derive(Debug, Clone, Default)]
pub struct CommandRun {
    /// Without the command's own name.
    pub arguments: Vec<String>,
    /// A variable takes the place of one of the same name.
    pub environment: Vec<(String, String)>,
    pub directories: Vec<DirectoryGrant>,
    /// `None` lets it run as long as it likes.
    pub deadline: Option<Duration>,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    pub code: i32,
    /// The end of its standard output, at most 1 MiB.
    pub stdout: String,
    /// The end of its standard error, at most 1 MiB.
    pub stderr: String,
}

/// What is run to its end.
pub(crate) struct Command {
    body: Body,
    terms: Terms,
}

enum Body {
    Component { pre: InstancePre<InstanceState>, wasi: Wasi },
    Program(ProgramPre),
}

impl Command {
    pub(crate) fn new(pre: InstancePre<InstanceState>, wasi: Wasi, terms: Terms) -> Self {
        Self { body: Body::Component { pre, wasi }, terms }
    }

    pub(crate) fn program(pre: ProgramPre, terms: Terms) -> Self {
        Self { body: Body::Program(pre), terms }
    }

    pub(crate) fn wasi(&self) -> Wasi {
        match self.body {
            Body::Component { wasi, .. } => wasi,
            Body::Program(_) => Wasi::V0_1,
        }
    }

    /// Runs it to its end on the process's own streams and gives its exit code.
    pub(crate) async fn run(
        &self,
        host: &Host,
        arguments: &[String],
        patience: Option<Duration>,
    ) -> Result<i32> {
        self.drive(host, &self.terms, self.terms.inherited(arguments), patience).await
    }

    /// Runs it to its end with its streams recorded.
    pub(crate) async fn output(&self, host: &Host, run: CommandRun) -> Result<CommandOutput> {
        let grants = Arc::new(joined(&self.terms.grants, &run));
        let terms = Terms { grants, ..self.terms.clone() };
        let surroundings = terms.recorded(&run.arguments);
        let voice = surroundings.voice.clone();
        let code = self.drive(host, &terms, surroundings, run.deadline).await?;
        let (stdout, stderr) = voice.record();
        Ok(CommandOutput { code, stdout, stderr })
    }

    async fn drive(
        &self,
        host: &Host,
        terms: &Terms,
        surroundings: Surroundings,
        patience: Option<Duration>,
    ) -> Result<i32> {
        let _interruptible = host.interruptible();
        let call = Call::within(patience.unwrap_or(NEVER));
        let (deadline, given) = (call.deadline, call.deadline.given);
        let end = |ran: Option<Ran>, state: &InstanceState| match ran {
            Some(Ok(Ok(()))) => Ok(0),
            Some(Ok(Err(()))) => Ok(1),
            Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
                Some(&I32Exit(code)) => Ok(code),
                None => Err(terms.explain(host, &error, state, given)),
            },
            None => Err(Error::Timeout { function: terms.function.clone(), deadline: given }),
        };
        match &self.body {
            Body::Component { pre, wasi } => {
                let mut store = terms.component_store(host, surroundings)?;
                store.data_mut().begin(&call);
                let ran = until(deadline, run_component(pre, *wasi, &mut store)).await;
                end(ran, store.data())
            }
            Body::Program(pre) => {
                let mut store = terms.program_store(host, surroundings)?;
                store.data_mut().instance.begin(&call);
                let ran = until(deadline, program::run(pre, &mut store)).await;
                end(ran.map(|ran| ran.map(Ok)), &store.data().instance)
            }
        }
    }
}

/// What a function may reach, and what one run of it may besides.
fn joined(grants: &Grants, run: &CommandRun) -> Grants {
    let mut grants = grants.clone();
    grants.environment.retain(|(name, _)| !run.environment.iter().any(|(own, _)| own == name));
    grants.environment.extend_from_slice(&run.environment);
    grants.directories.extend_from_slice(&run.directories);
    grants
}

type Ran = wasmtime::Result<Result<(), ()>>;

async fn run_component(
    pre: &InstancePre<InstanceState>,
    wasi: Wasi,
    store: &mut Store<InstanceState>,
) -> Ran {
    match wasi {
        Wasi::V0_1 | Wasi::V0_2 => run_p2(pre, store).await,
        Wasi::V0_3 => run_p3(pre, store).await,
    }
}

async fn run_p2(pre: &InstancePre<InstanceState>, store: &mut Store<InstanceState>) -> Ran {
    let command = p2::bindings::CommandPre::new(pre.clone())?.instantiate_async(&mut *store).await?;
    command.wasi_cli_run().call_run(store).await
}

async fn run_p3(pre: &InstancePre<InstanceState>, store: &mut Store<InstanceState>) -> Ran {
    let command = p3::bindings::CommandPre::new(pre.clone())?.instantiate_async(&mut *store).await?;
    store.run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_adds_to_what_is_granted() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let grants = Grants { environment: vec![pair("A", "1"), pair("B", "2")], ..Grants::default() };
        let out = DirectoryGrant { host: "/x".into(), guest: "/out".to_owned(), writable: true };
        let run = CommandRun {
            environment: vec![pair("A", "3")],
            directories: vec![out.clone()],
            ..CommandRun::default()
        };
        let joined = joined(&grants, &run);
        assert_eq!(joined.environment, [pair("B", "2"), pair("A", "3")]);
        assert_eq!(joined.directories, [out]);
    }
}
