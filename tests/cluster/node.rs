//! A containerd of a test's own, with samara's shim.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use crate::pods;

/// In a node's folder.
const POLICY: &str = "policy.toml";
const LIBRARIES: &str = "libraries";

/// A version of containerd that tests run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Debian 12's. It takes functions as tar layers only.
    V1_6,
    /// Debian 13's. It hands components over as layers of their own.
    V1_7,
}

/// containerd, and the containers that a test makes on it.
pub(crate) struct Node {
    pub(crate) version: Version,
    folder: TempDir,
    containerd: Child,
    ctr: PathBuf,
    options: Options,
    /// Clients that wait for the end of containers, by these.
    waiting: Mutex<HashMap<String, Child>>,
}

/// What a node is for.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    /// Names are those of kubelet, and there are networks.
    has_pods: bool,
    /// The shim obeys the policy in [`Node::policy`].
    has_policy: bool,
}

/// What a program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The standard output of a run that went well.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

impl Version {
    fn programs(self) -> Option<[PathBuf; 2]> {
        match self {
            Version::V1_6 => Some([samara_test::program("containerd")?, samara_test::program("ctr")?]),
            Version::V1_7 => {
                Some([samara_test::trixie_path("containerd")?, samara_test::trixie_path("ctr")?])
            }
        }
    }

    /// The form in which it takes functions.
    pub(crate) fn form(self) -> &'static str {
        match self {
            Version::V1_6 => "tar",
            Version::V1_7 => "mixed",
        }
    }
}

impl Node {
    /// Runs `test` on a node, and checks that nothing stays behind.
    ///
    /// # Panics
    /// When something does.
    pub(crate) fn with(version: Version, test: fn(&Node)) {
        Self::try_with(version, Options::default(), test);
    }

    /// As [`with`](Self::with), on a node to which pods may come.
    pub(crate) fn with_pods(version: Version, test: fn(&Node)) {
        Self::try_with(version, Options { has_pods: true, has_policy: false }, test);
    }

    /// As [`with_pods`](Self::with_pods), on a node that has a policy once the test
    /// has written one.
    pub(crate) fn with_policy(version: Version, test: fn(&Node)) {
        Self::try_with(version, Options { has_pods: true, has_policy: true }, test);
    }

    fn try_with(version: Version, options: Options, test: fn(&Node)) {
        if options.has_pods && !pods::has_plugins() {
            return;
        }
        let Some(node) = Self::start(version, options) else { return };
        test(&node);
        node.remove_all();
        let left = node.left();
        assert!(left.is_empty(), "the test left behind:\n{}", left.join("\n"));
    }

