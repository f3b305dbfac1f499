//! Installs on nodes of the usual kinds, from trees of their files, and takes
//! all of it away again.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const SHIM: &str = "opt/samara/bin/containerd-shim-samara-v1";
const CONFIG: &str = "etc/containerd/config.toml";
const NODES: [&str; 12] = [
    "aks",
    "debian",
    "defaults",
    "eks",
    "gke",
    "k3s",
    "k3s-containerd-2",
    "kind",
    "kubeadm",
    "kubeadm-containerd-2",
    "nvidia",
    "rke2-own-template",
];

#[test]
fn install_writes_what_is_expected_and_nothing_else() {
    for name in NODES {
        let node = Node::of(name);
        let before = node.files();
        let said = node.good("install", &["--output", "json", "--restart", "never"]);
        let expected = tree(&fixture(name).join("expected"));
        let after = node.files();
        for (path, file) in &expected {
            if let Entry::File(_, bytes) = file {
                assert_eq!(after.get(path).map(Entry::text), Some(text(bytes)), "{name}: {}", path.display());
            }
        }
        assert_eq!(after[Path::new(SHIM)], Entry::File(0o755, b"the shim".to_vec()), "{name}");
        for (path, entry) in &after {
            let is_new = expected.contains_key(path) || path.starts_with("opt/samara");
            assert!(is_new || before.get(path) == Some(entry), "{name}: {} has changed", path.display());
        }
        let changed: Vec<String> = expected
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::File(..)))
            .map(|(path, _)| format!("\"/{}\"", path.display()))
            .collect();
        let summary = format!("{{\"changed\":[\"/{SHIM}\",{}],\"restart\":\"needed\"}}\n", changed.join(","));
        assert_eq!(said.0, summary, "{name}");
    }
}

#[test]
fn a_second_install_changes_nothing() {
    for name in NODES {
        let node = Node::of(name);
        node.good("install", &["--restart", "never"]);
        let after = node.files();
        let (stdout, stderr) = node.good("install", &["--output", "json"]);
        assert_eq!(node.files(), after, "{name}");
        assert_eq!(stdout, "{\"changed\":[],\"restart\":\"not-needed\"}\n", "{name}");
        assert_eq!(stderr, "nothing to change\n", "{name}");
    }
}

#[test]
fn uninstall_leaves_the_node_as_it_was() {
    for name in NODES {
        let node = Node::of(name);
        let before = node.files();
        let library = node.file("libonnxruntime.so.1.2.3", "the library");
        node.good("install", &["--restart", "never", "--onnxruntime", &library]);
        let (stdout, _) = node.good("uninstall", &["--restart", "never", "--output", "json"]);
        assert_eq!(node.files(), before, "{name}");
        assert!(stdout.ends_with("\"restart\":\"needed\"}\n"), "{name}: {stdout}");
        let (stdout, _) = node.good("uninstall", &["--output", "json"]);
        assert_eq!(stdout, "{\"changed\":[],\"restart\":\"not-needed\"}\n", "{name}");
        assert_eq!(node.files(), before, "{name}");
    }
}

#[test]
fn a_node_without_containerd_s_folder_gets_it_and_loses_it() {
    let node = Node::with(&[]);
    let before = node.files();
    node.good("install", &["--restart", "never"]);
    assert!(node.files().contains_key(Path::new(CONFIG)));
    node.good("install", &["--restart", "never"]);
    node.good("uninstall", &["--restart", "never"]);
    // `/etc` was not there either, and is nobody's.
    fs::remove_dir(node.root().join("etc")).unwrap();
    assert_eq!(node.files(), before);
}

#[test]
fn what_others_add_to_a_new_configuration_outlives_it() {
    let node = Node::of("defaults");
    node.good("install", &["--restart", "never"]);
    let more = "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n";
    let path = node.root().join(CONFIG);
    fs::write(&path, fs::read_to_string(&path).unwrap() + more).unwrap();
    node.good("uninstall", &["--restart", "never"]);
    let left = fs::read_to_string(&path).unwrap();
    assert!(left.ends_with(&format!("version = 2\n{more}")), "{left}");
}

