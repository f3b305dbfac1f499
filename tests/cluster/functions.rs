//! Functions that are served.

use std::path::Path;

use crate::images::project;
use crate::node::{Node, Version, ran};
use crate::on_every_containerd;

on_every_containerd!(
    a_function_answers_and_drains,
    a_model_may_lie_on_a_volume,
    a_model_may_be_of_another_image,
    a_model_may_keep_weights_beside_it,
    settings_come_by_the_environment,
    a_restricted_container_serves,
    the_node_s_library_of_onnxruntime_serves,
    a_function_that_describes_itself_sees_what_it_asks_for,
);

/// The repository's own example: a pipeline of two components and a model.
pub(crate) fn digits() -> &'static Path {
    static BUILT: std::sync::Once = std::sync::Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/digits");
    BUILT.call_once(|| {
        let build = std::process::Command::new(samara_test::samara())
            .arg("build")
            .arg(&folder)
            // What cargo set for the test is not meant for what it starts.
            .env_remove("CARGO_TARGET_DIR")
            .output();
        assert!(build.unwrap().status.success());
    });
    Box::leak(folder.into_boxed_path())
}

/// A request with the picture of a seven: the body, in a file as curl takes it, and
/// the header that says where its head ends.
pub(crate) fn request_of_a_seven(node: &Node) -> (String, String) {
    let picture = std::fs::read(digits().join("seven.png")).unwrap();
    let mut body = u32::try_from(picture.len()).unwrap().to_le_bytes().to_vec();
    body.extend(&picture);
    let head = format!(
        "{{\"inputs\":[{{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{{\"binary_data_size\":{}}}}}]}}",
        body.len()
    );
    let file = node.folder().join("seven.bin");
    std::fs::write(&file, [head.as_bytes(), &body].concat()).unwrap();
    (format!("@{}", file.display()), format!("Inference-Header-Content-Length: {}", head.len()))
}

/// Asks a container which digit the picture of a seven shows.
pub(crate) fn answer(node: &Node, id: &str) -> String {
    answer_of(node, node.task(id).unwrap().0)
}

/// As [`answer`], by the container's process.
pub(crate) fn answer_of(node: &Node, process: u32) -> String {
    let (body, header) = request_of_a_seven(node);
    let arguments = ["--data-binary", &body, "-H", &header, "-H", "Content-Type: application/octet-stream"];
    node.ask_process(process, &arguments, "/v2/models/digits/infer").unwrap()
}

fn a_function_answers_and_drains(node: &Node) {
    let image = node.pack(digits(), "digits");
    node.launch(&[], &image, "d", &[]);
    node.ready("d");
    let answer = answer(node, "d");
    assert!(answer.contains(r#""name":"digit""#) && answer.contains(r#""data":[7]"#), "{answer}");
    let metrics = node.ask("d", &[], "/metrics").unwrap();
    assert!(metrics.contains("samara_requests_total{"), "{metrics}");
    // Kubelet's probes.
    node.ask("d", &["--fail"], "/v2/health/live").unwrap();

    // containerd 1.6 hands no components over, so that nobody can compile them
    // before the container does.
    let components = 2;
    let expected = if node.version == Version::V1_6 { 0 } else { components };
    assert_eq!(node.compiled(), expected);

    node.ctr(&["task", "kill", "--signal", "SIGTERM", "d"]).good();
    assert_eq!(node.ended("d"), 0);
    assert!(node.said("d").contains("told to end"), "{}", node.said("d"));
}

fn a_model_may_lie_on_a_volume(node: &Node) {
    let volume = node.folder().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::copy(digits().join("digits.onnx"), volume.join("other.onnx")).unwrap();
    let image = node.pack(digits(), "digits");
    let mount = format!("type=bind,src={},dst=/models,options=rbind:ro", volume.display());
    let options = ["--mount", &mount, "--env", "SAMARA_MODEL_DIGITS=/models/other.onnx"];
    node.launch(&options, &image, "v", &[]);
    node.ready("v");
    assert!(answer(node, "v").contains(r#""data":[7]"#));
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "v"]).good();
    assert_eq!(node.ended("v"), 0);
}

fn a_model_may_be_of_another_image(node: &Node) {
    let folder = |name: &str, path: &str| {
        let folder = node.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        let manifest = format!("[function]\nname = \"{name}\"\n[model.{name}]\npath = \"{path}\"\n");
        std::fs::write(folder.join("samara.toml"), manifest).unwrap();
        folder
    };
    let zoo = folder("zoo", "weights/digits.onnx");
    std::fs::create_dir(zoo.join("weights")).unwrap();
    std::fs::copy(digits().join("digits.onnx"), zoo.join("weights/digits.onnx")).unwrap();
    let mut samara = std::process::Command::new(samara_test::samara());
    samara.arg("--store").arg(node.folder().join("store")).arg("pack").arg(zoo).args(["-t", "zoo:1"]);
    ran(&mut samara).good();
    let image = node.pack(&folder("borrowed", "oci://zoo:1"), "borrowed");
    node.launch(&[], &image, "b", &[]);
    node.ready("b");
    let metadata = node.ask("b", &["--fail"], "/v2/models/borrowed").unwrap();
    assert!(metadata.contains(r#""name":"borrowed""#), "{metadata}");
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "b"]).good();
    assert_eq!(node.ended("b"), 0);
}

fn a_model_may_keep_weights_beside_it(node: &Node) {
    let folder = node.folder().join("beside");
    std::fs::create_dir_all(folder.join("nets/data")).unwrap();
    let manifest = "[function]\nname = \"beside\"\n[model.net]\npath = \"nets/net.onnx\"\n";
    std::fs::write(folder.join("samara.toml"), manifest).unwrap();
    let model = samara_test::onnx::ready::external("data/net.onnx.data", 0, 16);
    std::fs::write(folder.join("nets/net.onnx"), model).unwrap();
    let weights: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    std::fs::write(folder.join("nets/data/net.onnx.data"), weights).unwrap();
    let image = node.pack(&folder, "beside");
    node.launch(&["--env", "SAMARA_DRAIN_DELAY=0"], &image, "w", &[]);
    node.ready("w");
    let zeros = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[4],"data":[0,0,0,0]}]}"#;
    let answer = node.ask("w", &["--fail", "--data", zeros], "/v2/models/beside/infer").unwrap();
    assert!(answer.contains(r#""data":[1.0,2.0,3.0,4.0]"#), "{answer}");
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "w"]).good();
    assert_eq!(node.ended("w"), 0);
}

