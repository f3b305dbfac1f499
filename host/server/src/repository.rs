//! The repository extension, whatever protocol asks: which functions could be
//! served, and changes of what is.

use crate::app::Server;
use crate::config::{FunctionConfig, RepositoryControl};
use crate::error::{Error, Result};
use crate::functions::State;

/// One function that could be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// That it was last loaded as.
    pub(crate) version: String,
    /// `READY` or `UNAVAILABLE`.
    pub(crate) state: &'static str,
    /// Why it is not ready; empty where it is.
    pub(crate) reason: String,
}

impl Server {
    /// All that can be loaded, or only what is, in the user's order.
    pub(crate) fn index(&self, only_ready: bool) -> Vec<Listed> {
        let table = self.functions.table();
        let items = table.configured().iter().filter(|item| !only_ready || item.state == State::Ready);
        let listed = items.map(|item| {
            let (state, reason) = match &item.state {
                State::Ready => ("READY", String::new()),
                State::Unloaded => ("UNAVAILABLE", "unloaded".to_owned()),
                State::Failed(reason) => ("UNAVAILABLE", reason.clone()),
            };
            Listed { name: item.name.clone(), version: item.version.clone(), state, reason }
        });
        listed.collect()
    }

    /// Loads a function, or loads it again and swaps it in. With an `image`,
    /// the name stands for that from then on.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the settings do not let clients do so, or
    /// what kept it from loading.
    pub(crate) async fn load(&self, name: &str, image: Option<&str>) -> Result<()> {
        self.check_control()?;
        let Some(image) = image else { return self.functions.load(name).await };
        if self.config().repository != RepositoryControl::Any {
            return Err(Error::Forbidden {
                what: "load images that it was not configured with",
                hint: "whoever starts it decides whether clients may",
            });
        }
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        self.functions.load_other(FunctionConfig { name, ..FunctionConfig::new(image) }).await
    }

    /// Takes a function out of service.
    ///
    /// # Errors
    /// As [`Server::load`].
    pub(crate) async fn unload(&self, name: &str) -> Result<()> {
        self.check_control()?;
        self.functions.unload(name).await
    }

    fn check_control(&self) -> Result<()> {
        match self.config().repository {
            RepositoryControl::Configured | RepositoryControl::Any => Ok(()),
            RepositoryControl::ReadOnly => Err(Error::Forbidden {
                what: "let clients load or unload functions",
                hint: "whoever starts it decides whether clients may",
            }),
        }
    }
}
