//! `samara sign`: signs an image of the store, or makes a key to do so.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result};
use samara_package::Reference;
use samara_package::sign::{self, Password, PrivateKey};
use serde_json::json;

use crate::args::SignArgs;
use crate::error::{Outcome, Usage};
use crate::images;
use crate::printer::Printer;
use crate::settings::Settings;

/// The variables that may hold a key's password: ours, and cosign's.
const PASSWORD_VARIABLES: [&str; 2] = ["SAMARA_KEY_PASSWORD", "COSIGN_PASSWORD"];

pub(crate) fn run(args: &SignArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    match (&args.new_key, &args.image, &args.key) {
        (Some(name), _, _) => new_key(name, printer),
        (None, Some(image), Some(key)) => sign_image(image, key, settings, printer),
        _ => Err(Usage("name an image and a key: `samara sign IMAGE --key FILE`".to_owned()).into()),
    }
}

fn sign_image(image: &Reference, key: &Path, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let store = images::store_of(settings)?;
    let digest = store.resolve(image)?;
    let key = PrivateKey::from_file(key, || password("Password of the key: "))
        .with_context(|| format!("cannot sign with `{}`", key.display()))?;
    let session = store.session()?;
    let signed = sign::sign(&session, image, &digest, &key)?;
    if printer.is_json() {
        printer.json(&json!({
            "image": image.to_string(),
            "digest": digest,
            "key": key.public().id(),
            "signature": signed.manifest,
        }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Signed", format_args!("{image} with the key {}", key.public().id()));
    printer.hint(format_args!("`samara push {image}` sends the signature too"));
    printer.data(&format!("{digest}\n"))?;
    Ok(Outcome::Done)
}

fn new_key(name: &Path, printer: &Printer) -> Result<Outcome> {
    let (private, public) = (with_extension(name, "key"), with_extension(name, "pub"));
    let password = password("Password for the new key: ").context("the key needs a password")?;
    let key = PrivateKey::generate()?;
    key.save(&private, &public, &password)?;
    if printer.is_json() {
        let id = key.public().id();
        printer.json(&json!({ "private_key": private, "public_key": public, "key": id }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Made", format_args!("{} and {}", private.display(), public.display()));
    Ok(Outcome::Done)
}

/// `name` with `.extension` behind it, whatever dots it has.
fn with_extension(name: &Path, extension: &str) -> std::path::PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The password of a key, from the environment or the terminal.
fn password(question: &str) -> std::io::Result<Password> {
    if let Some(password) = PASSWORD_VARIABLES.iter().find_map(|name| std::env::var(name).ok()) {
        return Ok(password.into());
    }
    if !std::io::stdin().is_terminal() {
        let advice = format!("set `{}`, or run this on a terminal", PASSWORD_VARIABLES[0]);
        return Err(std::io::Error::other(advice));
    }
    Ok(rpassword::prompt_password(question)?.into())
}
