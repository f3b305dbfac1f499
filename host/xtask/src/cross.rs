//! `cargo xtask cross`: the command line and the shim for 64-bit ARM, built here
//! and tried under emulation.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::guests;
use crate::shell::{cache, cargo, program, run, step, succeeds, target};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";

/// Where Debian's cross compilers keep the libraries of the other machine.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// A picture of a seven, and the answer.
const LINE: &str = "run examples/digits --input image=@examples/digits/seven.png";
const ANSWER: &str = "INT64[1]  7";

pub(crate) fn build(arguments: &[String]) -> Result<()> {
    ensure!(
        succeeds(program(LINKER).arg("--version")),
        "there is no `{LINKER}`\nhint: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    );
    if !succeeds(program("sh").args(["-c", &format!("rustup target list --installed | grep -qx {TARGET}")])) {
        run(program("rustup").args(["target", "add", TARGET]))?;
    }
    run(program("sh").arg("tests/fixtures/debian.sh"))?;
    let seccomp = cache()?.join("arm64/usr/lib/aarch64-linux-gnu");
    step(&format!("building samara and its shim for {TARGET}"));
    let mut build = cargo();
    build.args(["build", "--target", TARGET, "--package", "samara", "--package", "containerd-shim-samara"]);
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
    build.env("LIBSECCOMP_LIB_PATH", seccomp).env("LIBSECCOMP_LINK_TYPE", "static");
    run(build.args(arguments))?;
    let profile = if arguments.iter().any(|argument| argument == "--release") { "release" } else { "debug" };
    let folder = target().join(TARGET).join(profile);
    check_machine(&folder.join("containerd-shim-samara-v1"))?;
    try_out(&folder.join("samara"))
}

/// Runs the digits example, compiler and model and all.
fn try_out(samara: &Path) -> Result<()> {
    check_machine(samara)?;
    guests::build_example("digits")?;
    ensure!(
        succeeds(program(EMULATOR).arg("-version")),
        "there is no `{EMULATOR}`\nhint: apt-get install qemu-user"
    );
    step(&format!("{EMULATOR} samara {LINE}"));
    let store = new_folder(&target())?;
    let mut command = program(EMULATOR);
    command.args(["-L", LIBRARIES]).arg(samara).arg("--store").arg(&store).args(LINE.split(' '));
    let output = command.output().context("the emulator does not start")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::remove_dir_all(&store).ok();
    ensure!(output.status.success() && said.contains(ANSWER), "it does not answer rightly:\n{said}{told}");
    print!("{said}");
    Ok(())
}

/// A new folder, so that nothing compiled is found.
fn new_folder(parent: &Path) -> Result<PathBuf> {
    let folder = parent.join(format!("cross-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

/// An executable's header says which machine it is for: 183 is 64-bit ARM.
fn check_machine(file: &Path) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let machine = bytes.get(18..20).map(|two| u16::from_le_bytes([two[0], two[1]]));
    ensure!(
        bytes.starts_with(b"\x7fELF") && machine == Some(183),
        "`{}` is not for {TARGET}",
        file.display()
    );
    Ok(())
}
