//! The life of a server: built from its settings, spawned on listeners that
//! somebody else bound, reloaded, and drained.

mod connection;
mod guests;
mod patient;
mod streams;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::{ArcSwap, Guard};
use samara_engine::Host;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::budget::Budget;
use crate::config::{Config, ServeLimits};
use crate::error::{Error, Result};
use crate::functions::{Functions, Room, Source};
use crate::live;
use crate::memory::{MemoryBound, MemoryWatch};
use crate::metrics::Metrics;
use crate::trace::{Tracer, Tracing};
use guests::Guests;

/// What a server works with and does not make itself.
pub struct Parts {
    pub host: Host,
    pub source: Arc<dyn Source>,
    /// `None`: there is as much as there is.
    pub memory: Option<MemoryBound>,
}

/// A server whose functions are loaded, and that listens nowhere yet.
pub struct App {
    server: Arc<Server>,
    stop: watch::Sender<Phase>,
}

/// A server that answers. Dropping it abandons what it does.
pub struct Running {
    server: Arc<Server>,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<Phase>,
    /// Ends when the last connection has.
    connections: mpsc::Receiver<()>,
}

/// What every connection shares.
pub(crate) struct Server {
    config: ArcSwap<Config>,
    tls: ArcSwap<Option<TlsAcceptor>>,
    pub(crate) functions: Functions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracing: Tracing,
    pub(crate) memory: Option<MemoryWatch>,
    /// What the bodies of requests may take together.
    pub(crate) bodies: Arc<Budget>,
    connections: Arc<Room>,
    pub(crate) guests: Guests,
    phase: AtomicU8,
    /// Tells of every new phase. Ends where nobody drives the server any more.
    pub(crate) phases: watch::Receiver<Phase>,
}

/// Where a server stands on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Serving,
    /// Still answering everything, and saying that it is not ready.
    Leaving,
    /// Finishing what runs, on connections that take nothing new.
    Closing,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Whether every request ended by itself, in time.
    pub is_complete: bool,
}

impl App {
    /// Loads every function of the settings.
    ///
    /// # Errors
    /// Certificates that cannot be used, or the first function that cannot be
    /// loaded.
    pub async fn build(config: Config, parts: Parts) -> Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let tracing = Tracing::new(&config.telemetry)?;
        let tls = tls::acceptor(config.tls.as_ref())?;
        let limits = config.limits.clone();
        let functions = Functions::new(parts.host, parts.source, limits.clone(), Arc::clone(&metrics));
        functions.replace(&config.functions, &limits).await?;
        let (stop, phases) = watch::channel(Phase::Serving);
        Ok(Self {
            stop,
            server: Arc::new(Server {
                config: ArcSwap::from_pointee(config),
                tls: ArcSwap::from_pointee(tls),
                functions,
                metrics,
                tracing,
                memory: parts.memory.map(MemoryWatch::new),
                bodies: Budget::new(bodies(&limits)),
                connections: Room::new(limits.connections),
                guests: Guests::default(),
                phase: AtomicU8::new(Phase::Serving as u8),
                phases,
            }),
        })
    }

    /// Names, versions and kinds of what is served, for people.
    pub fn summary(&self) -> Vec<Summary> {
        self.server.summary()
    }

    /// The server without connections, and what drives its phases.
    #[cfg(test)]
    pub(crate) fn into_server(self) -> (Arc<Server>, watch::Sender<Phase>) {
        (self.server, self.stop)
    }

    /// Answers on these listeners, in tasks of the current runtime.
    ///
    /// # Errors
    /// A listener that has no address.
    pub fn spawn(self, listeners: Vec<TcpListener>) -> std::io::Result<Running> {
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let (alive, connections) = mpsc::channel(1);
        for listener in listeners {
            let (server, alive) = (Arc::clone(&self.server), alive.clone());
            let stopped = self.server.phases.clone();
            tokio::spawn(connection::accept(server, listener, stopped, alive));
        }
        tokio::spawn(live::watch(Arc::downgrade(&self.server)));
        tracing::info!(?addresses, "listening");
        Ok(Running { server: self.server, addresses, stop: self.stop, connections })
    }
}

/// One served version, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub name: String,
    pub version: String,
    /// Below which an HTTP function answers.
    pub route: Option<String>,
    pub digest: Option<String>,
}

impl Running {
    /// Where it listens, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes over new settings: functions are loaded beside the old ones and
    /// swapped in at once; tokens, certificates, limits and where traces go hold
    /// for new requests and connections. Those that are there stay, also where
    /// there are more of them than new limits let in.
    ///
    /// # Errors
    /// What is wrong with the new settings; the old ones then stay.
    pub async fn reload(&self, config: Config) -> Result<()> {
        let tls = tls::acceptor(config.tls.as_ref())?;
        if tls.is_some() != self.server.tls.load().is_some() {
            let reason =
                "TLS cannot be switched on or off while connections are open; start the server again";
            return Err(Error::Malformed(reason.to_owned()));
        }
        let tracer = match config.telemetry == self.server.config().telemetry {
            true => None,
            false => Some(Tracer::new(&config.telemetry)?),
        };
        self.server.functions.replace(&config.functions, &config.limits).await?;
        if let Some(tracer) = tracer {
            self.server.tracing.redirect(tracer);
        }
        self.server.connections.resize(config.limits.connections);
        self.server.bodies.resize(bodies(&config.limits));
        self.server.tls.store(Arc::new(tls));
        self.server.config.store(Arc::new(config));
        tracing::info!("the settings were reloaded");
        Ok(())
    }

    pub fn summary(&self) -> Vec<Summary> {
        self.server.summary()
    }

    /// Ends: not ready first, for as long as the settings say where balancers
    /// are to notice, then no more connections, then what runs is finished, in
    /// the time that the settings give.
    pub async fn drain(mut self, balancers_notice: bool) -> Drained {
        let drain = self.server.config().drain.clone();
        tracing::info!(timeout_seconds = drain.timeout.as_secs_f64(), "draining");
        self.enter(Phase::Leaving);
        if balancers_notice {
            tokio::time::sleep(drain.delay).await;
        }
        self.enter(Phase::Closing);
        let all_over = async {
            self.connections.recv().await;
            self.server.guests.gone().await;
        };
        let is_complete = tokio::time::timeout(drain.timeout, all_over).await.is_ok();
        let server = Arc::clone(&self.server);
        // A collector that is slow or gone costs no more than the bound there.
        let _ = tokio::task::spawn_blocking(move || server.tracing.finish()).await;
        tracing::info!(is_complete, "drained");
        Drained { is_complete }
    }

    fn enter(&self, phase: Phase) {
        self.server.phase.store(phase as u8, Ordering::SeqCst);
        self.stop.send_replace(phase);
    }
}

/// What bodies may take together: as much as one may, at least.
fn bodies(limits: &ServeLimits) -> u64 {
    limits.bodies.max(limits.body)
}

impl Server {
    pub(crate) fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// Whether balancers may send it requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Serving as u8
    }

    /// Waits until connections take nothing new.
    pub(crate) async fn closing(&self) {
        // A server that nobody drives is closing too.
        let _ = self.phases.clone().wait_for(|&phase| phase == Phase::Closing).await;
    }

    fn summary(&self) -> Vec<Summary> {
        let table = self.functions.table();
        let versions = table.ready().flat_map(|(_, entry)| &entry.versions);
        let one = |served: &Arc<crate::functions::Served>| Summary {
            name: served.name.clone(),
            version: served.version.clone(),
            route: served.is_http().then(|| served.route.clone()),
            digest: served.digest.clone(),
        };
        versions.map(one).collect()
    }
}
