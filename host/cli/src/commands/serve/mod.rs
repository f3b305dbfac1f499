//! `samara serve`: a server, from its settings to its end.

mod file;
mod source;

use std::sync::Arc;

use anyhow::{Context, Result};
use samara_compose::MemoryGroup;
use samara_server::{App, MemoryBound, Parts, Running, Summary};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::file::{Fixed, Plan};
use self::source::CommandLineSource;
use crate::args::ServeArgs;
use crate::compose;
use crate::error::Outcome;
use crate::logs;
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &ServeArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let plan = file::plan(args)?;
    logs::init(plan.fixed.log_format, settings.verbosity)?;
    let runtime = runtime()?;
    let source = CommandLineSource {
        settings: settings.clone(),
        printer: Printer::new(settings),
        registry: args.registry.clone(),
        place: args.place.clone(),
        grants: args.grants.clone(),
        models: args.models.clone(),
    };
    let host = compose::serving_host(settings, plan.fixed.instances, plan.fixed.threads)?;
    let parts = Parts { host, source: Arc::new(source), memory: memory_bound() };
    let outcome = runtime.block_on(serve(args, plan, parts, printer))?;
    // What did not end in time is not waited for.
    runtime.shutdown_background();
    Ok(outcome)
}

/// What a container or a service manager sets.
fn memory_bound() -> Option<MemoryBound> {
    let group = MemoryGroup::of_this_process()?;
    Some(MemoryBound { limit: group.limit(), used: Box::new(move || group.used()) })
}

async fn serve(args: &ServeArgs, plan: Plan, parts: Parts, printer: &Printer) -> Result<Outcome> {
    let Plan { config, fixed } = plan;
    // A port that is taken is told before models are loaded for minutes.
    let listeners = listen(&fixed.listen).await?;
    let is_tls = config.tls.is_some();
    let mut signals = Signals::new()?;
    let app = {
        let _spinner = printer.spinner("loading");
        tokio::select! {
            app = App::build(config, parts) => app?,
            _ = signals.stop() => return Ok(Outcome::Done),
        }
    };
    let running = app.spawn(listeners)?;
    tell(&running, is_tls, printer);
    let told = loop {
        match signals.next().await {
            Told::Reload => {}
            told => break told,
        }
        // A load takes minutes at times; the old functions answer meanwhile.
        tokio::select! {
            () = reload(args, &fixed, &running, printer) => {}
            told = signals.stop() => break told,
        }
    };
    printer.step("Stopping", "finishing the requests that run; once more stops at once");
    let drained = tokio::select! {
        drained = running.drain(told == Told::Stop) => drained.is_complete,
        _ = signals.stop() => false,
    };
    if !drained {
        printer.warn("requests that were still running were given up");
    }
    Ok(Outcome::Done)
}

async fn listen(addresses: &[String]) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on `{address}`\nhint: name another place, e.g. `--listen 127.0.0.1:0` for any free port")
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn tell(running: &Running, is_tls: bool, printer: &Printer) {
    for Summary { name, version, route, digest } in running.summary() {
        let digest =
            digest.map(|digest| format!(" {}", digest.get(..19).unwrap_or(&digest))).unwrap_or_default();
        let route = route.map(|route| format!(" at {route}")).unwrap_or_default();
        printer.step("Serving", format_args!("{name} {version}{digest}{route}"));
    }
    let scheme = if is_tls { "https" } else { "http" };
    for address in running.addresses() {
        printer.step("Listening", format_args!("{scheme}://{address}"));
    }
}

async fn reload(args: &ServeArgs, fixed: &Fixed, running: &Running, printer: &Printer) {
    let reloaded = match file::plan(args) {
        Ok(plan) => running.reload(plan.config).await.map(|()| plan.fixed).map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match reloaded {
        Ok(newer) => {
            for key in fixed.changed(&newer) {
                printer.warn(format_args!("`{key}` stays as it was: it holds from the start of a server"));
            }
            printer.step("Reloaded", format_args!("{} functions", running.summary().len()));
        }
        Err(error) => {
            printer.error(&error);
            printer.warn("nothing was changed");
        }
    }
}

/// Two threads at least: one that answers while another one starts a guest.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(samara_compose::threads().max(2))
        .thread_name("samara-serve")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// What the system tells a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By an orchestrator: balancers are to see it first.
    Stop,
    /// By a person, who waits.
    Interrupt,
    Reload,
}

/// The signals that are listened for.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// Waits until it is told to end. To be told to reload is left for later.
    #[cfg(unix)]
    async fn stop(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Interrupt,
        }
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> Told {
        let _ = tokio::signal::ctrl_c().await;
        Told::Interrupt
    }

    #[cfg(not(unix))]
    async fn stop(&mut self) -> Told {
        self.next().await
    }
}