#[test]
fn a_drop_in_that_takes_the_place_of_all_gets_the_runtime() {
    // Only the main file is there at first, so that it has the runtime; what
    // comes later is read instead of it by containerd 1.
    let node = Node::of("nvidia");
    let drop_in = node.root().join("etc/containerd/conf.d/99-nvidia.toml");
    let text = fs::read(&drop_in).unwrap();
    fs::remove_file(&drop_in).unwrap();
    let before = node.files();
    node.good("install", &["--restart", "never"]);
    assert_ne!(node.files()[Path::new(CONFIG)], before[Path::new(CONFIG)]);
    fs::write(&drop_in, text).unwrap();
    node.good("install", &["--restart", "never"]);
    assert_eq!(node.files()[Path::new(CONFIG)], before[Path::new(CONFIG)]);
    assert!(fs::read_to_string(&drop_in).unwrap().contains("runtimes.samara]"));
}

#[test]
fn a_file_that_a_program_wrote_anew_loses_the_runtime() {
    let node = Node::of("kubeadm");
    node.good("install", &["--restart", "never"]);
    let path = node.root().join(CONFIG);
    let lines = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = lines.lines().filter(|line| !line.starts_with('#')).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    let (_, stderr) = node.good("install", &["--restart", "never"]);
    assert!(stderr.contains("there already"), "{stderr}");
    node.good("uninstall", &["--restart", "never"]);
    let left = fs::read_to_string(&path).unwrap();
    assert!(!left.contains("samara"), "{left}");
    assert!(left.contains("runtimes.runc.options]"), "{left}");
}

#[test]
fn options_are_left_out_where_containerd_does_not_pass_them() {
    for (program, has_options) in [("no such field", false), ("a config_body field", true)] {
        let node = Node::of("kubeadm");
        node.put("usr/bin/containerd", program);
        let (_, stderr) = node.good("install", &["--restart", "never"]);
        let text = fs::read_to_string(node.root().join(CONFIG)).unwrap();
        assert_eq!(text.contains("runtimes.samara.options]"), has_options, "{program}");
        assert_eq!(stderr.contains("SystemdCgroup"), !has_options, "{stderr}");
    }
}

#[test]
fn a_template_that_people_wrote_goes_before_a_newer_one() {
    let node = Node::of("k3s-containerd-2");
    let folder = "var/lib/rancher/k3s/agent/etc/containerd";
    node.put(&format!("{folder}/config.toml.tmpl"), "{{ template \"base\" . }}\n# ours\n");
    let before = node.files();
    node.good("install", &["--restart", "never"]);
    let text = fs::read_to_string(node.root().join(folder).join("config.toml.tmpl")).unwrap();
    assert!(text.contains("io.containerd.grpc.v1.cri\".containerd.runtimes.samara]"), "{text}");
    assert!(!node.root().join(folder).join("config-v3.toml.tmpl").exists());
    node.good("uninstall", &["--restart", "never"]);
    assert_eq!(node.files(), before);
}

#[test]
fn a_linked_configuration_stays_a_link() {
    let node = Node::of("kubeadm");
    let text = fs::read_to_string(node.root().join(CONFIG)).unwrap();
    node.put("etc/real.toml", &text);
    fs::remove_file(node.root().join(CONFIG)).unwrap();
    symlink("/etc/real.toml", node.root().join(CONFIG)).unwrap();
    fs::set_permissions(node.root().join("etc/real.toml"), Permissions::from_mode(0o640)).unwrap();
    node.good("install", &["--restart", "never"]);
    assert!(fs::symlink_metadata(node.root().join(CONFIG)).unwrap().is_symlink());
    let real = node.files().remove(Path::new("etc/real.toml")).unwrap();
    assert!(real.text().contains("runtimes.samara]"));
    assert!(matches!(real, Entry::File(0o640, _)));
}

