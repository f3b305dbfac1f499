//! A machine without Kubernetes and without a network: a service of systemd, and
//! images that come as archives.

use std::path::Path;
use std::process::Command;

use samara_test::server::Server;

use crate::support::{at, ran, root, samara, scratch};

fn unit() -> String {
    std::fs::read_to_string(root().join("k8s/edge/samara.service")).unwrap()
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let Some(analyze) = samara_test::program("systemd-analyze") else { return };
    let file = scratch("edge-unit").join("samara.service");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    // It looks whether the program is there.
    let program = samara_test::samara().display().to_string();
    std::fs::write(&file, unit().replace("/usr/local/bin/samara", &program)).unwrap();
    let verified = ran(Command::new(analyze).arg("verify").arg(&file));
    let about_it = verified.stderr.lines().filter(|line| line.contains("samara.service"));
    assert_eq!((verified.code, about_it.collect::<Vec<_>>()), (Some(0), Vec::new()));
}

#[test]
fn what_the_unit_starts_serves_an_archive() {
    let folder = scratch("edge");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let [made, store, archive, configuration] =
        ["made", "store", "digits.tar", "serve.toml"].map(|name| folder.join(name).display().to_string());
    // On a machine with a network, or a developer's.
    let digits = root().join("examples/read-digits").display().to_string();
    samara(&at(&made, &["pack", &digits, "-t", "read-digits:1"])).good();
    samara(&at(&made, &["save", "read-digits:1", "--out", &archive])).good();
    // On the board.
    samara(&at(&store, &["load", &archive])).good();
    std::fs::write(&configuration, "[[function]]\nwhat = \"read-digits:1\"\n").unwrap();

    let unit = unit();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line
        .replace("/usr/local/bin/samara", &samara_test::samara().display().to_string())
        .replace("/var/lib/samara/store", &store)
        .replace("/etc/samara/serve.toml", &configuration);
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let server = Server::start(command.args(words).current_dir(Path::new("/")));
    let asked =
        ran(Command::new("curl").args(["--silent", "--fail", &format!("{}/v2/health/ready", server.url())]));
    assert_eq!(asked.code, Some(0));
    let (status, _) = server.stop();
    assert!(status.success());
}
