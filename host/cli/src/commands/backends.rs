//! `samara backends`: the engines of this build, and what each has here.

mod add;

use anyhow::Result;
use samara_nn::{Backend, Device, Probe};
use serde_json::{Value, json};

use crate::args::{BackendsArgs, BackendsCommand};
use crate::compose;
use crate::error::Outcome;
use crate::printer::{BOLD, DIM, GREEN, Printer, YELLOW};
use crate::settings::Settings;

pub(crate) fn run(args: &BackendsArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    match &args.command {
        Some(BackendsCommand::Add(args)) => add::run(args, settings, printer),
        None => list(settings, printer),
    }
}

fn list(settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let registry = compose::registry(settings);
    let probed: Vec<(&dyn Backend, Probe)> =
        registry.iter().map(|backend| (backend.as_ref(), backend.probe())).collect();
    if printer.is_json() {
        let backends: Vec<Value> = probed.iter().map(|(backend, probe)| as_json(*backend, probe)).collect();
        printer.json(&json!({ "backends": backends }))?;
        return Ok(Outcome::Done);
    }
    if probed.is_empty() {
        printer.note("this build has no backends; it runs components that use no models");
    }
    let text: String = probed.iter().map(|(backend, probe)| as_text(*backend, probe)).collect();
    printer.data(&text)?;
    Ok(Outcome::Done)
}

fn formats(backend: &dyn Backend) -> Vec<&'static str> {
    backend.formats().iter().map(|format| format.name()).collect()
}

fn as_json(backend: &dyn Backend, probe: &Probe) -> Value {
    let (name, formats) = (backend.name(), formats(backend));
    match probe {
        Probe::Available { version, devices, origin } => {
            let device = |device: &Device| json!({ "target": device.target.to_string(), "description": device.description });
            let devices: Vec<Value> = devices.iter().map(device).collect();
            json!({
                "name": name, "available": true, "version": version, "origin": origin,
                "formats": formats, "devices": devices,
            })
        }
        Probe::Unavailable { reason } => {
            json!({ "name": name, "available": false, "reason": reason, "formats": formats })
        }
    }
}

fn as_text(backend: &dyn Backend, probe: &Probe) -> String {
    let name = backend.name();
    let formats = formats(backend).join(", ");
    match probe {
        Probe::Available { version, devices, origin } => {
            let mut text = format!(
                "{BOLD}{name:<12}{BOLD:#} {GREEN}available{GREEN:#}    {version}  {DIM}{origin}; reads {formats}{DIM:#}\n"
            );
            for device in devices {
                text.push_str(&format!("{:12} {:<12} {}\n", "", device.target, device.description));
            }
            text
        }
        Probe::Unavailable { reason } => {
            format!("{BOLD}{name:<12}{BOLD:#} {YELLOW}unavailable{YELLOW:#}  {reason}\n")
        }
    }
}