#[test]
fn links_lead_from_the_node_s_own_root() {
    let node = Node::of("kubeadm");
    fs::create_dir_all(node.root().join("data")).unwrap();
    fs::rename(node.root().join("etc/containerd"), node.root().join("data/containerd")).unwrap();
    symlink("/data/../data/containerd", node.root().join("etc/containerd")).unwrap();
    symlink("data", node.root().join("real")).unwrap();
    fs::remove_dir(node.root().join("opt")).unwrap();
    symlink("../../../real", node.root().join("opt")).unwrap();
    let before = node.files();
    node.good("install", &["--restart", "never"]);
    let after = node.files();
    assert!(after[Path::new("data/containerd/config.toml")].text().contains("runtimes.samara]"));
    assert!(after.contains_key(Path::new("data/samara/bin/containerd-shim-samara-v1")));
    node.good("uninstall", &["--restart", "never"]);
    assert_eq!(node.files(), before);
    symlink("circle", node.root().join("etc/circle")).unwrap();
    fs::remove_file(node.root().join("etc/containerd")).unwrap();
    symlink("circle", node.root().join("etc/containerd")).unwrap();
    node.refused("install", &[], &["links lead nowhere"]);
}

#[test]
fn what_cannot_have_the_runtime_is_refused_and_left_alone() {
    let cri = "[plugins.\"io.containerd.grpc.v1.cri\".containerd";
    for (config, why) in [
        ("version = 2\n[plugins\n", "line 2, column 9"),
        ("root = \"/var/lib/containerd\"\n", "`version = 2`"),
        ("version = 1\n[plugins.cri]\n", "`version = 2`"),
        ("version = 9\n", "newer than this program"),
        ("version = 2\ndisabled_plugins = [\"cri\"]\n", "`disabled_plugins` has `cri`"),
        ("version = 3\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", "`disabled_plugins` has"),
        ("version = 2\nimports = [\"/etc/*/x.toml\"]\n", "pattern of folders"),
        ("version = 2\nimports = [\"conf.d/*.toml\"]\n", "with its whole path"),
        (
            &format!("version = 2\n{cri}]\nruntimes = {{ runc = {{ runtime_type = \"x\" }} }}\n"),
            "within braces",
        ),
        (
            &format!("version = 2\n{cri}.runtimes.samara]\nruntime_type = \"io.containerd.other.v1\"\n"),
            "`runtime_type = \"io.containerd.other.v1\"`",
        ),
        ("version = 2\n# samara-node-installer: begin\n", "line 2 begins"),
    ] {
        let node = Node::with(&[(CONFIG, config)]);
        node.refused("install", &[], &[&format!("/{CONFIG}: "), why]);
    }
    let node = Node::with(&[("etc/containerd/conf.d/a.toml", "version = 3\n")]);
    node.refused("install", &[], &["/etc/containerd/config.toml: there is none", "conf.d"]);
    let node = Node::with(&[("etc/k0s/k0s.yaml", "")]);
    node.refused("install", &[], &["configuration elsewhere", "/etc/k0s"]);
    let node = Node::with(&[("var/lib/rancher/k3s/agent/etc/containerd/certs.d", "")]);
    node.refused("install", &[], &["k3s has not written it yet"]);
}

#[test]
fn missing_and_wrong_files_are_refused() {
    let node = Node::of("kubeadm");
    let missing = node.outside().join("missing").display().to_string();
    node.refused("install", &["--shim", &missing], &["cannot read the shim", &missing, "--shim FILE"]);
    node.refused("install", &["--onnxruntime", &missing], &["name the library itself"]);
    let empty = node.file("empty", "");
    node.refused("install", &["--shim", &empty], &["is empty"]);
    fs::set_permissions(node.root().join(CONFIG), Permissions::from_mode(0o444)).unwrap();
    node.refused(
        "install",
        &["--restart", "never"],
        &[&format!("/{CONFIG}: the file is read-only"), "chmod"],
    );
}

