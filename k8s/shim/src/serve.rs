//! Functions: served over the Open Inference Protocol until the pod is told to
//! end.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use samara_engine::{DirectoryGrant, Grants, Host};
use samara_package::manifest::Capabilities;
use samara_server::{App, Config, Drain, FunctionConfig, Loadable, Parts, RepositoryControl, Source};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure;
use crate::image::Image;
use crate::limits::Memory;
use crate::settings::Settings;

/// All addresses of the pod, of both families where it has both.
const EVERYWHERE: [&str; 2] = ["[::]:8080", "0.0.0.0:8080"];

/// Serves the function of a container until SIGTERM, and gives the exit code.
///
/// # Errors
/// When it cannot be loaded, or the port cannot be had.
pub(crate) fn serve(
    runtime: &Runtime,
    host: Host,
    image: Image,
    settings: &Settings,
    memory: Memory,
    environment: &[(String, String)],
) -> Result<i32> {
    let grants = grants(image.manifest().map(|manifest| &manifest.capabilities), environment, settings);
    let mut config = config(settings, &image.name());
    let models = image.model_bytes(settings)?;
    memory.bound_bodies(&mut config.limits, models);
    let watched = memory.watched();
    let source = ImageSource { image, settings: settings.clone(), grants, memory };
    let parts = Parts { host, source: Arc::new(source), memory: watched };
    runtime.block_on(until_told(config, parts, settings.listen.as_deref()))
}

async fn until_told(config: Config, parts: Parts, listen: Option<&str>) -> Result<i32> {
    let mut signals = Signals::new()?;
    // A port that is taken is told before models are loaded for minutes.
    let listener = bind(listen).await?;
    let app = tokio::select! {
        app = App::build(config, parts) => app?,
        () = signals.told() => return Ok(0),
    };
    let running = app.spawn(vec![listener])?;
    signals.told().await;
    tracing::info!(target: "samara", "told to end: the requests that run are finished");
    let drained = running.drain(true).await;
    if !drained.is_complete {
        tracing::warn!(target: "samara", "requests that were still running were given up");
    }
    Ok(failure::end_well())
}

async fn bind(listen: Option<&str>) -> Result<TcpListener> {
    let Some(address) = listen else { return bind_everywhere().await };
    TcpListener::bind(address).await.with_context(|| taken(address))
}

async fn bind_everywhere() -> Result<TcpListener> {
    let [both, old] = EVERYWHERE;
    match TcpListener::bind(both).await {
        // The pod may have no addresses of version 6.
        Err(error) if error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind(old).await.with_context(|| taken(old))
        }
        bound => bound.with_context(|| taken(both)),
    }
}

fn taken(address: &str) -> String {
    format!(
        "cannot listen on `{address}`\nhint: containers of a pod share its ports: name another with `SAMARA_LISTEN=0.0.0.0:PORT`"
    )
}

fn config(settings: &Settings, name: &str) -> Config {
    // The image stands at the container's root, so there is nothing to name.
    let mut function = FunctionConfig::new(name);
    function.name.clone_from(&settings.name);
    function.route.clone_from(&settings.route);
    function.concurrency = settings.concurrency;
    function.queue = settings.queue;
    let mut config = Config {
        functions: vec![function],
        // A pod is its image; another image is another pod.
        repository: RepositoryControl::ReadOnly,
        drain: Drain { delay: settings.drain_delay, timeout: settings.drain_timeout },
        ..Config::default()
    };
    config.telemetry.otlp.clone_from(&settings.otlp);
    config
}

/// What the manifest asks for, as far as the container has it: who wrote the pod
/// put it there. Hosts are allowed by name only.
pub(crate) fn grants(
    requested: Option<&Capabilities>,
    environment: &[(String, String)],
    settings: &Settings,
) -> Grants {
    let mut grants = Grants { http_hosts: settings.allow_http.clone(), ..Grants::default() };
    let Some(requested) = requested else { return grants };
    let wanted = environment.iter().filter(|(name, _)| requested.environment.contains(name));
    grants.environment = wanted.cloned().collect();
    for directory in &requested.directories {
        let host = Path::new(&directory.guest).to_owned();
        if host.is_dir() {
            let (guest, writable) = (directory.guest.clone(), directory.writable);
            grants.directories.push(DirectoryGrant { host, guest, writable });
        }
    }
    grants
}

/// Gives the server the one function that the container has.
struct ImageSource {
    image: Image,
    settings: Settings,
    grants: Grants,
    memory: Memory,
}

impl Source for ImageSource {
    fn open(&self, _function: &FunctionConfig) -> Result<Loadable, String> {
        self.read().map_err(|error| format!("{error:#}"))
    }
}

impl ImageSource {
    fn read(&self) -> Result<Loadable> {
        let mut source = self.image.source(&self.settings, self.grants.clone())?;
        let models = source.models.values().map(|model| model.source.bytes.len() as u64).sum();
        self.memory.bound(&mut source.limits, models);
        let manifest = self.image.manifest();
        Ok(Loadable {
            source,
            version: manifest.map_or("", |manifest| &manifest.function.version).to_owned(),
            digest: None,
            description: manifest.and_then(|manifest| manifest.function.description.clone()),
            tests: Vec::new(),
            labels: manifest.map(|manifest| manifest.labels.clone()).unwrap_or_default(),
        })
    }
}

/// What tells a container to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use samara_package::manifest::Directory;

    use super::*;

    #[test]
    fn what_the_pod_has_is_granted_where_it_is_asked_for() {
        let requested = Capabilities {
            http: vec!["api.example".to_owned()],
            directories: vec![
                Directory { host: "x".into(), guest: "/tmp".to_owned(), writable: true },
                Directory { host: "y".into(), guest: "/no/such/place".to_owned(), writable: true },
            ],
            environment: vec!["LEVEL".to_owned(), "UNSET".to_owned()],
        };
        let environment =
            [("LEVEL", "3"), ("SECRET", "s")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = grants(Some(&requested), &environment, &Settings::default());
        assert_eq!(given.environment, environment[..1]);
        assert_eq!(given.directories.len(), 1);
        assert!(given.http_hosts.is_empty(), "hosts are allowed by name");
    }
}