fn settings_come_by_the_environment(node: &Node) {
    let image = node.pack(digits(), "digits");
    let options =
        ["--env", "SAMARA_NAME=numbers", "--env", "SAMARA_BACKEND=tract", "--env", "SAMARA_DRAIN_DELAY=0"];
    node.launch(&options, &image, "s", &[]);
    node.ready("s");
    let metadata = node.ask("s", &["--fail"], "/v2/models/numbers").unwrap();
    assert!(metadata.contains(r#""name":"numbers""#), "{metadata}");
    let (pid, _) = node.task("s").unwrap();
    // Another container's network reaches it as little as the machine's does.
    let outside = ran(std::process::Command::new("curl").args([
        "--silent",
        "--max-time",
        "5",
        "http://127.0.0.1:8080/",
    ]));
    assert_ne!(outside.code, Some(0), "pid {pid}");
}

/// As the manifests ask for: nobody's user, a root that is read only, containerd's
/// own filter of system calls.
fn a_restricted_container_serves(node: &Node) {
    let image = node.pack(digits(), "digits");
    let mut options = vec!["--read-only", "--seccomp", "--env", "SAMARA_DRAIN_DELAY=0"];
    // The client of 1.6 cannot name a user.
    let is_nobody = node.version != Version::V1_6;
    if is_nobody {
        options.extend(["--user", "65532:65532"]);
    }
    node.launch(&options, &image, "r", &[]);
    node.ready("r");
    assert!(answer(node, "r").contains(r#""data":[7]"#));
    let (pid, _) = node.task("r").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert_eq!(status.contains("Uid:\t65532\t65532"), is_nobody, "{status}");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    // The node's folder of code is let go of before the function runs.
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    let code = node.folder().join("node/code");
    assert!(!open.contains(&code), "{open:?}");
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "r"]).good();
    assert_eq!(node.ended("r"), 0);
}

fn the_node_s_library_of_onnxruntime_serves(node: &Node) {
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let image = node.pack(digits(), "digits");
    let options = ["--env", "SAMARA_BACKEND=onnxruntime", "--env", "SAMARA_DRAIN_DELAY=0"];
    let refused = node.run(&options, &image, "none", &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("the ONNX Runtime library is not at"), "{}", refused.stderr);

    std::fs::create_dir(node.libraries()).unwrap();
    std::fs::copy(&library, node.libraries().join(library.file_name().unwrap())).unwrap();
    node.launch(&options, &image, "o", &[]);
    node.ready("o");
    assert!(answer(node, "o").contains(r#""data":[7]"#));
    let metrics = node.ask("o", &[], "/metrics").unwrap();
    assert!(metrics.contains(r#"backend="onnxruntime""#), "{metrics}");
    let (pid, _) = node.task("o").unwrap();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let places: Vec<_> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    let of_node = places.iter().find(|place| place.starts_with(node.folder()) && place.is_dir());
    assert_eq!(of_node, None, "no folder of the node's is open in the container");
    node.ctr(&["task", "kill", "--signal", "SIGTERM", "o"]).good();
    assert_eq!(node.ended("o"), 0);
}

/// It describes itself before it is known to be no command, and again when it is
/// served. A command would see all of the environment and of the files.
fn a_function_that_describes_itself_sees_what_it_asks_for(node: &Node) {
    let asks =
        "[capabilities]\nenvironment = [\"LEVEL\"]\ndirectories = [{ host = \"a\", guest = \"/asked\" }]\n";
    let folder = project(node, "sees", &samara_test::guest("function_sees"), asks);
    let image = node.pack(&folder, "sees");
    let mount = |to: &str| format!("type=bind,src={},dst={to},options=rbind:ro", folder.display());
    let (asked, mounted) = (mount("/asked"), mount("/mounted"));
    let variables = ["--env", "LEVEL=3", "--env", "SECRET=s"];
    node.launch(&[&["--mount", &asked, "--mount", &mounted], &variables[..]].concat(), &image, "s", &[]);
    node.ready("s");
    // The first line is as it was written, the second one a log's.
    let said = node.said("s").replace('\\', "");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("sees variables")).collect();
    let expected = r#"sees variables ["LEVEL"] and folders ["/asked"]"#;
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(expected)), "{said}");
}
