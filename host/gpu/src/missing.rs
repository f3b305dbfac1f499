//! Why a machine has no adapter, as far as it shows.

use std::path::Path;

/// In words, with what to do about it. `root` is the root of the file system.
pub(crate) fn reason(root: &Path) -> String {
    let here = |path: &str| root.join(path).exists();
    let what = if here("dev/nvidiactl") || here("proc/driver/nvidia/version") {
        "an NVIDIA GPU is here, but the Vulkan part of its driver is not; in a container, \
         `NVIDIA_DRIVER_CAPABILITIES=all` has it mounted, and without one the driver's package brings it"
    } else if here("dev/dxg") {
        "a GPU is here through Windows (`/dev/dxg`), but no Vulkan driver for it"
    } else if here("dev/dri") {
        "a GPU is here (`/dev/dri`), but no Vulkan driver for it; Debian's `mesa-vulkan-drivers` has those \
         of AMD and Intel"
    } else {
        "this machine or container shows none"
    };
    let loader = ["usr/lib", "usr/lib64", "lib", "lib64", "usr/local/lib"]
        .iter()
        .flat_map(|folder| [root.join(folder), root.join(folder).join(multiarch())])
        .any(|folder| folder.join("libvulkan.so.1").exists());
    match loader || cfg!(not(target_os = "linux")) {
        true => what.to_owned(),
        false => format!("{what}; the Vulkan loader `libvulkan.so.1` (Debian's `libvulkan1`) is missing too"),
    }
}

/// The folder of libraries of this architecture, as Debian calls it.
fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let nothing = reason(root.path());
        assert!(nothing.starts_with("this machine or container shows none"), "{nothing}");
        assert_eq!(nothing.contains("`libvulkan.so.1`"), cfg!(target_os = "linux"), "{nothing}");
        let libraries = root.path().join("usr/lib").join(multiarch());
        std::fs::create_dir_all(&libraries).unwrap();
        std::fs::write(libraries.join("libvulkan.so.1"), "").unwrap();
        assert_eq!(reason(root.path()), "this machine or container shows none");
        std::fs::create_dir_all(root.path().join("dev/dri")).unwrap();
        assert!(reason(root.path()).contains("`mesa-vulkan-drivers`"));
        std::fs::write(root.path().join("dev/nvidiactl"), "").unwrap();
        let nvidia = reason(root.path());
        assert!(nvidia.contains("the Vulkan part of its driver is not"), "{nvidia}");
    }
}
