//! The folder that containerd makes for a container, before the shim reads it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

const SPECIFICATION: &str = "config.json";

/// Makes the folder's specification one that the shim's library can read. What
/// goes wrong here goes wrong there again, and is told by containerd then.
pub(crate) fn prepare(bundle: &Path) {
    if let Err(error) = complete(bundle) {
        let _ = writeln!(std::io::stderr(), "warning: {error:#}");
    }
}

/// The specification of the container that the folder is for.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn specification(bundle: &Path) -> Result<Value> {
    let file = bundle.join(SPECIFICATION);
    let text = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("`{}` is damaged", file.display()))
}

fn complete(bundle: &Path) -> Result<()> {
    let mut specification = specification(bundle)?;
    let before = specification.clone();
    if let Some(Value::Object(hooks)) = specification.get_mut("hooks") {
        complete_hooks(hooks);
    }
    if let Some(Value::Array(mounts)) = specification.get_mut("mounts") {
        mounts.iter_mut().filter_map(Value::as_object_mut).for_each(complete_mount);
    }
    if specification == before {
        return Ok(());
    }
    // Complete before it has the name: whoever reads it reads all of it.
    let file = bundle.join(SPECIFICATION);
    let whole = file.with_extension("json.samara");
    std::fs::write(&whole, serde_json::to_vec(&specification)?)?;
    std::fs::rename(&whole, &file).with_context(|| format!("cannot write `{}`", file.display()))
}

/// Gives hooks the kinds that the library expects: it takes those of the kind
/// `prestart` for granted wherever there are hooks (the Container Device Interface
/// adds others only), and runs them twice. Those of the kind `createRuntime` run at
/// the same moment, and once.
fn complete_hooks(hooks: &mut Map<String, Value>) {
    let taken = |value: Option<Value>| match value {
        Some(Value::Array(hooks)) => hooks,
        _ => Vec::new(),
    };
    let mut all = taken(hooks.insert("prestart".to_owned(), Value::Array(Vec::new())));
    all.extend(taken(hooks.remove("createRuntime")));
    hooks.insert("createRuntime".to_owned(), Value::Array(all));
}

/// Says of a mount what its options say already. The library makes a folder for each
/// that is not of the type `bind`, which files, such as a driver's, do not fit.
fn complete_mount(mount: &mut Map<String, Value>) {
    let has_type =
        mount.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty() && kind != "none");
    let options = mount.get("options").and_then(Value::as_array);
    let is_bind = options.is_some_and(|all| all.iter().any(|one| one == "bind" || one == "rbind"));
    if is_bind && !has_type {
        mount.insert("type".to_owned(), "bind".into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(specification: &Value) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(SPECIFICATION);
        std::fs::write(&file, specification.to_string()).unwrap();
        prepare(folder.path());
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn hooks_have_the_kinds_that_run_once() {
        let hook = |name: &str| json!({ "path": format!("/bin/{name}") });
        let (first, second) = (hook("first"), hook("second"));
        let hooks = |hooks: Value| json!({ "ociVersion": "1.0.2", "hooks": hooks });
        for (given, expected) in [
            (
                json!({ "createContainer": [first] }),
                json!({ "createContainer": [first], "prestart": [], "createRuntime": [] }),
            ),
            (
                json!({ "createRuntime": [second], "prestart": [first] }),
                json!({ "prestart": [], "createRuntime": [first, second] }),
            ),
            (json!({ "prestart": null }), json!({ "prestart": [], "createRuntime": [] })),
        ] {
            assert_eq!(completed(&hooks(given)), hooks(expected.clone()));
            assert_eq!(completed(&hooks(expected.clone())), hooks(expected));
        }
        let none = json!({ "ociVersion": "1.0.2" });
        assert_eq!(completed(&none), none);
    }

    #[test]
    fn what_is_bound_is_of_the_type_bind() {
        let options = json!(["ro", "rbind"]);
        let mounts = json!({ "mounts": [
            { "destination": "/a", "options": options },
            { "destination": "/b", "type": "none", "options": options },
            { "destination": "/c", "type": "tmpfs", "options": ["ro"] },
            { "destination": "/d" },
        ] });
        let expected = json!({ "mounts": [
            { "destination": "/a", "type": "bind", "options": options },
            { "destination": "/b", "type": "bind", "options": options },
            { "destination": "/c", "type": "tmpfs", "options": ["ro"] },
            { "destination": "/d" },
        ] });
        assert_eq!(completed(&mounts), expected);
    }
}