#[test]
fn containerd_is_restarted_once_and_a_failure_is_tried_again() {
    for (name, service) in [("kubeadm", "containerd"), ("k3s", "k3s"), ("rke2-own-template", "rke2-agent")] {
        let node = Node::of(name);
        node.nsenter("echo broken >&2; exit 3");
        let (_, stderr) = node.bad("install", &[]);
        let by_hand = format!("run `systemctl restart {service}` on the node: broken");
        assert!(stderr.contains(&by_hand), "{stderr}");
        assert!(node.good("status", &[]).0.contains("restart of containerd: due"));
        node.nsenter("echo \"$@\" >> \"$0.log\"");
        let (stdout, _) = node.good("install", &["--output", "json"]);
        assert_eq!(stdout, "{\"changed\":[],\"restart\":\"done\"}\n", "{name}");
        node.good("install", &[]);
        let log = fs::read_to_string(node.outside().join("bin/nsenter.log")).unwrap();
        assert_eq!(log, format!("--target 1 --mount -- systemctl restart {service}\n"));
        node.good("uninstall", &[]);
        let log = fs::read_to_string(node.outside().join("bin/nsenter.log")).unwrap();
        assert_eq!(log.lines().count(), 2);
    }
}

#[test]
fn status_says_what_is_there() {
    let node = Node::of("eks");
    let (stdout, _) = node.good("status", &["--output", "json"]);
    let nothing = "{\"configuration\":null,\"libraries\":[],\"restart\":\"not-needed\",\"shim\":null}\n";
    assert_eq!(stdout, nothing);
    let library = node.file("libonnxruntime.so", "the library");
    node.good("install", &["--restart", "never", "--onnxruntime", &library]);
    let (stdout, _) = node.good("status", &[]);
    let all = "shim: /opt/samara/bin/containerd-shim-samara-v1\n\
               libraries: /opt/samara/lib/libonnxruntime.so\n\
               runtime in: /etc/containerd/config.d/99-samara.toml\n\
               restart of containerd: not due\n";
    assert_eq!(stdout, all);
}

