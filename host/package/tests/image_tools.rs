//! Images as tools see them that nobody here wrote: skopeo, umoci, containerd
//! and oras, with a registry on loopback between them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failure here is a failed test, and a skip is said on stderr"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use samara_package::image::{Form, Image, Layer, Source};
use samara_package::{Digest, Store};
use support::{component, layout, packed, pipeline, single, store, weights};

/// A function that has what images have, with a manifest of ordinary length.
fn sources() -> [(&'static str, Source); 3] {
    [("mixed", pipeline(Form::Mixed)), ("tar", pipeline(Form::Tar)), ("wasm", single(Form::Wasm))]
}

#[test]
fn skopeo_reads_every_form() {
    let Some(skopeo) = program("skopeo") else { return };
    for (name, source) in sources() {
        let (folder, store) = store();
        let digest = packed(&store, &source);
        let dir = folder.path().join("layout");
        layout(&store, &[(name, digest)], &dir);
        let image = format!("oci:{}:{name}", dir.display());
        let raw = output(Command::new(&skopeo).args(["inspect", "--raw", &image]));
        assert_eq!(Digest::of(raw.as_bytes()), digest);
        if source.form == Form::Wasm {
            continue; // it has no image configuration, which the rest is about
        }
        let text = output(Command::new(&skopeo).args([
            "--override-os=wasip1",
            "--override-arch=wasm",
            "inspect",
            &image,
        ]));
        let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen["Digest"], digest.to_string());
        assert_eq!((&seen["Architecture"], &seen["Os"]), (&"wasm".into(), &"wasip1".into()));
        assert_eq!(seen["Labels"]["dev.samara.models"], "{\"digits\":\"models/digits.onnx\"}");
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn an_image_that_a_copy_to_a_registry_compressed_is_the_same_function() {
    let Some(skopeo) = program("skopeo") else { return };
    // One for each compression: skopeo remembers what a registry has.
    let (Some(registry), Some(second)) = (Registry::start(), Registry::start()) else { return };
    for (name, source) in &sources()[..2] {
        let (folder, store) = store();
        let digest = packed(&store, source);
        let there = folder.path().join("there");
        layout(&store, &[("1", digest)], &there);
        let copy = |options: &[&str], from: &str, to: &str| {
            output(
                Command::new(&skopeo)
                    .args(["--insecure-policy", "copy", "-q"])
                    .args(options)
                    .args([from, to]),
            )
        };
        for (format, suffix, registry) in [("gzip", "+gzip", &registry), ("zstd", "+zstd", &second)] {
            let remote = format!("docker://127.0.0.1:{}/{name}:{format}", registry.port);
            let options = ["--dest-tls-verify=false", "--dest-compress-format", format];
            copy(&options, &format!("oci:{}:1", there.display()), &remote);
            let back = folder.path().join(format);
            copy(&["--src-tls-verify=false"], &remote, &format!("oci:{}:1", back.display()));
            let other = Store::at(folder.path().join(format!("store of {format}")));
            let returned = support::load(&other, &back);
            assert_ne!(returned, digest, "skopeo compresses tars on their way to a registry");
            let (before, after) =
                (Image::open(&store, &digest).unwrap(), Image::open(&other, &returned).unwrap());
            let is_compressed = |layer: &Layer| layer.descriptor.media_type.ends_with(suffix);
            assert!(after.layers().iter().any(is_compressed));
            check_same_function(&before, &after);
        }

        // With its digests preserved, the image stays what it is.
        let preserved = format!("docker://127.0.0.1:{}/{name}:2", registry.port);
        let options = ["--preserve-digests", "--dest-tls-verify=false", "--src-tls-verify=false"];
        copy(&options, &format!("oci:{}:1", there.display()), &preserved);
        let back = folder.path().join("preserved");
        copy(&options, &preserved, &format!("oci:{}:1", back.display()));
        assert_eq!(support::load(&Store::at(folder.path().join("third")), &back), digest);
    }
}

fn check_same_function(before: &Image, after: &Image) {
    assert!(before.files().eq(after.files()));
    for (path, _) in before.files() {
        assert_eq!(before.file(Path::new(path)), after.file(Path::new(path)), "{path}");
    }
    assert_eq!(before.models()["digits"].identity, after.models()["digits"].identity);
    assert_eq!(after.models()["digits"].bytes, weights(100_003));
    let digests = |image: &Image| image.components().iter().map(|part| part.digest).collect::<Vec<_>>();
    assert_eq!(digests(before), digests(after));
}

#[test]
fn umoci_unpacks_the_tar_form() {
    let Some(umoci) = program("umoci") else { return };
    let (folder, store) = store();
    let digest = packed(&store, &pipeline(Form::Tar));
    let dir = folder.path().join("layout");
    layout(&store, &[("1", digest)], &dir);
    let listed = output(Command::new(&umoci).args(["ls", "--layout"]).arg(&dir));
    assert_eq!(listed.trim(), "1");
    let rootfs = folder.path().join("rootfs");
    let image = format!("{}:1", dir.display());
    // Its `unpack` also makes a configuration of a Linux container, which this
    // is not.
    output(Command::new(&umoci).args(["raw", "unpack", "--rootless", "--image", &image]).arg(&rootfs));
    check_rootfs(&rootfs, true);
}

#[test]
fn containerd_of_debian_12_takes_the_tar_form() {
    let (Some(containerd), Some(ctr)) = (program("containerd"), program("ctr")) else { return };
    let Some(containerd) = Containerd::start(&containerd, &ctr) else { return };
    containerd.takes(Form::Tar);
}

#[test]
fn containerd_1_7_takes_every_form() {
    let Some(tools) = containerd_1_7() else { return };
    let Some(containerd) = Containerd::start(&tools.join("containerd"), &tools.join("ctr")) else { return };
    containerd.takes(Form::Mixed);
    containerd.takes(Form::Tar);
    let (folder, store) = store();
    let digest = packed(&store, &single(Form::Wasm));
    containerd.import(&folder.path().join("layout"), &store, "artifact", digest);
}

#[test]
fn oras_pulls_the_artifact() {
    let (Some(skopeo), Some(registry), Some(python)) =
        (program("skopeo"), Registry::start(), samara_test::python())
    else {
        return;
    };
    if !Command::new(&python).args(["-c", "import oras"]).output().unwrap().status.success() {
        return skip("the Python package oras is missing; `cargo xtask fixtures` installs it");
    }
    let (folder, store) = store();
    let digest = packed(&store, &single(Form::Wasm));
    let dir = folder.path().join("layout");
    layout(&store, &[("1", digest)], &dir);
    let name = format!("127.0.0.1:{}/one:1", registry.port);
    output(Command::new(&skopeo).args([
        "--insecure-policy",
        "copy",
        "-q",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &format!("oci:{}:1", dir.display()),
        &format!("docker://{name}"),
    ]));
    let script = "import sys, oras.client\n\
                  client = oras.client.OrasClient(insecure=True, tls_verify=False)\n\
                  client.pull(target=sys.argv[1], outdir=sys.argv[2])\n";
    let out = folder.path().join("pulled");
    output(Command::new(&python).args(["-c", script, &name]).arg(&out));
    assert_eq!(std::fs::read(out.join("one.wasm")).unwrap(), component("one"));
}

/// What containerd and umoci must have made of the pipeline's tars.
fn check_rootfs(rootfs: &Path, with_components: bool) {
    let read = |path: &str| std::fs::read(rootfs.join(path)).unwrap();
    assert_eq!(read("models/digits.onnx"), weights(100_003));
    assert_eq!(read("tests/three.json"), b"{\"inputs\": []}");
    if with_components {
        assert_eq!(read("out/label.wasm"), component("label"));
    }
    assert_eq!(rootfs.join("out/label.wasm").exists(), with_components);
}

/// A registry on loopback that ends with the test.
struct Registry {
    port: u16,
    _process: Running,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Option<Self> {
        let program = program("docker-registry")?;
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.path().join("registry").display()
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        let process = Running::start(command.arg("serve").arg(&path), &folder.path().join("log"));
        process
            .wait_until("the registry answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { port, _process: process, _folder: folder })
    }
}

/// A containerd with its own folders and socket that ends with the test.
struct Containerd {
    ctr: PathBuf,
    folder: tempfile::TempDir,
    _process: Running,
}

impl Containerd {
    fn start(containerd: &Path, ctr: &Path) -> Option<Self> {
        if !is_root() {
            skip("containerd needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n",
            path("root"),
            path("state"),
            path("socket")
        );
        std::fs::write(path("config.toml"), config).unwrap();
        let mut command = Command::new(containerd);
        let process =
            Running::start(command.args(["--config", &path("config.toml")]), &folder.path().join("log"));
        let running = Self { ctr: ctr.to_owned(), folder, _process: process };
        let answers = || running.ctr().arg("version").output().is_ok_and(|output| output.status.success());
        running._process.wait_until("containerd answers", answers);
        Some(running)
    }

    fn ctr(&self) -> Command {
        let mut ctr = Command::new(&self.ctr);
        ctr.arg("--address").arg(self.folder.path().join("socket"));
        ctr
    }

    /// Imports an image, which makes its root file system.
    fn import(&self, dir: &Path, store: &Store, name: &str, digest: Digest) {
        let reference = format!("example.com/{name}:1");
        layout(store, &[(&reference, digest)], dir);
        let tar = dir.with_extension("tar");
        output(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(dir).arg("."));
        let no_unpack = if name == "artifact" { &["--no-unpack"][..] } else { &[] };
        output(self.ctr().args(["images", "import", "--snapshotter", "native"]).args(no_unpack).arg(&tar));
        let listed = output(self.ctr().args(["images", "ls"]));
        assert!(listed.contains(&reference) && listed.contains(&digest.to_string()), "{listed}");
    }

    /// The image arrives, its files are in the root file system, and a
    /// container can be made of it.
    fn takes(&self, form: Form) {
        let (folder, store) = store();
        let name = format!("{form:?}").to_lowercase();
        let mut source = pipeline(form);
        // Longer than containerd lets labels be.
        source.manifest_text.insert_str(0, &format!("# {}\n", "x".repeat(8000)));
        self.import(&folder.path().join("layout"), &store, &name, packed(&store, &source));
        let reference = format!("example.com/{name}:1");
        let mount = folder.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        let platform = ["--platform", "wasip1/wasm"];
        let mut command = self.ctr();
        command
            .args(["images", "mount", "--snapshotter", "native"])
            .args(platform)
            .arg(&reference)
            .arg(&mount);
        output(&mut command);
        let rootfs = std::panic::catch_unwind(|| check_rootfs(&mount, form == Form::Tar));
        output(self.ctr().args(["images", "unmount"]).arg(&mount));
        rootfs.unwrap();
        let mut create = self.ctr();
        create.args(["containers", "create", "--snapshotter", "native"]);
        output(create.args([&reference, &name]));
        let info = output(self.ctr().args(["containers", "info", &name]));
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["Spec"]["process"]["args"], serde_json::json!(["/out/decode.wasm"]));
    }
}

/// A process that ends when the test does.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(command: &mut Command, log: &Path) -> Self {
        let output = std::fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    fn wait_until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..600 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("waited in vain until {what}: {}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where Debian 13's containerd is, if somebody unpacked it. It runs with the
/// C library of Debian 12 too.
fn containerd_1_7() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let unpacked =
        std::env::var_os("SAMARA_TRIXIE").map_or_else(|| home.join(".cache/samara/trixie"), PathBuf::from);
    let bin = unpacked.join("usr/bin");
    if bin.join("ctr").exists() {
        return Some(bin);
    }
    skip("containerd 1.7 is missing; tests/fixtures/debian.sh fetches it");
    None
}

/// A program of the machine, or `None` after saying that it is missing.
fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("`{name}` is not on the PATH"));
    }
    found
}

fn skip(reason: &str) {
    assert!(!samara_test::must_have_everything(), "{reason}");
    eprintln!("skipped: {reason}");
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// Standard output of a program that must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}
