//! Small functions and Linux images for containers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{Node, ran};

/// A folder with a manifest and a component of the tests' guests.
pub(crate) fn project(node: &Node, name: &str, component: &Path, more: &str) -> PathBuf {
    let folder = node.folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(component, folder.join("main.wasm")).unwrap();
    let manifest =
        format!("[function]\nname = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"main.wasm\"\n{more}");
    std::fs::write(folder.join("samara.toml"), manifest).unwrap();
    folder
}

/// A Linux image of some files, whose entrypoint is the first, as umoci makes it.
pub(crate) fn linux(node: &Node, name: &str, files: &[(&Path, &str)]) -> String {
    let layout = node.folder().join(format!("{name}-layout"));
    let tagged = format!("{}:1", layout.display());
    let umoci = |arguments: &[&str]| ran(Command::new("umoci").args(arguments)).good();
    umoci(&["init", "--layout", &layout.display().to_string()]);
    umoci(&["new", "--image", &tagged]);
    for (file, inside) in files {
        umoci(&["insert", "--image", &tagged, &file.display().to_string(), inside]);
    }
    umoci(&["config", "--image", &tagged, "--config.entrypoint", files[0].1]);
    let archive = node.folder().join(format!("{name}.tar"));
    let reference = format!("localhost/{name}:1");
    let target = format!("oci-archive:{}:{reference}", archive.display());
    ran(Command::new("skopeo").args(["copy", "--quiet", &format!("oci:{tagged}"), &target])).good();
    node.ctr(&["image", "import", &archive.display().to_string()]).good();
    reference
}
