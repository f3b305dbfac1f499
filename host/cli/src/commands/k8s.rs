//! `samara k8s`: prints what runs an image on Kubernetes.

mod sweep;
mod text;

use anyhow::{Result, bail};
use samara_package::Reference;
use samara_package::image::ModelFile;
use serde_json::json;

use self::sweep::{Files, Pod};
use self::text::{Served, Workload};
use crate::args::K8sArgs;
use crate::error::{Outcome, Usage};
use crate::images::Images;
use crate::interface;
use crate::packed::Packed;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::what::packed_model;

/// What a component exports that is run to its end.
const COMMAND: &str = "wasi:cli/run@";

/// The longest name that Kubernetes takes for a service.
const LONGEST_NAME: usize = 63;

/// Memory that a container takes beside its models and instances, in MiB.
const HOST_MEMORY: u64 = 48;

pub(crate) fn run(args: &K8sArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let reference = &args.image;
    if reference.registry().is_none() {
        let usage = format!(
            "`{reference}` names no registry, from which a cluster could have it\nhint: push it first, e.g. `samara push {reference} registry.example.com/{reference}`"
        );
        return Err(Usage(usage).into());
    }
    let packed = Images::new(settings, &args.registry, printer).open_or_pull(reference)?;
    let name = name(args, &packed)?;
    let (image, workload) = (image(reference, &packed)?, workload(&packed));
    let text = match &args.sweep {
        Some(file) => Files::read(file)?.manifest(&Pod {
            name: &name,
            image: &image,
            component: workload.component(),
            memory: memory(&packed),
            parallelism: args.parallelism,
        }),
        None => text::manifest(&name, &image, args.replicas, &workload),
    };
    if printer.is_json() {
        printer.json(&json!({ "name": name, "manifest": text }))?;
    } else {
        printer.data(&text)?;
    }
    Ok(Outcome::Done)
}

/// The image by its digest: what was looked at is what runs.
fn image(reference: &Reference, packed: &Packed) -> Result<String> {
    let Some(image) = packed.image() else { bail!("`{reference}` is no image") };
    Ok(reference.with_digest(image.digest()).to_string())
}

fn workload(packed: &Packed) -> Workload {
    let manifest = packed.manifest.as_ref();
    let alone = packed.components.len() == 1 && manifest.is_none_or(|manifest| manifest.stages.is_empty());
    let mut components = packed.components.iter();
    if let (true, Some((path, bytes))) = (alone, components.next()) {
        let exports = interface::of(bytes).exports;
        if exports.iter().any(|export| export.starts_with(COMMAND)) {
            return Workload::Command { component: format!("/{}", path.display()), memory: memory(packed) };
        }
    }
    let gpu = manifest.is_some_and(|manifest| {
        // `gpu-or-cpu` makes do without one.
        manifest.models.values().any(|model| model.target == "gpu" || model.target.starts_with("gpu:"))
    });
    let asked = manifest.map(|manifest| manifest.capabilities.clone()).unwrap_or_default();
    Workload::Served(Served { memory: memory(packed), gpu, asked })
}

/// What its models take, and one instance of the size that it asks for at most,
/// in MiB, in steps of 64.
fn memory(packed: &Packed) -> u64 {
    let size = |model: &ModelFile| {
        // What cannot be used is told where the function is loaded.
        let data = packed_model(model).map_or(0, |file| file.beside_bytes);
        model.bytes.len() as u64 + data
    };
    let models: u64 = packed.models.values().map(size).sum();
    // Engines keep a copy beside the file's pages while they load.
    (HOST_MEMORY + 2 * models.div_ceil(1 << 20)).next_multiple_of(64)
}

/// The name of the objects: the function's, as far as Kubernetes takes it.
fn name(args: &K8sArgs, packed: &Packed) -> Result<String> {
    let name = args.name.clone().unwrap_or_else(|| as_label(&packed.name));
    if !is_label(&name) {
        let usage = format!(
            "Kubernetes takes no `{name}` for a name: it wants lower-case letters, digits and `-`, a letter first, at most {LONGEST_NAME}\nhint: give one with `--name`"
        );
        return Err(Usage(usage).into());
    }
    Ok(name)
}

fn as_label(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}

/// A label of RFC 1035, which names of services are.
fn is_label(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.ends_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        assert_eq!(as_label("Read_Digits.v2-"), "read-digits-v2");
        assert!(is_label("a") && is_label("read-digits-v2"));
        for wrong in ["", "2digits", "-a", "a-", "A", "a_b", &"a".repeat(64)] {
            assert!(!is_label(wrong), "{wrong}");
        }
    }
}
