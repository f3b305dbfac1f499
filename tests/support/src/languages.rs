//! What projects in other languages need beside them, out of what the tests have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Puts the tests' Python into a project as its `.venv`. `None` as for
/// [`python`](crate::python).
///
/// # Panics
/// When the project cannot be written to.
pub fn install_python(project: &Path) -> Option<()> {
    symlink(crate::python_environment()?, project.join(".venv")).expect("the project can be written to");
    Some(())
}

/// Puts the tests' packages of npm into a project, with the SDK in the folder `sdk` as
/// one of them. `None` as for [`node_modules`](crate::node_modules).
///
/// # Panics
/// When the project cannot be written to.
pub fn install_js(project: &Path, sdk: &Path) -> Option<()> {
    let from = crate::node_modules()?;
    let install = || -> std::io::Result<()> {
        let modules = project.join("node_modules");
        fs::create_dir_all(modules.join(".bin"))?;
        for package in ["@bytecodealliance", "esbuild"] {
            symlink(from.join(package), modules.join(package))?;
        }
        symlink(sdk, modules.join("samara-sdk"))?;
        // npm makes the programs of packages executable.
        let program = modules.join(".bin/samara-componentize");
        let script = sdk.join("bin/samara-componentize.js");
        fs::write(&program, format!("#!/bin/sh\nexec node \"{}\" \"$@\"\n", script.display()))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
    };
    install().expect("the project can be written to");
    Some(())
}
