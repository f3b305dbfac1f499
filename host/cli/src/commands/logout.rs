//! `samara logout`: forgets the credentials of a registry.

use anyhow::Result;
use samara_package::registry::credentials;
use serde_json::json;

use crate::args::LogoutArgs;
use crate::error::Outcome;
use crate::printer::Printer;

pub(crate) fn run(args: &LogoutArgs, printer: &Printer) -> Result<Outcome> {
    let known = credentials::erase(None, &args.registry_host)?;
    if printer.is_json() {
        printer.json(&json!({ "registry": args.registry_host, "known": known }))?;
    } else if known {
        printer.step("Logged out", format_args!("of {}", args.registry_host));
    } else {
        printer.note(format_args!("no credentials for {} were known", args.registry_host));
    }
    Ok(Outcome::Done)
}
