//! A node whose containerd has its configuration in `/etc/containerd`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::{Added, SHIM, Version};
use crate::host::Host;
use crate::imports::{Read, WHOLLY_OURS, fits, read_all};
use crate::part;
use crate::plan::{Is, Plan};

const MAIN: &str = "/etc/containerd/config.toml";
/// What recent versions read beside their defaults when there is no main file.
const DEFAULT_IMPORTS: &str = "/etc/containerd/conf.d";
/// Of Kubernetes that brings a containerd with files of its own.
const ELSEWHERE: [&str; 3] = ["/etc/k0s", "/var/lib/k0s", "/var/snap/microk8s"];
const SERVICE: &str = "containerd";
/// What a drop-in file of ours is called: the first name that fits.
const DROP_INS: [&str; 2] = ["99-samara.toml", "samara.toml"];
/// In the first line of a file whose folder was made for it.
const WITH_FOLDER: &str = ", and its folder";
/// Where packages and people put containerd.
const PROGRAMS: [&str; 3] = ["/usr/bin/containerd", "/usr/local/bin/containerd", "/usr/sbin/containerd"];
/// The field that containerd passes options in to shims that it does not know,
/// as its program has it.
const FIELD: &[u8] = b"config_body";

/// What makes the runtime known.
///
/// # Errors
/// When the configuration is broken, or is none that the runtime can be added to.
pub(crate) fn install(host: &Host) -> Result<Plan> {
    let mut plan = Plan { service: SERVICE.to_owned(), ..Plan::default() };
    let all = read_all(host, Path::new(MAIN))?;
    let Some(main) = all.first() else {
        plan.want(MAIN, Is::Text(new_main(host)?));
        return Ok(plan);
    };
    let version = main.config.version(&main.path)?;
    for read in &all {
        read.config.check_enabled(&read.path)?;
    }
    if let Some(there) = by_others(&all, version)? {
        plan.notes
            .push(format!("{}: the runtime is there already; the file stays as it is", there.display()));
        return Ok(plan);
    }
    let systemd_cgroup = all.iter().any(|read| read.config.is_systemd_cgroup());
    let with_options = systemd_cgroup && (version.merges() || passes_options(host)?);
    if systemd_cgroup && !with_options {
        plan.notes.push(
            "this node's containerd passes no options to shims, `SystemdCgroup` included, as 1.7 and later do: \
             functions are limited, but their pods as a whole are not"
                .to_owned(),
        );
    }
    let target = decisive(&all, version);
    let names_others = |read: &&Read| read.config.names_others(version);
    let is_first = match target {
        Some(target) if !version.merges() => !names_others(&target),
        _ => !all.iter().filter(|read| !read.is_ours).any(|read| names_others(&read)),
    };
    let section = version.sections(Added { is_first, systemd_cgroup: with_options });
    let drop_in = drop_in(host, &all, version, &section)?;
    let target = target.filter(|_| drop_in.is_none()).map(|read| &read.path);
    for read in &all {
        if drop_in.as_ref().is_some_and(|(path, _)| *path == read.path) {
            continue;
        }
        let is = if read.is_ours {
            removed(read)
        } else if target == Some(&read.path) {
            let text = part::with(&read.rest, &section);
            check(&read.path, &text, version)?;
            Is::Text(text)
        } else {
            Is::Text(read.rest.clone())
        };
        plan.want(&read.path, is);
    }
    if let Some((path, text)) = drop_in {
        plan.want(path, Is::Text(text));
    }
    Ok(plan)
}

/// What makes containerd forget the runtime.
///
/// # Errors
/// When the configuration is broken.
pub(crate) fn uninstall(host: &Host) -> Result<Plan> {
    let mut plan = Plan { service: SERVICE.to_owned(), ..Plan::default() };
    let all = read_all(host, Path::new(MAIN))?;
    let version = all.first().and_then(|main| main.config.version(&main.path).ok());
    for read in all {
        let is = match version {
            _ if read.is_ours || is_new_main(&read.rest) => removed(&read),
            // A program that wrote the file anew left out our comments.
            Some(version) if read.config.runtime(version) == Some(SHIM) => {
                Is::Text(read.config.without_runtime(version))
            }
            _ => Is::Text(read.rest),
        };
        plan.want(read.path, is);
    }
    Ok(plan)
}

/// The file that has the runtime.
///
/// # Errors
/// When the configuration is broken.
pub(crate) fn configured(host: &Host) -> Result<Option<PathBuf>> {
    for read in read_all(host, Path::new(MAIN))? {
        let has_part = host.text(&read.path)?.is_some_and(|text| text != read.rest);
        let has_section =
            [Version::V2, Version::V3].iter().any(|&version| read.config.runtime(version).is_some());
        if has_part || has_section {
            return Ok(Some(read.path));
        }
    }
    Ok(None)
}

