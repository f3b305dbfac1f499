//! Certificates of an authority of the tests' own.

use std::path::Path;
use std::process::Command;

use crate::tools::program;

/// Writes `ca.crt`, and `server.crt` with `server.key` for `localhost` and
/// 127.0.0.1, into a folder. `None` as for [`program`].
///
/// # Panics
/// When `openssl` fails.
pub fn write_certificates(folder: &Path) -> Option<()> {
    let openssl = program("openssl")?;
    let run = |arguments: &[&str]| {
        let output = Command::new(&openssl).args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["req", "-x509", "-days", "3650", "-keyout", "ca.key", "-out", "ca.crt"];
    run(&[&authority[..], &KEY, &["-subj", "/CN=samara tests"]].concat());
    run(&[&["req", "-keyout", "server.key", "-out", "server.csr"][..], &KEY, &["-subj", "/CN=localhost"]]
        .concat());
    let names = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
    std::fs::write(folder.join("names"), names).unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "3650",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]);
    Some(())
}
