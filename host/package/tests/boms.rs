//! Bills of materials against programs that know nothing of samara: cargo,
//! which says what a package is made of, and the validator of CycloneDX.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use samara_package::Digest;
use samara_package::bom::{Bom, ErrorKind, Model, ModelData, Package, cargo_packages};

/// Reads one document in each line, and says in one line what is wrong with it.
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
for line in sys.stdin:
    problem = validator.validate_str(line)
    print(' '.join(str(problem).split())[:2000] if problem else 'valid')
";

const METADATA: &str = r#"{"packages": [
  {"id": "root", "name": "root", "version": "0.1.0", "license": null, "source": null, "manifest_path": "/r/Cargo.toml"},
  {"id": "serde", "name": "serde", "version": "1.0.1", "license": "MIT/Apache-2.0",
   "source": "registry+https://github.com/rust-lang/crates.io-index", "manifest_path": "/s/Cargo.toml"},
  {"id": "fork", "name": "half", "version": "2.0.0+fork", "license": "MIT",
   "source": "git+https://r.io/half?branch=x#0123", "manifest_path": "/h/Cargo.toml"},
  {"id": "own", "name": "own", "version": "1.0.0", "license": null,
   "source": "sparse+https://own.io/index/", "manifest_path": "/o/Cargo.toml"},
  {"id": "cc", "name": "cc", "version": "1.0.0", "license": "MIT", "source": null, "manifest_path": "/c/Cargo.toml"}],
 "resolve": {"root": "root", "nodes": [
  {"id": "root", "deps": [{"pkg": "serde", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
                          {"pkg": "cc", "dep_kinds": [{"kind": "build"}]}]},
  {"id": "serde", "deps": [{"pkg": "fork", "dep_kinds": [{"kind": null}]}, {"pkg": "root", "dep_kinds": [{"kind": null}]}]},
  {"id": "fork", "deps": [{"pkg": "own", "dep_kinds": [{"kind": null}]}]},
  {"id": "own", "deps": []}, {"id": "cc", "deps": []}]}}"#;

#[test]
fn packages_are_named_as_others_name_them() {
    let checksum = Digest::of(b"serde");
    let lock = format!(
        "version = 4\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{}\"\n",
        checksum.hex()
    );
    let packages = cargo_packages(METADATA, Path::new("/r/Cargo.toml"), Some(&lock)).unwrap();
    let package = |name: &str, version: &str, purl: &str, sha256, licence: Option<&str>| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl.to_owned(),
        sha256,
        licence: licence.map(str::to_owned),
    };
    let fork = "pkg:cargo/half@2.0.0%2Bfork?vcs_url=git%2Bhttps%3A%2F%2Fr.io%2Fhalf%3Fbranch%3Dx%230123";
    let own = "pkg:cargo/own@1.0.0?repository_url=https%3A%2F%2Fown.io%2Findex%2F";
    assert_eq!(
        packages,
        [
            package("half", "2.0.0+fork", fork, None, Some("MIT")),
            package("own", "1.0.0", own, None, None),
            package("serde", "1.0.1", "pkg:cargo/serde@1.0.1", Some(checksum), Some("MIT OR Apache-2.0")),
        ]
    );
}

#[test]
fn damaged_metadata_is_refused() {
    let refused = |metadata: &str, manifest: &str, lock: Option<&str>| {
        let error = cargo_packages(metadata, Path::new(manifest), lock).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cargo);
        error.to_string()
    };
    assert!(refused("", "/r/Cargo.toml", None).contains("EOF"));
    assert!(refused(r#"{"packages":[],"resolve":null}"#, "/r/Cargo.toml", None).contains("--no-deps"));
    assert!(refused(METADATA, "/absent/Cargo.toml", None).contains("`/absent/Cargo.toml`"));
    assert!(refused(METADATA, "/r/Cargo.toml", Some("[[package")).contains("`Cargo.lock`"));
}

#[test]
fn cargo_tree_names_the_same_packages() {
    let folder = tempfile::tempdir().unwrap();
    let dependencies = "[dependencies]\nnormal = { path = \"../normal\" }\n\
         [build-dependencies]\nbuild = { path = \"../build\" }\n\
         [dev-dependencies]\ndev = { path = \"../dev\" }\n\
         [target.'cfg(windows)'.dependencies]\nwindows = { path = \"../windows\" }\n\
         [target.'cfg(target_os = \"wasi\")'.dependencies]\nwasi = { path = \"../wasi\" }\n";
    for (name, rest) in [
        ("root", dependencies),
        ("normal", "[dependencies]\ndeep = { path = \"../deep\" }\n"),
        ("deep", "[build-dependencies]\nbuild = { path = \"../build\" }\n"),
        ("build", ""),
        ("dev", ""),
        ("windows", ""),
        ("wasi", ""),
    ] {
        let package = folder.path().join(name);
        std::fs::create_dir_all(package.join("src")).unwrap();
        std::fs::write(package.join("src/lib.rs"), "").unwrap();
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}");
        std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    }
    let root = folder.path().join("root");
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).args(arguments).arg("--offline").current_dir(&root).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", "wasm32-wasip2"]);
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let packages = cargo_packages(&metadata, &root.join("Cargo.toml"), Some(&lock)).unwrap();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["deep", "normal", "wasi"]);

    let tree =
        ["tree", "--edges", "normal", "--target", "wasm32-wasip2", "--prefix", "none", "--format", "{p}"];
    let tree = cargo(&tree);
    let mut listed: Vec<&str> = tree.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(names, listed);
}

#[test]
fn the_validator_of_cyclonedx_takes_what_is_written() {
    let Some(python) = validator() else { return };
    let packages = cargo_packages(METADATA, Path::new("/r/Cargo.toml"), None).unwrap();
    let digest = Digest::of(b"x");
    let data = ModelData { path: "m.onnx.data".to_owned(), digest, size: u64::MAX };
    let model = Model {
        name: "Modell ü".to_owned(),
        digest,
        format: "onnx".to_owned(),
        size: u64::MAX,
        data: vec![data.clone(), ModelData { size: 0, ..data }],
    };
    let empty =
        Bom { name: "f".to_owned(), version: "0".to_owned(), digest: None, packages: vec![], models: vec![] };
    let full = Bom {
        digest: Some(digest),
        // Twice the same name: references in the document differ.
        packages: [packages.clone(), vec![Package { licence: None, ..packages[0].clone() }]].concat(),
        models: vec![model],
        ..empty.clone()
    };
    // The last one shows that the validator does refuse.
    let [empty, full] = [empty, full].map(|bom| String::from_utf8(bom.to_cyclonedx()).unwrap());
    let wrong = full.replace("\"application\"", "\"wizardry\"");
    let verdicts = validate(&python, &[empty, full, wrong].join("\n"));
    let verdicts: Vec<&str> = verdicts.lines().collect();
    assert_eq!((verdicts.len(), &verdicts[..2]), (3, &["valid"; 2][..]));
    assert!(verdicts[2].contains("wizardry"), "{}", verdicts[2]);
}

/// The tests' Python, when it has the validator.
#[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
fn validator() -> Option<PathBuf> {
    let python = samara_test::python()?;
    let found = Command::new(&python).args(["-c", "import cyclonedx.validation.json"]).output().unwrap();
    if found.status.success() {
        return Some(python);
    }
    let advice = "`cargo xtask fixtures` installs it";
    assert!(!samara_test::must_have_everything(), "the validator of CycloneDX is not there; {advice}");
    eprintln!("skipped: the validator of CycloneDX is not there; {advice}");
    None
}

fn validate(python: &Path, documents: &str) -> String {
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), documents.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
