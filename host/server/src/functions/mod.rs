//! The functions that are served, by name and version. Looking one up takes no
//! lock; a change replaces the whole table, so that a request sees either the
//! old one or the new one.

mod gate;
mod room;
mod route;
mod served;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use samara_engine::Host;
use tokio::sync::Mutex;

pub use source::{Loadable, ReadInputs, Source, TestCase};

pub(crate) use gate::{Gate, Permit};
pub(crate) use room::Room;
pub(crate) use served::Served;

use crate::config::{FunctionConfig, ServeLimits};
use crate::error::{Error, Result};
use crate::logs;
use crate::metrics::Metrics;
use gate::Admission;

/// All functions of a server.
pub(crate) struct Functions {
    table: ArcSwap<Table>,
    /// Held while the table changes, so that changes come one after another.
    /// Requests never wait for it.
    changing: Mutex<Changing>,
    host: Host,
    source: Arc<dyn Source>,
    /// For requests of all functions together.
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

/// What changes with the table.
struct Changing {
    limits: ServeLimits,
    /// By name and version. A gate lives as long as a function behind it, so
    /// that requests to what is swapped out still count.
    gates: HashMap<(String, String), Weak<Gate>>,
}

/// One state of the repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// What the server knows how to load, in the user's order.
    configured: Vec<Item>,
    /// Ready for requests.
    ready: BTreeMap<String, Entry>,
}

/// Something that can be loaded, and how its last load went.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) config: FunctionConfig,
    /// What it was last loaded as.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) state: State,
}

/// Where a configured function stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Unloaded,
    Failed(String),
}

/// The versions of one name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// In the order in which they were configured; the last one answers where
    /// no version is asked for.
    pub(crate) versions: Vec<Arc<Served>>,
}

impl Functions {
    pub(crate) fn new(
        host: Host,
        source: Arc<dyn Source>,
        limits: ServeLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let room = Room::new(limits.concurrency);
        let changing = Mutex::new(Changing { limits, gates: HashMap::new() });
        Self { table: ArcSwap::default(), changing, host, source, room, metrics }
    }

    /// Requests of all functions that run now.
    pub(crate) fn running(&self) -> usize {
        self.room.taken()
    }

    /// The state of the repository now.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The function that answers for a name, and a version where one is asked
    /// for.
    ///
    /// # Errors
    /// [`Error::UnknownFunction`] or [`Error::UnknownVersion`].
    pub(crate) fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<Served>> {
        let table = self.table.load();
        let Some(entry) = table.entry(name) else {
            let known = table.ready.keys().cloned().collect();
            return Err(Error::UnknownFunction { name: name.to_owned(), known });
        };
        entry.find(version).cloned().ok_or_else(|| Error::UnknownVersion {
            function: name.to_owned(),
            version: version.unwrap_or_default().to_owned(),
            known: entry.versions.iter().map(|served| served.version.clone()).collect(),
        })
    }

    /// The HTTP function whose route is the longest prefix of a path.
    pub(crate) fn by_route(&self, path: &str) -> Option<Arc<Served>> {
        let table = self.table.load();
        let served = table.ready.values().flat_map(|entry| &entry.versions);
        // Of versions with one route the last one answers.
        served
            .filter(|served| served.is_http() && route::is_below(path, &served.route))
            .max_by_key(|served| served.route.len())
            .cloned()
    }

    /// Loads functions anew and serves exactly these from then on, within these
    /// limits. Requests go on with what there was until all are loaded. Models
    /// that are in both are not loaded again: the pool has them.
    ///
    /// # Errors
    /// The first load that failed; everything then stays as it was.
    pub(crate) async fn replace(&self, configured: &[FunctionConfig], limits: &ServeLimits) -> Result<()> {
        let mut changing = self.changing.lock().await;
        let mut table = Table::default();
        for config in configured {
            let served = self.open(config, &mut changing).await?;
            table.configured.push(Item::ready(&served));
            table.put(served)?;
        }
        changing.limits = limits.clone();
        self.room.resize(limits.concurrency);
        self.publish(table, &changing);
        Ok(())
    }

    /// Loads a configured function again, from what its image or folder is
    /// now, and swaps it in. All versions that are configured under the name
    /// are loaded.
    ///
    /// # Errors
    /// [`Error::UnknownFunction`], or what made it fail; the version that
    /// answered until now goes on answering.
    pub(crate) async fn load(&self, name: &str) -> Result<()> {
        let mut changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        let mine: Vec<usize> = table.items_of(name);
        if mine.is_empty() {
            return Err(table.unknown(name));
        }
        let mut loaded = Vec::new();
        for &index in &mine {
            match self.open(&table.configured[index].config, &mut changing).await {
                Ok(served) => loaded.push(served),
                Err(error) => {
                    table.configured[index].fail(&error);
                    self.publish(table, &changing);
                    return Err(error);
                }
            }
        }
        table.ready.remove(name);
        for (&index, served) in mine.iter().zip(loaded) {
            table.configured[index] = Item::ready(&served);
            table.put(served)?;
        }
        self.publish(table, &changing);
        Ok(())
    }

