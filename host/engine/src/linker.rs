//! Everything that a component may import, and what is said of an import that
//! is not there.

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::instance::InstanceState;
use crate::wasi::{logging, nn};

/// Links WASI 0.2 and 0.3, their HTTP, `wasi:nn` and `wasi:logging`.
pub(crate) fn build(engine: &Engine) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    nn::add_to_linker(&mut linker)?;
    logging::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Packages whose interfaces the linker holds, with the versions that link.
const PROVIDED: [(&str, &[&str]); 10] = [
    ("wasi:cli", WASI_VERSIONS),
    ("wasi:clocks", WASI_VERSIONS),
    ("wasi:filesystem", WASI_VERSIONS),
    ("wasi:http", WASI_VERSIONS),
    ("wasi:io", WASI_VERSIONS),
    ("wasi:logging", &[logging::VERSION]),
    ("wasi:random", WASI_VERSIONS),
    ("wasi:sockets", WASI_VERSIONS),
    ("wasi:nn", nn::VERSIONS),
    ("samara:function", &["0.1."]),
];

const WASI_VERSIONS: &[&str] = &["0.2.", "0.3."];

/// Checks a component's imports against what this host has and what the caller
/// grants.
///
/// # Errors
/// [`Error::UnknownImports`] or [`Error::NotGranted`], each listing all of
/// them.
pub(crate) fn check_imports(
    function: &str,
    engine: &Engine,
    component: &Component,
    grants: &Grants,
) -> Result<()> {
    let kind = component.component_type();
    let imports: Vec<&str> = kind.imports(engine).map(|(name, _)| name).collect();
    let unknown: Vec<String> = imports
        .iter()
        .filter_map(|&import| complaint(import).map(|why| format!("`{import}`: {why}")))
        .collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownImports { function: function.to_owned(), imports: unknown });
    }
    let sends_http = imports.iter().any(|import| {
        import.starts_with("wasi:http/outgoing-handler@") || import.starts_with("wasi:http/client@")
    });
    if sends_http && grants.http_hosts.is_empty() {
        let need = "HTTP requests to other hosts; grant each with `--allow-http HOST`".to_owned();
        return Err(Error::NotGranted { function: function.to_owned(), needs: vec![need] });
    }
    Ok(())
}

/// What is wrong with an import, if anything is.
fn complaint(import: &str) -> Option<String> {
    let (path, version) = import.split_once('@').unwrap_or((import, ""));
    let package = path.split('/').next().unwrap_or(path);
    let Some((_, versions)) = PROVIDED.iter().find(|(provided, _)| *provided == package) else {
        return Some(match package {
            "wasi:keyvalue" | "wasi:blobstore" | "wasi:messaging" | "wasi:config" => {
                "this WASI interface is not part of samara".to_owned()
            }
            _ => "no such package here; compose the component that provides it into this one".to_owned(),
        });
    };
    let known = versions.iter().any(|known| version.starts_with(known));
    let versions: Vec<String> = versions
        .iter()
        .map(|version| if version.ends_with('.') { format!("{version}x") } else { (*version).to_owned() })
        .collect();
    (!known).then(|| format!("samara has {package} in version {}", versions.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn imports_are_judged_by_package_and_version() {
        assert_eq!(complaint("wasi:io/streams@0.2.6"), None);
        assert_eq!(complaint("wasi:cli/run@0.3.0"), None);
        assert_eq!(complaint("wasi:nn/tensor@0.2.0-rc-2024-10-28"), None);
        assert_eq!(complaint("wasi:logging/logging@0.1.0-draft"), None);
        assert_eq!(complaint("wasi:nn/tensor@0.2.0-rc-2024-06-25"), None);
        let other = complaint("wasi:nn/tensor@0.2.0-rc-2025-01-01").unwrap();
        assert!(other.contains("0.2.0-rc-2024-10-28 and 0.2.0-rc-2024-08-19"), "{other}");
        assert!(complaint("acme:db/query@1.0.0").unwrap().contains("compose"));
        assert!(complaint("wasi:io/streams@0.1.0").unwrap().contains("0.2.x and 0.3.x"));
    }
}
