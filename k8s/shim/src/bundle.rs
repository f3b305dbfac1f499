//! The folder that containerd makes for a container, before the shim reads it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

const SPECIFICATION: &str = "config.json";

/// Makes the folder's specification one that the shim's library can read. What
/// goes wrong here goes wrong there again, and is told by containerd then.
pub(crate) fn prepare(bundle: &Path) {
    if let Err(error) = complete(&bundle.join(SPECIFICATION)) {
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

/// The Container Device Interface adds hooks of some kinds only, and the library
/// takes those of the kind `prestart` for granted wherever there are hooks: a list
/// without any is added.
fn complete(file: &Path) -> Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut specification: Map<String, Value> = serde_json::from_slice(&text)?;
    let Some(Value::Object(hooks)) = specification.get_mut("hooks") else { return Ok(()) };
    if hooks.get("prestart").is_some_and(Value::is_array) {
        return Ok(());
    }
    hooks.insert("prestart".to_owned(), Value::Array(Vec::new()));
    // Complete before it has the name: whoever reads it reads all of it.
    let whole = file.with_extension("json.samara");
    std::fs::write(&whole, serde_json::to_vec(&specification)?)?;
    std::fs::rename(&whole, file).with_context(|| format!("cannot write `{}`", file.display()))
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
    fn hooks_have_a_list_of_each_kind_that_is_taken_for_granted() {
        let hook = json!([{ "path": "/bin/true" }]);
        let found = completed(&json!({ "ociVersion": "1.0.2", "hooks": { "createContainer": hook } }));
        assert_eq!(found["hooks"], json!({ "createContainer": hook, "prestart": [] }));
        for kept in [json!({ "ociVersion": "1.0.2" }), json!({ "hooks": { "prestart": hook } })] {
            assert_eq!(completed(&kept), kept);
        }
    }
}
