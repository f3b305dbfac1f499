//! The containerd's that tests run on, and how they are told what to do.

use std::path::{Path, PathBuf};

use crate::pods;

/// A version of containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Debian 12's. Its client takes functions as tar layers only.
    V1_6,
    /// Debian 13's. It hands components over as layers of their own.
    V1_7,
    /// That of the Debian in the making.
    V2,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Containers that containerd's own client makes.
    Bare,
    /// Pods, whose runtime is samara.
    Pods,
    /// Pods, by a policy that the test writes.
    Guarded,
    /// Pods, once the runtime is installed. The node's root is its folder.
    Installed,
}

impl Version {
    /// containerd and its client. `None` says that the test is to be skipped.
    pub(crate) fn programs(self) -> Option<[PathBuf; 2]> {
        let program = match self {
            Self::V1_6 => samara_test::program,
            Self::V1_7 => samara_test::trixie_path,
            Self::V2 => samara_test::containerd_2,
        };
        Some([program("containerd")?, program("ctr")?])
    }

    /// The form in which its client takes functions.
    pub(crate) fn form(self) -> &'static str {
        if self == Self::V1_6 { "tar" } else { "mixed" }
    }

    /// Its file, with everything in folders of the node's.
    pub(crate) fn configuration(self, folder: &Path, kind: Kind) -> String {
        let mut disabled = vec!["io.containerd.internal.v1.opt"];
        if kind == Kind::Bare {
            disabled.extend(self.plugins_of_pods());
        }
        let at = folder.display();
        let version = if self == Self::V2 { 3 } else { 2 };
        let common = format!(
            "version = {version}\nroot = \"{at}/root\"\nstate = \"{at}/state\"\ndisabled_plugins = {disabled:?}\n\
             [grpc]\naddress = \"{at}/c.sock\"\n"
        );
        // Its socket would be one for all nodes.
        let no_plugins = "[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n";
        let more = if self == Self::V2 { no_plugins } else { "" };
        let pods = if kind == Kind::Bare { String::new() } else { pods::configuration(self, folder, kind) };
        common + more + &pods
    }

    fn plugins_of_pods(self) -> &'static [&'static str] {
        match self {
            Self::V1_6 | Self::V1_7 => &["io.containerd.grpc.v1.cri"],
            Self::V2 => {
                &["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
            }
        }
    }
}
