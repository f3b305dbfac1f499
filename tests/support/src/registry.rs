//! Registries for tests, on this machine: Debian's `docker-registry`, and a
//! small HTTP server that says what a test lets it say, however wrong.

mod scripted;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::certificates::write_certificates;
use crate::tools::program;

pub use scripted::{Ending, Reply, Scripted, Seen};

/// A `docker-registry` that runs until it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    address: String,
    folder: TempDir,
    process: Child,
}

/// How a [`DockerRegistry`] is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// User and password without which it answers nothing.
    pub login: Option<(&'a str, &'a str)>,
    /// Whether it speaks TLS, with a certificate of its own authority.
    pub tls: bool,
    /// The address to which it sends who wants a blob.
    pub blobs_at: Option<&'a str>,
    /// The address of the server whose tokens it wants.
    pub tokens_at: Option<&'a str>,
}

impl DockerRegistry {
    /// Starts one on a free port; `None` says that the test is to be skipped.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(setup: &Setup<'_>) -> Option<Self> {
        let program = program("docker-registry")?;
        let folder = tempfile::tempdir().unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {0}/data}}, delete: {{enabled: true}}}}\n",
            folder.path().display()
        );
        if let Some((user, password)) = setup.login {
            write_logins(folder.path(), user, password)?;
            config +=
                &format!("auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n", folder.path().display());
        }
        if let Some(address) = setup.blobs_at {
            config += &format!(
                "middleware: {{storage: [{{name: redirect, options: {{baseurl: '{address}'}}}}]}}\n"
            );
        }
        if setup.tls {
            write_certificates(folder.path())?;
        }
        if let Some(realm) = setup.tokens_at {
            let root = folder.path().join("ca.crt");
            config += &format!(
                "auth: {{token: {{realm: '{realm}', service: test, issuer: test, rootcertbundle: {}}}}}\n",
                root.display()
            );
        }
        config += "http:\n  addr: 127.0.0.1:0\n";
        if setup.tls {
            config += &format!(
                "  tls: {{certificate: {0}/server.crt, key: {0}/server.key}}\n",
                folder.path().display()
            );
        }
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut process = Command::new(program)
            .arg("serve")
            .arg(&path)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = log.by_ref().find_map(|line| listening(&line.unwrap()));
        // It blocks when nobody reads what it says.
        std::thread::spawn(move || log.for_each(drop));
        let address = address.expect("docker-registry ends before it listens");
        Some(Self { address, folder, process })
    }

    /// Address and port, as references write them.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A folder of its own, for what belongs to the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the line of the log that has it.
fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("msg=\"listening on ")?;
    let end = rest.find([',', '"'])?;
    Some(rest[..end].to_owned())
}

fn write_logins(folder: &Path, user: &str, password: &str) -> Option<()> {
    let output =
        Command::new(program("htpasswd")?).args(["-Bbn", "-C", "4", user, password]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("htpasswd"), output.stdout).unwrap();
    Some(())
}
