//! `samara login`: remembers the credentials of a registry where Docker does.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use samara_package::registry::{Credentials, credentials};
use serde_json::json;

use crate::args::LoginArgs;
use crate::error::{Outcome, Usage};
use crate::images::Images;
use crate::printer::Printer;
use crate::settings::Settings;

/// No registry's password is longer; identity tokens are long.
const LONGEST_PASSWORD: u64 = 64 << 10;

pub(crate) fn run(args: &LoginArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let host = &args.registry_host;
    let username = match &args.username {
        Some(username) => username.clone(),
        None if std::io::stdin().is_terminal() && !args.password_stdin => ask("Username: ")?,
        None => return Err(Usage("give the user's name with `--username`".to_owned()).into()),
    };
    let password = password(args)?;
    let credentials = Credentials::password(username, password);
    let client = Images::new(settings, &args.registry, printer).client()?;
    client.check_login(host, &credentials)?;
    credentials::save(None, host, &credentials)
        .with_context(|| format!("`{host}` accepts the credentials, but they cannot be kept"))?;
    if printer.is_json() {
        printer.json(&json!({ "registry": host }))?;
        return Ok(Outcome::Done);
    }
    printer.step("Logged in", format_args!("to {host}"));
    Ok(Outcome::Done)
}

fn password(args: &LoginArgs) -> Result<String> {
    if args.password_stdin {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(LONGEST_PASSWORD)
            .read_to_string(&mut text)
            .context("cannot read the password")?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("standard input holds no password");
        }
        return Ok(password.to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage("give the password on standard input with `--password-stdin`".to_owned()).into());
    }
    rpassword::prompt_password("Password: ").context("cannot read the password")
}

fn ask(question: &str) -> Result<String> {
    use std::io::Write;
    let mut err = std::io::stderr().lock();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim().to_owned())
}