#[test]
fn waiting_ends_with_sigterm() {
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_samara-node-installer")).arg("wait").spawn().unwrap();
    // It may not have asked for the signal yet; then the signal ends it otherwise.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(waiting.try_wait().unwrap().is_none());
    assert!(Command::new("kill").arg(waiting.id().to_string()).status().unwrap().success());
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn containerd_takes_the_configuration() {
    const V2: [&str; 7] = ["aks", "debian", "defaults", "gke", "kind", "kubeadm", "nvidia"];
    // Only containerd 2 reads a configuration of version 3.
    const V3: [&str; 1] = ["kubeadm-containerd-2"];
    let programs = [
        (samara_test::program("containerd"), V2.to_vec()),
        (samara_test::trixie_path("containerd"), V2.to_vec()),
        (samara_test::containerd_2("containerd"), [V2.as_slice(), &V3].concat()),
    ];
    for (containerd, names) in programs {
        let Some(containerd) = containerd else { continue };
        for name in names {
            let node = Node::of(name);
            let main = node.root().join(CONFIG);
            node.good("install", &["--restart", "never"]);
            if name == "nvidia" {
                // The test is not in the node's root.
                let text = fs::read_to_string(&main).unwrap();
                fs::write(
                    &main,
                    text.replace(
                        "/etc/containerd/conf.d",
                        &node.root().join("etc/containerd/conf.d").display().to_string(),
                    ),
                )
                .unwrap();
            }
            let dumped =
                Command::new(&containerd).arg("--config").arg(&main).args(["config", "dump"]).output();
            let dumped = dumped.unwrap();
            let place = format!("{}, {name}", containerd.display());
            assert!(dumped.status.success(), "{place}: {}", String::from_utf8_lossy(&dumped.stderr));
            // containerd 2 writes the other quotes.
            let dumped = String::from_utf8(dumped.stdout).unwrap().replace('\'', "\"");
            let section = dumped.split("containerd.runtimes.samara]").nth(1).unwrap_or_default();
            let section = section.split("containerd.runtimes.samara.options]").next().unwrap_or_default();
            assert!(section.contains(&format!("runtime_type = \"/{SHIM}\"")), "{place}: {dumped}");
            let others = ["runc", "nvidia-container-runtime"];
            let has_other =
                others.iter().any(|other| dumped.contains(&format!("containerd.runtimes.{other}]")));
            assert!(has_other, "{place}: the other runtimes are gone: {dumped}");
        }
    }
}

/// A node's files, in a folder of a test's own.
struct Node {
    folder: TempDir,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Folder,
    Link(PathBuf),
    File(u32, Vec<u8>),
}

impl Entry {
    fn text(&self) -> String {
        let Self::File(_, bytes) = self else { panic!("not a file: {self:?}") };
        text(bytes)
    }
}

impl Node {
    fn of(name: &str) -> Self {
        let node = Self::with(&[]);
        let from = fixture(name).join("node");
        for (path, entry) in tree(&from) {
            match entry {
                Entry::Folder => fs::create_dir_all(node.root().join(path)).unwrap(),
                entry => node.put(&path.display().to_string(), &entry.text()),
            }
        }
        node
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self { folder };
        fs::create_dir_all(node.root().join("opt")).unwrap();
        node.file("shim", "the shim");
        for (path, text) in files {
            node.put(path, text);
        }
        node
    }

    fn outside(&self) -> &Path {
        self.folder.path()
    }

    fn root(&self) -> PathBuf {
        self.outside().join("root")
    }

    fn files(&self) -> BTreeMap<PathBuf, Entry> {
        tree(&self.root())
    }

    /// Makes a file of the node's.
    fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes a file that is not the node's.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.outside().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Makes the program that reaches into the node.
    fn nsenter(&self, script: &str) {
        let folder = self.outside().join("bin");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("nsenter.new"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(folder.join("nsenter.new"), Permissions::from_mode(0o755)).unwrap();
        fs::rename(folder.join("nsenter.new"), folder.join("nsenter")).unwrap();
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut installer = Command::new(env!("CARGO_BIN_EXE_samara-node-installer"));
        installer.env("PATH", self.outside().join("bin"));
        installer.arg(command).arg("--host-root").arg(self.root());
        if command == "install" && !arguments.contains(&"--shim") {
            installer.arg("--shim").arg(self.outside().join("shim"));
        }
        installer.args(arguments).output().unwrap()
    }

    /// What a run said that went well.
    #[track_caller]
    fn good(&self, command: &str, arguments: &[&str]) -> (String, String) {
        let output = self.run(command, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    /// What a run said that failed.
    #[track_caller]
    fn bad(&self, command: &str, arguments: &[&str]) -> (String, String) {
        let output = self.run(command, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    /// Checks that a run fails with words, and changes nothing.
    #[track_caller]
    fn refused(&self, command: &str, arguments: &[&str], words: &[&str]) {
        let before = self.files();
        let (stdout, stderr) = self.bad(command, arguments);
        assert_eq!(stdout, "");
        assert!(words.iter().all(|words| stderr.contains(words)), "not {words:?}: {stderr}");
        assert_eq!(self.files(), before, "{stderr}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All that is in a folder.
fn tree(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::symlink_metadata(&path).unwrap();
            let entry = if data.is_dir() {
                folders.push(path.clone());
                Entry::Folder
            } else if data.is_symlink() {
                Entry::Link(fs::read_link(&path).unwrap())
            } else {
                Entry::File(data.mode() & 0o7777, fs::read(&path).unwrap())
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), entry);
        }
    }
    all
}
