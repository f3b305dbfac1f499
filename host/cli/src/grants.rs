//! What a function is allowed, out of what it asks for and what the flags say.

use std::path::Path;

use anyhow::{Result, bail};
use samara_engine::{DirectoryGrant, Grants};
use samara_package::manifest::Capabilities;

use crate::args::GrantArgs;
use crate::printer::Printer;

/// The grants that the flags make. `requested` is granted only where
/// `--allow-all-requested` says so.
///
/// # Errors
/// When a variable without a value is not set here, or a directory is none.
pub(crate) fn resolve(args: &GrantArgs, requested: Option<&Capabilities>, folder: &Path) -> Result<Grants> {
    let mut grants = Grants { http_hosts: args.http.clone(), ..Grants::default() };
    for (name, value) in &args.environment {
        let value = value.clone().or_else(|| std::env::var(name).ok());
        let Some(value) = value else {
            bail!(
                "`--allow-env {name}`: the variable is not set here\nhint: give it a value with `--allow-env {name}=VALUE`"
            );
        };
        grants.environment.push((name.clone(), value));
    }
    for directory in &args.directories {
        grants.directories.push(DirectoryGrant {
            host: directory.host.clone(),
            guest: directory.guest.clone(),
            writable: directory.writable,
        });
    }
    if let Some(requested) = requested.filter(|_| args.all_requested) {
        add_requested(&mut grants, requested, folder);
    }
    for directory in &grants.directories {
        if !directory.host.is_dir() {
            bail!(
                "`{}` is no directory, so the function cannot be given it as `{}`",
                directory.host.display(),
                directory.guest
            );
        }
    }
    Ok(grants)
}

/// Tells what is asked for and not granted, and the flags that would.
pub(crate) fn tell_missing(
    requested: &Capabilities,
    folder: &Path,
    grants: &Grants,
    name: &str,
    printer: &Printer,
) {
    let missing = missing_flags(requested, folder, grants);
    if missing.is_empty() {
        return;
    }
    printer.note(format_args!("`{name}` asks for what it is not granted; to grant it:"));
    for flag in &missing {
        printer.text(format_args!("  {flag}"));
    }
    printer.hint("`--allow-all-requested` grants all that the manifest asks for");
}

fn missing_flags(requested: &Capabilities, folder: &Path, grants: &Grants) -> Vec<String> {
    let http = requested.http.iter().filter(|host| !grants.http_hosts.contains(host));
    let environment = requested
        .environment
        .iter()
        .filter(|name| !grants.environment.iter().any(|(granted, _)| granted == *name));
    let directories = requested
        .directories
        .iter()
        .filter(|wanted| !grants.directories.iter().any(|granted| granted.guest == wanted.guest));
    let http = http.map(|host| format!("--allow-http {host}"));
    let directories = directories.map(|wanted| {
        let mode = if wanted.writable { ":rw" } else { "" };
        format!("--allow-dir {}::{}{mode}", folder.join(&wanted.host).display(), wanted.guest)
    });
    let environment = environment.map(|name| format!("--allow-env {name}"));
    http.chain(directories).chain(environment).collect()
}

fn add_requested(grants: &mut Grants, requested: &Capabilities, folder: &Path) {
    grants.http_hosts.extend(requested.http.iter().cloned());
    for wanted in &requested.directories {
        let named = grants.directories.iter().any(|granted| granted.guest == wanted.guest);
        if !named {
            grants.directories.push(DirectoryGrant {
                host: folder.join(&wanted.host),
                guest: wanted.guest.clone(),
                writable: wanted.writable,
            });
        }
    }
    for name in &requested.environment {
        let named = grants.environment.iter().any(|(granted, _)| granted == name);
        // A variable that is not set has nothing to be granted.
        if let (false, Ok(value)) = (named, std::env::var(name)) {
            grants.environment.push((name.clone(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use samara_package::manifest::Directory;

    use super::*;
    use crate::args::DirectoryArg;

    fn requested() -> Capabilities {
        Capabilities {
            http: vec!["api.example.com".to_owned()],
            directories: vec![Directory { host: "src".into(), guest: "/data".to_owned(), writable: true }],
            environment: vec!["SAMARA_TEST_UNSET".to_owned()],
        }
    }

    fn here() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn a_request_grants_nothing() {
        let grants = resolve(&GrantArgs::default(), Some(&requested()), here()).unwrap();
        assert_eq!(grants, Grants::default());
        assert_eq!(
            missing_flags(&requested(), Path::new("f"), &grants),
            ["--allow-http api.example.com", "--allow-dir f/src::/data:rw", "--allow-env SAMARA_TEST_UNSET"]
        );
    }

    #[test]
    fn all_that_is_requested_can_be_granted_and_flags_come_first() {
        let args = GrantArgs { all_requested: true, ..GrantArgs::default() };
        let grants = resolve(&args, Some(&requested()), here()).unwrap();
        assert_eq!(grants.http_hosts, ["api.example.com"]);
        assert_eq!(grants.directories[0].host, here().join("src"));
        assert!(grants.environment.is_empty());

        let own = DirectoryArg { host: here().join("src"), guest: "/data".to_owned(), writable: false };
        let args = GrantArgs { directories: vec![own], ..args };
        let grants = resolve(&args, Some(&requested()), here()).unwrap();
        assert_eq!(grants.directories.len(), 1);
        assert!(!grants.directories[0].writable);
    }

    #[test]
    fn what_is_not_there_cannot_be_granted() {
        let args =
            GrantArgs { environment: vec![("SAMARA_TEST_UNSET".to_owned(), None)], ..GrantArgs::default() };
        let error = resolve(&args, None, here()).unwrap_err().to_string();
        assert!(
            error.starts_with("`--allow-env SAMARA_TEST_UNSET`: the variable is not set here\nhint: "),
            "{error}"
        );
        let nowhere = DirectoryArg { host: "/nowhere".into(), guest: "/data".to_owned(), writable: false };
        let args = GrantArgs { directories: vec![nowhere], ..GrantArgs::default() };
        let error = resolve(&args, None, here()).unwrap_err().to_string();
        assert_eq!(error, "`/nowhere` is no directory, so the function cannot be given it as `/data`");
    }
}
