//! `samara verify`: who signed an image, by keys or by the policy.

use anyhow::{Context, Result, bail};
use samara_package::sign::{self, PolicyDecision, PublicKey};
use samara_package::store;
use serde_json::json;

use crate::args::VerifyArgs;
use crate::error::Outcome;
use crate::images::Images;
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(args: &VerifyArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let images = Images::new(settings, &args.registry, printer);
    let store = images.store()?;
    // Held so that what is fetched only to be looked at is not collected.
    let session = store.session()?;
    let digest = match store.resolve(&args.image) {
        Ok(digest) => digest,
        Err(error) if error.kind() == store::ErrorKind::NotFound && args.image.registry().is_some() => {
            *images.client()?.begin_pull(&session, &args.image)?.digest()
        }
        Err(error) => return Err(error.into()),
    };
    let (how, keys) = match args.keys.as_slice() {
        [] => match images.policy()?.check(&store, &args.image, &digest)? {
            PolicyDecision::NoPolicy => bail!(
                "no key is given, and there is no policy that names one\nhint: `samara verify {} --key FILE`",
                args.image
            ),
            decision => (decision.to_string(), Vec::new()),
        },
        files => {
            let read = |path: &std::path::PathBuf| {
                PublicKey::from_file(path).with_context(|| format!("cannot use `{}`", path.display()))
            };
            let keys = files.iter().map(read).collect::<Result<Vec<PublicKey>>>()?;
            let verified = sign::verify(&store, &digest, &keys)?;
            let ids: Vec<String> = verified.keys.iter().map(ToString::to_string).collect();
            (format!("signed by {}", ids.join(", ")), ids)
        }
    };
    if printer.is_json() {
        printer.json(&json!({
            "image": args.image.to_string(), "digest": digest, "keys": keys, "reason": how,
        }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Verified", format_args!("{}: {how}", args.image));
    printer.data(&format!("{digest}\n"))?;
    Ok(Outcome::Done)
}
