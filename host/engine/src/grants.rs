//! What an instance may reach outside its sandbox. By default: nothing.

use std::path::PathBuf;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::error::{Error, Result};

/// What whoever runs a function allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Environment variables and their values.
    pub environment: Vec<(String, String)>,
    pub directories: Vec<DirectoryGrant>,
    /// Hosts that HTTP requests may go to: `name` or `name:port`; without a
    /// port, the scheme's own port only.
    pub http_hosts: Vec<String>,
}

/// A directory of the host that appears inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGrant {
    pub host: PathBuf,
    /// Where the guest sees it, e.g. `/data`.
    pub guest: String,
    pub writable: bool,
}

impl Grants {
    /// Adds the grants to an instance's context.
    pub(crate) fn apply(&self, wasi: &mut WasiCtxBuilder) -> Result<()> {
        for (name, value) in &self.environment {
            wasi.env(name, value);
        }
        for directory in &self.directories {
            let permissions = if directory.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&directory.host, &directory.guest, permissions).map_err(|source| {
                Error::Directory { path: directory.host.clone(), reason: source.root_cause().to_string() }
            })?;
        }
        Ok(())
    }

    /// Whether a request to this authority may leave.
    pub(crate) fn allows_http(&self, scheme: &http::uri::Scheme, authority: &http::uri::Authority) -> bool {
        let default_port = if *scheme == http::uri::Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        self.http_hosts.iter().any(|allowed| match allowed.parse::<http::uri::Authority>() {
            Ok(allowed) => {
                allowed.host().eq_ignore_ascii_case(authority.host())
                    && allowed.port_u16().unwrap_or(default_port) == port
            }
            Err(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::uri::Scheme;

    fn allows(hosts: &[&str], scheme: Scheme, authority: &str) -> bool {
        let grants =
            Grants { http_hosts: hosts.iter().map(|&host| host.to_owned()).collect(), ..Grants::default() };
        grants.allows_http(&scheme, &authority.parse().unwrap())
    }

    #[test]
    fn only_the_named_host_and_port_are_reached() {
        assert!(allows(&["api.example.com"], Scheme::HTTPS, "API.example.com"));
        assert!(allows(&["api.example.com"], Scheme::HTTPS, "api.example.com:443"));
        assert!(!allows(&["api.example.com"], Scheme::HTTPS, "api.example.com:8443"));
        assert!(allows(&["localhost:8080"], Scheme::HTTP, "localhost:8080"));
        assert!(!allows(&["localhost:8080"], Scheme::HTTP, "localhost"));
        assert!(!allows(&["example.com"], Scheme::HTTPS, "example.com.evil.net"));
        assert!(!allows(&["example.com"], Scheme::HTTPS, "api.example.com"));
        assert!(!allows(&[], Scheme::HTTPS, "example.com"));
        assert!(allows(&["[::1]:80"], Scheme::HTTP, "[::1]"));
    }
}
