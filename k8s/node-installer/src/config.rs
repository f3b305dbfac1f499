//! A configuration of containerd.

use std::path::Path;

use anyhow::{Context, Result, bail};
use toml_edit::{DocumentMut, Item};

/// The shim on the node. containerd 1.6 and later take a path for a runtime's type.
pub(crate) const SHIM: &str = "/opt/samara/bin/containerd-shim-samara-v1";
/// The plugin that serves the kubelet, by the versions of configurations.
const CRI_V2: &str = "io.containerd.grpc.v1.cri";
const CRI_V3: &str = "io.containerd.cri.v1.runtime";

/// A parsed configuration.
#[derive(Debug)]
pub(crate) struct Config {
    document: DocumentMut,
}

/// A version of configurations that the runtime can be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(i64);

/// What is added to a configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    /// No other runtime is named.
    pub(crate) is_first: bool,
    /// Control groups come from systemd.
    pub(crate) systemd_cgroup: bool,
}

impl Config {
    /// # Errors
    /// When it is not TOML, with the line and the place in it.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let document =
            text.parse().with_context(|| format!("{}: not TOML; nothing was changed", path.display()))?;
        Ok(Self { document })
    }

    /// # Errors
    /// When there is none, or one that the runtime cannot be added to.
    pub(crate) fn version(&self, path: &Path) -> Result<Version> {
        let version = self.document.get("version").and_then(Item::as_integer).unwrap_or(1);
        match version {
            2..=4 => Ok(Version(version)),
            ..2 => bail!(
                "{}: it has no `version`, or 1, which containerd 2 does not read; rewrite it with `version = 2` \
                 (`containerd config migrate` prints it so)",
                path.display()
            ),
            _ => bail!(
                "{}: `version = {version}` is newer than this program; take a newer one",
                path.display()
            ),
        }
    }

    /// Files and patterns of files that are read after this one.
    pub(crate) fn imports(&self) -> Vec<String> {
        self.strings("imports")
    }

    /// # Errors
    /// When the plugin that serves the kubelet is disabled.
    pub(crate) fn check_enabled(&self, path: &Path) -> Result<()> {
        let disabled = self.strings("disabled_plugins");
        let cri = disabled.iter().find(|plugin| ["cri", CRI_V2, CRI_V3].contains(&plugin.as_str()));
        let Some(cri) = cri else { return Ok(()) };
        bail!(
            "{}: `disabled_plugins` has `{cri}`, so that this containerd serves no Kubernetes; take it off the list",
            path.display()
        )
    }

    /// Whether it says anything of the plugin that serves the kubelet.
    pub(crate) fn has_cri(&self, version: Version) -> bool {
        self.at(&["plugins", version.cri()]).is_some()
    }

    /// The type of the runtime `samara`, if there is one.
    pub(crate) fn runtime(&self, version: Version) -> Option<&str> {
        let runtime = self.at(&["plugins", version.cri(), "containerd", "runtimes", "samara"])?;
        Some(runtime.get("runtime_type").and_then(Item::as_str).unwrap_or_default())
    }

    /// Whether it names a runtime beside `samara`.
    pub(crate) fn names_others(&self, version: Version) -> bool {
        let runtimes = self.at(&["plugins", version.cri(), "containerd", "runtimes"]);
        let mut runtimes = runtimes.and_then(Item::as_table_like).into_iter().flat_map(|all| all.iter());
        runtimes.any(|(name, _)| name != "samara")
    }

    /// Whether a runtime has its control groups from systemd, as the kubelet
    /// then does too.
    pub(crate) fn is_systemd_cgroup(&self) -> bool {
        [CRI_V2, CRI_V3].into_iter().any(|cri| {
            let runtimes = self.at(&["plugins", cri, "containerd", "runtimes"]);
            let mut runtimes = runtimes.and_then(Item::as_table_like).into_iter().flat_map(|all| all.iter());
            runtimes.any(|(_, runtime)| {
                let option = runtime.get("options").and_then(|options| options.get("SystemdCgroup"));
                option.and_then(Item::as_bool) == Some(true)
            })
        })
    }

    /// Its text without the runtime `samara`.
    pub(crate) fn without_runtime(mut self, version: Version) -> String {
        let mut item = Some(self.document.as_item_mut());
        for key in ["plugins", version.cri(), "containerd", "runtimes"] {
            item = item.and_then(|item| item.get_mut(key));
        }
        if let Some(runtimes) = item.and_then(Item::as_table_like_mut) {
            runtimes.remove("samara");
        }
        self.document.to_string()
    }

    fn strings(&self, key: &str) -> Vec<String> {
        let array = self.document.get(key).and_then(Item::as_array);
        array.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    fn at(&self, keys: &[&str]) -> Option<&Item> {
        keys.iter().try_fold(self.document.as_item(), |item, key| item.get(key))
    }
}

impl Version {
    pub(crate) const V2: Self = Self(2);
    pub(crate) const V3: Self = Self(3);

    /// Whether only containerd 2 and later read it, which put what several
    /// files say of a plugin together. Before that the last file had it alone.
    pub(crate) fn merges(self) -> bool {
        self.0 >= 3
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// The sections that are added.
    pub(crate) fn sections(self, added: Added) -> String {
        let runtimes = format!("plugins.\"{}\".containerd.runtimes", self.cri());
        let mut sections = String::new();
        if added.is_first {
            sections += &format!(
                "# containerd has this one by itself only where no other is named.\n\
                 [{runtimes}.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\n"
            );
        }
        sections += &format!("[{runtimes}.samara]\nruntime_type = \"{SHIM}\"\n");
        if added.systemd_cgroup {
            sections += &format!("\n[{runtimes}.samara.options]\nSystemdCgroup = true\n");
        }
        sections
    }

    fn cri(self) -> &'static str {
        if self.merges() { CRI_V3 } else { CRI_V2 }
    }
}
