//! Programs and libraries of the machine that some tests need.

use std::path::{Path, PathBuf};

/// Whether a test without what it needs fails instead of being skipped.
pub fn must_have_everything() -> bool {
    std::env::var_os("SAMARA_REQUIRE_ALL").is_some() || std::env::var_os("CI").is_some()
}

/// The Python of the tests: `$SAMARA_PYTHON`, or that of the environment in
/// `~/.cache/samara/python`. `None` says that the test is to be skipped, for a
/// reason that is printed.
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn python() -> Option<PathBuf> {
    let set = std::env::var_os("SAMARA_PYTHON").map(PathBuf::from);
    let python = set.or_else(|| Some(environment()?.join("bin/python")))?;
    present(python, "Python", "`cargo xtask fixtures` makes it, `SAMARA_PYTHON` names another")
}

/// The ONNX Runtime library: `$SAMARA_ONNXRUNTIME`, or that of the package in
/// the tests' Python. `None` as for [`python`].
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn onnxruntime_library() -> Option<PathBuf> {
    let advice = "`cargo xtask fixtures` installs it, `SAMARA_ONNXRUNTIME` names another";
    let set = std::env::var_os("SAMARA_ONNXRUNTIME").map(PathBuf::from);
    let library = set.or_else(installed_onnxruntime).unwrap_or_else(|| PathBuf::from("libonnxruntime.so"));
    present(library, "the ONNX Runtime library", advice)
}

/// The folder of the environment that [`python`] belongs to, with its tools in
/// `bin`. `None` as for [`python`].
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn python_environment() -> Option<PathBuf> {
    let python = python()?;
    Some(python.parent()?.parent()?.to_owned())
}

/// The packages of npm that functions in JavaScript are built with. `None` as
/// for [`python`].
///
/// # Panics
/// When they are missing and [`must_have_everything`].
pub fn node_modules() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let advice = "`cargo xtask fixtures` installs them";
    present(home.join(".cache/samara/node/node_modules"), "packages of npm", advice)
}

/// The LiteRT library: `$SAMARA_LITERT`, or that of the package in the tests' Python.
/// `None` as for [`python`].
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn litert_library() -> Option<PathBuf> {
    let advice = "`cargo xtask fixtures` installs it, `SAMARA_LITERT` names another";
    let set = std::env::var_os("SAMARA_LITERT").map(PathBuf::from);
    let library = set.or_else(installed_litert).unwrap_or_else(|| PathBuf::from("libLiteRt.so"));
    present(library, "the LiteRT library", advice)
}

/// A file that `cargo xtask fixtures` writes. `None` as for [`python`].
///
/// # Panics
/// When it is missing and [`must_have_everything`].
pub fn fixture(path: PathBuf) -> Option<PathBuf> {
    present(path, "a file for the tests", "`cargo xtask fixtures` writes it")
}

/// A program of the system that is on the `PATH`, e.g. `skopeo`. `None` as for
/// [`python`].
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    present(
        found.unwrap_or_else(|| PathBuf::from(name)),
        name,
        "install the package of the system that has it",
    )
}

/// Memory of this process that is in RAM, in bytes, as Linux tells it.
///
/// # Panics
/// Where there is no `/proc`.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    kibibytes << 10
}

/// The `samara` program that was built with the tests, beside their own.
///
/// # Panics
/// When it is not there.
pub fn samara() -> PathBuf {
    built("samara", "samara")
}

/// The shim of containerd that was built with the tests, beside their own.
///
/// # Panics
/// When it is not there.
pub fn shim() -> PathBuf {
    built("containerd-shim-samara-v1", "containerd-shim-samara")
}

/// The program that installs the shim, built with the tests, beside their own.
///
/// # Panics
/// When it is not there.
pub fn installer() -> PathBuf {
    built("samara-node-installer", "samara-node-installer")
}

fn built(program: &str, package: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join(program);
    assert!(program.exists(), "{} is missing; run `cargo build -p {package}`", program.display());
    program
}

/// Whether a test of what runs on a GPU is to go on, given why there is none.
///
/// # Panics
/// When there is none and [`must_have_everything`].
pub fn has_gpu(missing: Option<&str>) -> bool {
    let Some(reason) = missing else { return true };
    let reason = format!("{reason}: Debian's `mesa-vulkan-drivers` has one that computes on the CPU");
    assert!(!must_have_everything(), "{reason}");
    eprintln!("skipped: {reason}");
    false
}

pub(crate) fn environment() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/samara/python"))
}

fn installed_onnxruntime() -> Option<PathBuf> {
    packages("onnxruntime/capi")?.find_map(|folder| library_in(&folder))
}

fn installed_litert() -> Option<PathBuf> {
    let names = ["libLiteRt.so", "libLiteRt.dylib"];
    packages("ai_edge_litert")?
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// The folder of a package in the tests' Python, once for each version of Python.
fn packages(name: &str) -> Option<impl Iterator<Item = PathBuf>> {
    let versions = environment()?.join("lib").read_dir().ok()?;
    let inside = format!("site-packages/{name}");
    Some(versions.filter_map(move |version| Some(version.ok()?.path().join(&inside))))
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let files = folder.read_dir().ok()?.filter_map(|file| Some(file.ok()?.path()));
    files.into_iter().find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        ["libonnxruntime.so", "libonnxruntime.1", "libonnxruntime.dylib"]
            .iter()
            .any(|start| name.starts_with(start))
    })
}

pub(crate) fn present(path: PathBuf, what: &str, advice: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let reason = format!("{what} is not at {}: {advice}", path.display());
    assert!(!must_have_everything(), "{reason}");
    eprintln!("skipped: {reason}");
    None
}
