//! Pods, as kubelet makes them: a sandbox with a network of its own, and
//! containers in it, through the interface that kubelet uses.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_cri::v1::ContainerState;

use crate::cri::{Kubelet, Pod, Wanted};
use crate::functions::{digits, request_of_a_seven};
use crate::images;
use crate::node::{Kind, Node, Version, ran};
use crate::on_containerd;

/// Debian's place for the plugins that make networks.
const PLUGINS: &str = "/usr/lib/cni";

/// What the shim's sandbox runs.
const PAUSE: &str = "localhost/pause:1";

on_containerd!(containerd_1_6, V1_6, Pods: a_pod_answers_and_ends_in_order, a_pod_says_what_failed);
on_containerd!(containerd_1_7, V1_7, Pods: a_pod_answers_and_ends_in_order, a_pod_says_what_failed);
on_containerd!(containerd_2, V2, Pods: a_pod_answers_and_ends_in_order, a_pod_says_what_failed);

/// What containerd is told for pods: the runtime, networks that reach nothing but
/// this machine, and no more rights than tests have.
pub(crate) fn configuration(version: Version, folder: &Path, kind: Kind) -> String {
    let networks = folder.join("networks");
    std::fs::create_dir_all(&networks).unwrap();
    // Each node has 16 addresses of its own, of those that nobody is given: 198.18.0.0/15.
    let [_, second, third, fourth] = (std::process::id() % 8192 * 16).to_be_bytes();
    let own = format!("198.{}.{third}.{fourth}", 18 + second);
    let state = folder.join("addresses");
    let network = format!(
        r#"{{"cniVersion":"0.4.0","name":"samara","plugins":[{{"type":"ptp","ipMasq":false,"ipam":{{"type":"host-local","subnet":"{own}/28","dataDir":"{}"}}}}]}}"#,
        state.display()
    );
    std::fs::write(networks.join("10-samara.conflist"), network).unwrap();
    let (cri, pause) = match version {
        Version::V2 => {
            let images = "plugins.\"io.containerd.cri.v1.images\"";
            let pause = format!("[{images}.pinned_images]\nsandbox = \"{PAUSE}\"\n");
            ("plugins.\"io.containerd.cri.v1.runtime\"", pause)
        }
        Version::V1_6 | Version::V1_7 => {
            let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
            (cri, format!("[{cri}]\nsandbox_image = \"{PAUSE}\"\ndisable_tcp_service = true\n"))
        }
    };
    let main = if version == Version::V2 { format!("[{cri}]\n") } else { String::new() };
    let devices = match version {
        Version::V1_6 => String::new(),
        Version::V1_7 | Version::V2 => {
            format!("enable_cdi = true\ncdi_spec_dirs = [\"{}\"]\n", folder.join("cdi").display())
        }
    };
    let plugins = if version == Version::V2 {
        format!("bin_dirs = [\"{PLUGINS}\"]")
    } else {
        format!("bin_dir = \"{PLUGINS}\"")
    };
    let runtime = format!(
        "[{cri}.containerd]\ndefault_runtime_name = \"samara\"\n\
         [{cri}.containerd.runtimes.samara]\nruntime_type = \"io.containerd.samara.v1\"\n"
    );
    let runtime = if kind == Kind::Installed { "" } else { &runtime };
    format!(
        "{pause}{main}restrict_oom_score_adj = true\n{devices}\
         [{cri}.cni]\n{plugins}\nconf_dir = \"{}\"\n{runtime}",
        networks.display()
    )
}

/// Whether networks can be made. `false` says that the test is to be skipped.
pub(crate) fn has_plugins() -> bool {
    let is_there = Path::new(PLUGINS).join("ptp").exists();
    if !is_there {
        let reason =
            format!("the plugins of CNI are not in {PLUGINS}: install `containernetworking-plugins`");
        assert!(!samara_test::must_have_everything(), "{reason}");
        eprintln!("skipped: {reason}");
    }
    is_there
}