/// A main file where there is none, which has containerd's defaults.
fn new_main(host: &Host) -> Result<String> {
    if let Some(other) = ELSEWHERE.iter().find(|other| host.has(Path::new(other))) {
        bail!(
            "{MAIN}: there is none, but {other}, whose containerd has its configuration elsewhere; add the runtime \
             `samara` with `runtime_type = \"{SHIM}\"` there by hand"
        );
    }
    let others = host.names(Path::new(DEFAULT_IMPORTS))?;
    if others.iter().any(|name| fits(b"*.toml", name.as_encoded_bytes())) {
        bail!(
            "{MAIN}: there is none, but files in {DEFAULT_IMPORTS}, which some versions of containerd read and \
             others do not; write one that imports them (`containerd config default` prints it)"
        );
    }
    let folder = if host.has(Path::new("/etc/containerd")) { "" } else { WITH_FOLDER };
    Ok(part::with(
        &format!("{WHOLLY_OURS}{folder}.\nversion = 2\n"),
        &Version::V2.sections(Added { is_first: true, systemd_cgroup: false }),
    ))
}

/// Whether a main file has nothing that others have written.
fn is_new_main(rest: &str) -> bool {
    ["", WITH_FOLDER].iter().any(|folder| rest == format!("{WHOLLY_OURS}{folder}.\nversion = 2\n"))
}

/// The file in which others have added the runtime.
fn by_others(all: &[Read], version: Version) -> Result<Option<PathBuf>> {
    for read in all.iter().filter(|read| !read.is_ours) {
        match read.config.runtime(version) {
            None => {}
            Some(SHIM) => return Ok(Some(read.path.clone())),
            Some(other) => bail!(
                "{}: there is a runtime `samara` with `runtime_type = \"{other}\"`; remove it, or give it another name",
                read.path.display()
            ),
        }
    }
    Ok(None)
}

/// A file of our own, where one is imported and does not take the place of
/// what other files say.
fn drop_in(host: &Host, all: &[Read], version: Version, section: &str) -> Result<Option<(PathBuf, String)>> {
    if !version.merges() {
        return Ok(None);
    }
    let patterns = all.iter().filter(|read| !read.is_ours).flat_map(|read| &read.imports);
    let path = patterns.filter_map(|import| {
        let (folder, pattern) = (import.parent()?, import.file_name()?.as_encoded_bytes());
        let name = DROP_INS.iter().find(|name| pattern.contains(&b'*') && fits(pattern, name.as_bytes()))?;
        Some(folder.join(name))
    });
    let Some(path) = path.into_iter().next() else { return Ok(None) };
    let is_new_folder = match all.iter().find(|read| read.path == path) {
        Some(there) if there.is_ours => has_folder(there),
        Some(_) => bail!("{}: the file is there and not ours; move it away", path.display()),
        None => !path.parent().is_some_and(|folder| host.has(folder)),
    };
    let folder = if is_new_folder { WITH_FOLDER } else { "" };
    Ok(Some((path, format!("{WHOLLY_OURS}{folder}.\nversion = {}\n\n{section}", version.number()))))
}

/// The file whose word on the kubelet's plugin counts: before containerd 2 the
/// last that has any has it alone.
fn decisive(all: &[Read], version: Version) -> Option<&Read> {
    let others = || all.iter().filter(|read| !read.is_ours);
    let last = others().rfind(|read| !version.merges() && read.config.has_cri(version));
    last.or(others().next())
}

/// # Errors
/// When a section cannot stand at the end of the file.
fn check(path: &Path, text: &str, version: Version) -> Result<()> {
    let parsed = crate::config::Config::parse(path, text);
    if parsed.is_ok_and(|config| config.runtime(version) == Some(SHIM)) {
        return Ok(());
    }
    bail!(
        "{}: its runtimes are within braces, where no section can be added; write them as sections, \
         `[plugins.….containerd.runtimes.NAME]`",
        path.display()
    )
}

/// Whether the node's containerd passes options to shims that it does not
/// know; so it is where the program is not found. To a shim of samara's, to be
/// given options without any in them is an error.
fn passes_options(host: &Host) -> Result<bool> {
    for program in PROGRAMS {
        if let Some(bytes) = host.bytes(Path::new(program))? {
            return Ok(bytes.windows(FIELD.len()).any(|window| window == FIELD));
        }
    }
    Ok(true)
}

fn removed(read: &Read) -> Is {
    if has_folder(read) { Is::NothingNorFolder } else { Is::Nothing }
}

fn has_folder(read: &Read) -> bool {
    read.rest.lines().next().is_some_and(|line| line.contains(WITH_FOLDER))
}
