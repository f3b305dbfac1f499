//! A containerd of a test's own, with samara's shim.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use crate::pods;
pub(crate) use crate::version::{Kind, Version};

/// containerd, and the containers that a test makes on it.
pub(crate) struct Node {
    pub(crate) version: Version,
    kind: Kind,
    folder: TempDir,
    /// containerd itself, and its client.
    programs: [PathBuf; 2],
    containerd: Mutex<Option<Child>>,
    /// Clients that wait for the end of containers, by these.
    waiting: Mutex<HashMap<String, Child>>,
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

impl Node {
    /// Runs `test` on a node, and checks that nothing stays behind.
    ///
    /// # Panics
    /// When something does.
    pub(crate) fn with(version: Version, test: fn(&Node)) {
        Self::of_kind(version, Kind::Bare, test);
    }

    /// As [`with`](Self::with), on a node of some kind.
    pub(crate) fn of_kind(version: Version, kind: Kind, test: fn(&Node)) {
        if kind != Kind::Bare && !pods::has_plugins() {
            return;
        }
        let Some(node) = Self::start(version, kind) else { return };
        test(&node);
        node.remove_all();
        let left = node.left();
        assert!(left.is_empty(), "the test left behind:\n{}", left.join("\n"));
    }

    fn start(version: Version, kind: Kind) -> Option<Self> {
        if !may_make_containers() {
            let reason = "tests of containers need root and namespaces of their own";
            assert!(!samara_test::must_have_everything(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let programs = version.programs()?;
        // The paths of sockets are short.
        let folder = tempfile::Builder::new().prefix("samara-node-").tempdir_in("/tmp").unwrap();
        let (containerd, waiting) = (Mutex::default(), Mutex::default());
        let node = Self { version, kind, folder, programs, containerd, waiting };
        for folder in ["etc/containerd", "opt"] {
            fs::create_dir_all(node.folder().join(folder)).unwrap();
        }
        fs::write(node.configuration(), version.configuration(node.folder(), kind)).unwrap();
        node.resume();
        Some(node)
    }

    /// containerd's own file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder().join("etc/containerd/config.toml")
    }

    /// Starts containerd, and waits until it answers.
    pub(crate) fn resume(&self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder().join("log")).unwrap();
        let system = "/usr/sbin:/usr/bin:/sbin:/bin";
        let shims = samara_test::shim().parent().unwrap().display().to_string();
        let mut command = Command::new("unshare");
        if self.kind == Kind::Installed {
            // What is installed to the node's folder is where it would be on a node.
            let script = "mount --bind \"$0/opt\" /opt && exec \"$@\"";
            command.args(["--mount", "sh", "-c", script]).arg(self.folder()).env("PATH", system);
        } else {
            command.arg("--").env("PATH", format!("{shims}:{system}"));
        }
        let containerd = command
            .arg(&self.programs[0])
            .arg("--config")
            .arg(self.configuration())
            .env("SAMARA_NODE_FOLDER", self.folder().join("node"))
            .env("SAMARA_LIBRARIES", self.libraries())
            .envs((self.kind == Kind::Guarded).then(|| ("SAMARA_POLICY", self.policy())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.containerd.lock().unwrap() = Some(containerd);
        self.until("containerd answers", || self.ctr(&["version"]).code == Some(0));
    }

    /// Ends containerd, as a crash does. Its containers are left alone.
    pub(crate) fn crash(&self) {
        if let Some(mut containerd) = self.containerd.lock().unwrap().take() {
            let _ = containerd.kill();
            let _ = containerd.wait();
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the node's policy, where it has one.
    pub(crate) fn policy(&self) -> PathBuf {
        self.folder().join("policy.toml")
    }

    /// The folder of the node's libraries, which there is once a test makes it.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.folder().join("libraries")
    }

    /// Runs containerd's own client.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> Ran {
        ran(self.client().args(arguments))
    }

    fn client(&self) -> Command {
        let mut command = Command::new(&self.programs[1]);
        command.arg("--address").arg(self.socket()).args(["--namespace", &self.namespace()]);
        command
    }

    /// A name of the node's own: what runtimes remember goes by it.
    fn namespace(&self) -> String {
        if self.kind != Kind::Bare {
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
        self.ask_process(self.task(id)?.0, arguments, path)
    }

    /// As [`ask`](Self::ask), by the container's process.
    pub(crate) fn ask_process(&self, pid: u32, arguments: &[&str], path: &str) -> Option<String> {
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

    /// Waits for a moment that passes quickly.
    ///
    /// # Panics
    /// When it has not come after a minute.
    pub(crate) fn moment(&self, is_now: impl Fn(&Node) -> bool) {
        for _ in 0..60_000 {
            if is_now(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the moment has not come");
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
        let ids = self.ctr(&["container", "ls", "--quiet"]).stdout;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        std::thread::scope(|scope| {
            for ids in ids.chunks(ids.len().div_ceil(8).max(1)) {
                scope.spawn(|| ids.iter().for_each(|id| self.remove(id)));
            }
        });
        self.until("the shims end", || self.processes().is_empty());
    }

    /// Ends and removes a container, if there is one.
    pub(crate) fn remove(&self, id: &str) {
        self.ctr(&["task", "delete", "--force", id]);
        self.ctr(&["container", "delete", id]);
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
        (self.kind == Kind::Bare).then(|| Path::new("/run/containerd/samara").join(self.namespace()))
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
        self.crash();
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

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { code: output.status.code(), stdout, stderr }
    }
}

/// Runs a program to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// Whether this process may do what a container needs.
fn may_make_containers() -> bool {
    let made = Command::new("unshare").args(["--mount", "--pid", "--net", "--fork", "true"]).output();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    is_root && made.is_ok_and(|made| made.status.success())
}
