//! Functions as containers: on containerd's of several versions, each started by
//! its test with folders of its own.
//!
//! They need root, and namespaces and control groups that may be made: elsewhere
//! they are skipped by name. Nothing outside of the test's folder is touched, and
//! each test counts at its end what it left behind.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failure here is a failed test, and a skip is said on stderr"
)]

mod commands;
mod cri;
mod devices;
mod functions;
mod images;
mod installer;
mod life;
mod linux;
mod node;
mod pods;
mod policy;
mod pulls;
mod refusals;
mod restarts;
mod sweep;
mod version;
mod volumes;

/// Makes a test of each version of containerd of a function that takes a node.
macro_rules! on_every_containerd {
    ($($test:ident),* $(,)?) => {
        mod containerd_1_6 {
            $(#[test] fn $test() { crate::node::Node::with(crate::node::Version::V1_6, super::$test) })*
        }
        mod containerd_1_7 {
            $(#[test] fn $test() { crate::node::Node::with(crate::node::Version::V1_7, super::$test) })*
        }
        mod containerd_2 {
            $(#[test] fn $test() { crate::node::Node::with(crate::node::Version::V2, super::$test) })*
        }
    };
}
use on_every_containerd;

/// Makes tests of functions that take a node of some kind, on one version.
macro_rules! on_containerd {
    ($module:ident, $version:ident, $kind:ident: $($test:ident),* $(,)?) => {
        mod $module {
            $(#[test] fn $test() {
                use crate::node::{Kind, Node, Version};
                Node::of_kind(Version::$version, Kind::$kind, super::$test);
            })*
        }
    };
}
use on_containerd;