    /// Adds a function that was not configured, or replaces what its name
    /// stands for.
    ///
    /// # Errors
    /// What made it fail; nothing changes then.
    pub(crate) async fn load_other(&self, config: FunctionConfig) -> Result<()> {
        let mut changing = self.changing.lock().await;
        let served = self.open(&config, &mut changing).await?;
        let mut table = Table::clone(&self.table.load());
        let name = served.name.clone();
        table.configured.retain(|item| item.name != name);
        table.ready.remove(&name);
        table.configured.push(Item::ready(&served));
        table.put(served)?;
        self.publish(table, &changing);
        Ok(())
    }

    /// Takes a function out of service. Requests that run end as they would
    /// have.
    ///
    /// # Errors
    /// [`Error::UnknownFunction`].
    pub(crate) async fn unload(&self, name: &str) -> Result<()> {
        let changing = self.changing.lock().await;
        let mut table = Table::clone(&self.table.load());
        let mine = table.items_of(name);
        if mine.is_empty() {
            return Err(table.unknown(name));
        }
        for index in mine {
            table.configured[index].state = State::Unloaded;
        }
        table.ready.remove(name);
        self.publish(table, &changing);
        tracing::info!(function = name, "unloaded");
        Ok(())
    }

    fn publish(&self, table: Table, changing: &Changing) {
        for served in table.ready.values().flat_map(|entry| &entry.versions) {
            served.gate.admit(changing.admission(&served.config));
        }
        self.table.store(Arc::new(table));
    }

    async fn open(&self, config: &FunctionConfig, changing: &mut Changing) -> Result<Arc<Served>> {
        let (source, asked) = (Arc::clone(&self.source), config.clone());
        let read = tokio::task::spawn_blocking(move || source.open(&asked)).await;
        let function = config.name.clone().unwrap_or_else(|| config.what.clone());
        let loadable = match read {
            Ok(read) => read.map_err(|reason| Error::Load { function, reason })?,
            Err(panic) => return Err(Error::Internal(format!("reading `{function}` panicked: {panic}"))),
        };
        let meters = |name: &str, version: &str| self.metrics.function(name, version);
        let gate = |name: &str, version: &str| changing.gate(name, version, config, &self.room);
        let served = Served::load(&self.host, config.clone(), loadable, gate, meters)
            .await
            .inspect_err(|error| tracing::warn!(error = error.kind().name(), "{error}"))?;
        self.metrics.loaded(&served);
        logs::loaded(&served);
        Ok(Arc::new(served))
    }
}

impl Changing {
    /// The gate of a version: the one that requests to it pass already, or a
    /// new one.
    fn gate(&mut self, name: &str, version: &str, config: &FunctionConfig, server: &Arc<Room>) -> Arc<Gate> {
        self.gates.retain(|_, gate| gate.strong_count() > 0);
        let key = (name.to_owned(), version.to_owned());
        let known = self.gates.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let gate = Arc::new(Gate::new(format!("`{name}`"), self.admission(config), server));
            self.gates.insert(key, Arc::downgrade(&gate));
            gate
        })
    }

    fn admission(&self, config: &FunctionConfig) -> Admission {
        Admission {
            running: config.concurrency.unwrap_or(self.limits.function_concurrency),
            queue: config.queue.unwrap_or(self.limits.function_queue),
        }
    }
}

impl Table {
    /// What can be loaded, in the user's order.
    pub(crate) fn configured(&self) -> &[Item] {
        &self.configured
    }

    /// What answers, by name.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.ready.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Whether a name can be loaded, if it does not answer already.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.configured.iter().any(|item| item.name == name)
    }

    /// The versions of a name that answer.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.ready.get(name)
    }

    fn put(&mut self, served: Arc<Served>) -> Result<()> {
        route::check_clash(
            &served,
            self.ready.values().flat_map(|entry| &entry.versions).map(|other| &**other),
        )?;
        let entry = self.ready.entry(served.name.clone()).or_insert_with(|| Entry { versions: Vec::new() });
        if entry.versions.iter().any(|other| other.version == served.version) {
            return Err(Error::Load {
                function: served.name.clone(),
                reason: format!(
                    "version {} is there twice\nhint: serve one of them under another name, `NAME={}`",
                    served.version, served.config.what
                ),
            });
        }
        entry.versions.push(served);
        Ok(())
    }

    /// The items that are, or would be, known by a name.
    fn items_of(&self, name: &str) -> Vec<usize> {
        let is_mine = |item: &Item| item.name == name;
        (0..self.configured.len()).filter(|&index| is_mine(&self.configured[index])).collect()
    }

    fn unknown(&self, name: &str) -> Error {
        let mut known: Vec<String> = self.configured.iter().map(|item| item.name.clone()).collect();
        known.dedup();
        Error::UnknownFunction { name: name.to_owned(), known }
    }
}

impl Item {
    fn ready(served: &Served) -> Self {
        Self {
            config: served.config.clone(),
            name: served.name.clone(),
            version: served.version.clone(),
            state: State::Ready,
        }
    }

    fn fail(&mut self, error: &Error) {
        // What answers goes on answering.
        if self.state != State::Ready {
            self.state = State::Failed(error.to_string());
        }
    }
}

impl Entry {
    /// The version that is asked for, or the one that answers by default.
    pub(crate) fn find(&self, version: Option<&str>) -> Option<&Arc<Served>> {
        match version {
            None | Some("") => self.versions.last(),
            Some(version) => self.versions.iter().find(|served| served.version == version),
        }
    }
}
