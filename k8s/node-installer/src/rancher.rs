//! k3s and RKE2: they write containerd's configuration from a template, which
//! is the file to add to.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Added, Config, Version};
use crate::host::Host;
use crate::imports::WHOLLY_OURS;
use crate::part;
use crate::plan::{Is, Plan};

/// The name of each, and its services: that of a server first.
const ALL: [(&str, [&str; 2]); 2] = [("k3s", ["k3s", "k3s-agent"]), ("rke2", ["rke2-server", "rke2-agent"])];
/// Where systemd has services, those that it starts first.
const SERVICES: [&str; 5] = [
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const TEMPLATE_V2: &str = "config.toml.tmpl";
const TEMPLATE_V3: &str = "config-v3.toml.tmpl";

/// One of them on a node.
#[derive(Debug)]
pub(crate) struct Rancher {
    name: &'static str,
    services: [&'static str; 2],
    folder: PathBuf,
}

impl Rancher {
    /// The one that the node has.
    pub(crate) fn of(host: &Host) -> Option<Self> {
        let all = ALL.map(|(name, services)| {
            let folder = PathBuf::from(format!("/var/lib/rancher/{name}/agent/etc/containerd"));
            Self { name, services, folder }
        });
        all.into_iter().find(|rancher| host.has(&rancher.folder))
    }

    /// What makes the runtime known.
    ///
    /// # Errors
    /// When what was generated is broken, or is none that the runtime can be added to.
    pub(crate) fn install(&self, host: &Host) -> Result<Plan> {
        let mut plan = self.plan(host);
        let path = self.folder.join("config.toml");
        let Some(generated) = host.text(&path)? else {
            bail!("{}: {} has not written it yet; start {} once", path.display(), self.name, self.name);
        };
        let generated = Config::parse(&path, &generated)?;
        generated.check_enabled(&path)?;
        let version = generated.version(&path)?;
        let (template, version) = self.template(host, version);
        let path = self.folder.join(template);
        let there = host.text(&path)?;
        let rest = match &there {
            Some(text) => part::without(&path, text)?,
            None => new_template(),
        };
        if ["runtimes.samara]", "runtimes.\"samara\"]", "runtimes.'samara']"]
            .iter()
            .any(|end| rest.contains(end))
        {
            plan.notes
                .push(format!("{}: the runtime is there already; the file stays as it is", path.display()));
            return Ok(plan);
        }
        // Their own template names `runc`.
        let added = Added { is_first: false, systemd_cgroup: generated.is_systemd_cgroup() };
        let text = part::with(&rest, &version.sections(added));
        plan.want(path, Is::Text(text));
        Ok(plan)
    }

    /// What makes containerd forget the runtime.
    ///
    /// # Errors
    /// When a template cannot be read.
    pub(crate) fn uninstall(&self, host: &Host) -> Result<Plan> {
        let mut plan = self.plan(host);
        for template in [TEMPLATE_V2, TEMPLATE_V3] {
            let path = self.folder.join(template);
            let Some(text) = host.text(&path)? else { continue };
            let rest = part::without(&path, &text)?;
            let is = if rest == new_template() { Is::Nothing } else { Is::Text(rest) };
            plan.want(path, is);
        }
        Ok(plan)
    }

    /// The template that has the runtime.
    ///
    /// # Errors
    /// When a template cannot be read.
    pub(crate) fn configured(&self, host: &Host) -> Result<Option<PathBuf>> {
        for template in [TEMPLATE_V3, TEMPLATE_V2] {
            let path = self.folder.join(template);
            if host.text(&path)?.is_some_and(|text| text.contains("runtimes.samara]")) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The template that will be used next, and the version that it makes: a
    /// template that people wrote for containerd 1 goes on making version 2.
    fn template(&self, host: &Host, generated: Version) -> (&'static str, Version) {
        let has = |template: &str| host.has(&self.folder.join(template));
        if generated.merges() && (has(TEMPLATE_V3) || !has(TEMPLATE_V2)) {
            (TEMPLATE_V3, Version::V3)
        } else {
            (TEMPLATE_V2, Version::V2)
        }
    }

    fn plan(&self, host: &Host) -> Plan {
        let has =
            |folder: &str, service: &str| host.has(&Path::new(folder).join(format!("{service}.service")));
        let installed =
            SERVICES.iter().find_map(|folder| self.services.into_iter().find(|service| has(folder, service)));
        Plan { service: installed.unwrap_or(self.services[0]).to_owned(), ..Plan::default() }
    }
}

/// A template that makes what is made without one.
fn new_template() -> String {
    format!("{WHOLLY_OURS}.\n{{{{ template \"base\" . }}}}\n")
}