    fn start(version: Version, options: Options) -> Option<Self> {
        if !may_make_containers() {
            let reason = "tests of containers need root and namespaces of their own";
            assert!(!samara_test::must_have_everything(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let [containerd, ctr] = version.programs()?;
        // The paths of sockets are short.
        let folder = tempfile::Builder::new().prefix("samara-node-").tempdir_in("/tmp").unwrap();
        let config = folder.path().join("config.toml");
        fs::write(&config, configuration(folder.path(), options.has_pods)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let path = [samara_test::shim().parent().unwrap(), Path::new("/usr/sbin:/usr/bin:/sbin:/bin")]
            .map(|folder| folder.display().to_string())
            .join(":");
        let mut command = Command::new(containerd);
        command.arg("--config").arg(config).env("PATH", path);
        command.env("SAMARA_NODE_FOLDER", folder.path().join("node"));
        command.env("SAMARA_LIBRARIES", folder.path().join(LIBRARIES));
        if options.has_policy {
            command.env("SAMARA_POLICY", folder.path().join(POLICY));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let containerd = command.spawn().unwrap();
        let node = Self { version, folder, containerd, ctr, options, waiting: Mutex::default() };
        node.until("containerd answers", || node.ctr(&["version"]).code == Some(0));
        Some(node)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the node's policy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.folder().join(POLICY)
    }

    /// The folder of the node's libraries, which there is once a test makes it.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.folder().join(LIBRARIES)
    }

    /// Runs containerd's own client.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> Ran {
        ran(self.client().args(arguments))
    }

    fn client(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(self.socket()).args(["--namespace", &self.namespace()]);
        command
    }

    /// A name of the node's own: what runtimes remember goes by it.
    fn namespace(&self) -> String {
        if self.options.has_pods {
            return "k8s.io".to_owned();
        }
        self.folder().file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Packs a function's folder in the form that this containerd takes, and
    /// gives its name there.
    pub(crate) fn pack(&self, folder: &Path, name: &str) -> String {
        let store = self.folder().join("store");
        let archive = self.folder().join("image.tar");
        let reference = format!("localhost/{name}:1");
        let samara = |arguments: &[&str]| {
            let mut command = Command::new(samara_test::samara());
            ran(command.arg("--store").arg(&store).args(arguments)).good();
        };
        let [folder, out] = [folder, &archive].map(|path| path.display().to_string());
        samara(&["pack", &folder, "-t", &reference, "--form", self.version.form()]);
        samara(&["save", &reference, "--out", &out]);
        self.ctr(&["image", "import", &out]).good();
        reference
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, options: &[&str], image: &str, id: &str, arguments: &[&str]) -> Ran {
        let fixed = ["run", "--rm", "--runtime", "io.containerd.samara.v1"];
        self.ctr(&[&fixed, options, &[image, id], arguments].concat())
    }

    /// Starts a container, whose output goes to a file.
    pub(crate) fn launch(&self, options: &[&str], image: &str, id: &str, arguments: &[&str]) {
        let log = fs::File::create(self.log_of(id)).unwrap();
        let mut client = self.client();
        client.args(["run", "--rm", "--runtime", "io.containerd.samara.v1"]).args(options);
        client.args([image, id]).args(arguments).stdin(Stdio::null()).stderr(log.try_clone().unwrap());
        let client = client.stdout(log).spawn().unwrap();
        self.waiting.lock().unwrap().insert(id.to_owned(), client);
    }

    fn log_of(&self, id: &str) -> PathBuf {
        self.folder().join(format!("{id}.log"))
    }

    /// The folder that containerd has of a container, from its making to its end.
    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.folder().join("state/io.containerd.runtime.v2.task").join(self.namespace()).join(id)
    }

    /// Whether the runtime still knows of a container.
    pub(crate) fn remembers(&self, id: &str) -> bool {
        self.remembered().is_some_and(|folder| folder.join(id).exists())
    }

    /// Components whose code the node's shims keep.
    pub(crate) fn compiled(&self) -> usize {
        let folders = fs::read_dir(self.folder().join("node/code")).into_iter().flatten().flatten();
        let files = folders
            .filter(|entry| entry.path().is_dir())
            .flat_map(|entry| fs::read_dir(entry.path()).unwrap());
        files.count()
    }

    /// The process of a container that runs, and its state.
    pub(crate) fn task(&self, id: &str) -> Option<(u32, String)> {
        let tasks = self.ctr(&["task", "ls"]).good();
        let line = tasks.lines().find(|line| line.split_whitespace().next() == Some(id))?;
        let mut fields = line.split_whitespace().skip(1);
        // It has the process 0 while it is being made.
        let pid = fields.next()?.parse().ok().filter(|&pid| pid > 0)?;
        Some((pid, fields.next()?.to_owned()))
    }

    /// What a container has printed.
    pub(crate) fn said(&self, id: &str) -> String {
        fs::read_to_string(self.log_of(id)).unwrap_or_default()
    }

    /// Waits until a container has ended, and gives its exit code.
    pub(crate) fn ended(&self, id: &str) -> i32 {
        let mut client = self.waiting.lock().unwrap().remove(id).unwrap();
        // `ctr` ends as the container did.
        client.wait().unwrap().code().unwrap()
    }

    /// Asks a container over HTTP, from within its network; `None` while
    /// nothing listens there.
    pub(crate) fn ask(&self, id: &str, arguments: &[&str], path: &str) -> Option<String> {
        let (pid, _) = self.task(id)?;
        let network = format!("--net=/proc/{pid}/ns/net");
        // A network without a plugin of CNI has its loopback device down.
        ran(Command::new("nsenter").args([&network, "ip", "link", "set", "lo", "up"])).good();
        let url = format!("http://127.0.0.1:8080{path}");
        let fixed = [&network, "curl", "--silent", "--show-error", "--max-time", "60"];
        let asked = ran(Command::new("nsenter").args(fixed).args(arguments).arg(&url));
        (asked.code == Some(0)).then_some(asked.stdout)
    }

    /// Waits until a container's function is ready.
    pub(crate) fn ready(&self, id: &str) {
        let ready = || self.ask(id, &["--fail"], "/v2/health/ready").is_some();
        self.until_or("the function is ready", ready, || self.said(id));
    }

    /// Waits for what takes moments.
    ///
    /// # Panics
    /// When it has not come after a minute.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        self.until_or(what, is_so, String::new);
    }

    #[track_caller]
    fn until_or(&self, what: &str, is_so: impl Fn() -> bool, instead: impl Fn() -> String) {
        for _ in 0..1200 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("in vain: {what}\n{}", instead());
    }

    /// Ends and removes every container.
    fn remove_all(&self) {
        for client in self.waiting.lock().unwrap().values_mut() {
            let _ = client.kill();
            let _ = client.wait();
        }
        for id in self.ctr(&["container", "ls", "--quiet"]).stdout.split_whitespace() {
            self.ctr(&["task", "delete", "--force", id]);
            self.ctr(&["container", "delete", id]);
        }
        self.until("the shims end", || self.processes().is_empty());
    }

    /// The shims, which are started for a namespace. Their containers' processes
    /// are of the same program, and children of theirs.
    pub(crate) fn shims(&self) -> Vec<u32> {
        let all = self.processes();
        let parent = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("PPid:").map(str::to_owned));
            line.and_then(|pid| pid.trim().parse::<u32>().ok())
        };
        all.iter().copied().filter(|&pid| parent(pid).is_some_and(|parent| !all.contains(&parent))).collect()
    }