/// A kubelet of the node's, with the image of its sandboxes there.
pub(crate) fn kubelet(node: &Node) -> Kubelet {
    let source = node.folder().join("pause.c");
    let program = node.folder().join("pause");
    std::fs::write(&source, "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n").unwrap();
    let [from, to] = [&source, &program].map(|path| path.display().to_string());
    ran(Command::new("cc").args(["-static", "-o", &to, &from])).good();
    assert_eq!(images::linux(node, "pause", &[(&program, "/pause")]), PAUSE);
    Kubelet::connect(node.socket(), node.folder().join("logs"))
}

/// Asks a pod from the machine's own network, which is not the pod's.
pub(crate) fn ask(pod: &Pod, arguments: &[&str], path: &str) -> Option<String> {
    let url = format!("http://{}:8080{path}", pod.address);
    let asked = ran(Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .arg(url));
    (asked.code == Some(0)).then_some(asked.stdout)
}

pub(crate) fn answers_seven(node: &Node, pod: &Pod) {
    node.until("the pod is ready", || ask(pod, &["--fail"], "/v2/health/ready").is_some());
    let (body, header) = request_of_a_seven(node);
    let arguments = ["--data-binary", &body, "-H", &header, "-H", "Content-Type: application/octet-stream"];
    let answer = ask(pod, &arguments, "/v2/models/digits/infer").unwrap();
    assert!(answer.contains(r#""data":[7]"#), "{answer}");
}

fn a_pod_answers_and_ends_in_order(node: &Node) {
    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    let pod = kubelet.run_pod("digits");
    let wanted = Wanted { image: &image, memory: 256 << 20, ..Wanted::default() };
    let container = kubelet.run(&pod, &wanted).unwrap();
    answers_seven(node, &pod);
    let metrics = ask(&pod, &[], "/metrics").unwrap();
    let used = metrics.lines().find_map(|line| line.strip_prefix("samara_memory_used_bytes "));
    let used: f64 = used.unwrap().parse().unwrap();
    assert!(metrics.contains("\nsamara_memory_limit_bytes 268435456\n"), "{metrics}");
    assert!((1e6..256e6).contains(&used), "{used}");
    assert!(kubelet.log().contains(r#"stdout F {"timestamp""#), "{}", kubelet.log());
    kubelet.stop(&container, 30);
    let status = kubelet.status(&container);
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
    kubelet.remove_pod(&pod);
}

fn a_pod_says_what_failed(node: &Node) {
    let kubelet = kubelet(node);
    let image = node.pack(digits(), "digits");
    let pod = kubelet.run_pod("broken");
    let failed = |environment, memory| last_words(node, &kubelet, &pod, &image, environment, memory);

    let said = failed(&[("SAMARA_MODEL_DIGITS", "/models/none.onnx")], 0);
    assert!(said.starts_with("the model `digits` is missing"), "{said}");

    // Of a gibibyte, none of which is on the disk.
    let models = node.folder().join("models");
    std::fs::create_dir_all(&models).unwrap();
    std::fs::File::create(models.join("huge.onnx")).unwrap().set_len(1 << 30).unwrap();
    let said = failed(&[("SAMARA_MODEL_DIGITS", "/models/huge.onnx")], 256 << 20);
    assert!(said.starts_with("out of memory: the models of `digits` are 1024 MiB"), "{said}");
    assert!(said.contains("the container may use 256 MiB"), "{said}");
    kubelet.remove_pod(&pod);
}

/// Runs a container that ends with 1, and gives its termination message.
fn last_words(
    node: &Node,
    kubelet: &Kubelet,
    pod: &Pod,
    image: &str,
    environment: &[(&str, &str)],
    memory: i64,
) -> String {
    let message = node.folder().join("message");
    std::fs::write(&message, "").unwrap();
    // kubelet lets everybody write there.
    std::fs::set_permissions(&message, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let models = node.folder().join("models");
    std::fs::create_dir_all(&models).unwrap();
    let mounts: [(PathBuf, &str); 2] = [(message.clone(), "/dev/termination-log"), (models, "/models")];
    let container = kubelet
        .run(pod, &Wanted { image, environment, mounts: &mounts, memory, ..Wanted::default() })
        .unwrap();
    let exited = || kubelet.status(&container).state() == ContainerState::ContainerExited;
    node.until("the container ends", exited);
    assert_eq!(kubelet.status(&container).exit_code, 1, "{}", kubelet.log());
    kubelet.remove(&container);
    std::fs::read_to_string(message).unwrap()
}