    /// All processes of the shim's program for this node.
    fn processes(&self) -> Vec<u32> {
        let socket = self.socket().display().to_string();
        let is_ours = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("containerd-shim-samara-v1") && line.contains(&socket)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect()
    }

    /// Processes, mounts, and what the runtime remembers, that are still there.
    fn left(&self) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mounts = mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned);
        let remembered = self.remembered().and_then(|folder| fs::read_dir(folder).ok());
        let remembered = remembered.into_iter().flatten().flatten();
        let remembered = remembered.map(|entry| entry.path().display().to_string());
        self.processes().iter().map(|pid| format!("process {pid}")).chain(mounts).chain(remembered).collect()
    }

    /// Where the runtime keeps what it knows of this node's containers.
    /// Pods of all nodes share a folder.
    fn remembered(&self) -> Option<PathBuf> {
        (!self.options.has_pods).then(|| Path::new("/run/containerd/samara").join(self.namespace()))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder().join("c.sock")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A test that failed half way is cleaned up as far as it goes.
            for pid in self.processes() {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
            let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        let _ = self.containerd.kill();
        let _ = self.containerd.wait();
        if let Some(remembered) = self.remembered() {
            let _ = fs::remove_dir_all(remembered);
        }
        let folder = self.folder().display().to_string();
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&folder) {
                let _ = Command::new("umount").args(["--lazy", mount]).status();
            }
        }
    }
}

/// Runs a program to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn configuration(folder: &Path, has_pods: bool) -> String {
    let disabled = if has_pods { "" } else { ", \"io.containerd.grpc.v1.cri\"" };
    let at = folder.display();
    let common = format!(
        "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
         disabled_plugins = [\"io.containerd.internal.v1.opt\"{disabled}]\n\
         [grpc]\naddress = \"{at}/c.sock\"\n"
    );
    if has_pods { common + &pods::configuration(folder) } else { common }
}

/// Whether this process may do what a container needs.
fn may_make_containers() -> bool {
    let made = Command::new("unshare").args(["--mount", "--pid", "--net", "--fork", "true"]).output();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    is_root && made.is_ok_and(|made| made.status.success())
}
