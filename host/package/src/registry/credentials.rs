//! Logins, as Docker keeps them: `config.json`, or the helper programs that it
//! names (<https://docs.docker.com/reference/cli/docker/login/>).

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Map, Value, json};

use super::error::{Asked as _, Error, ErrorKind, Failure};
use crate::text::tame;

/// What Docker calls its own registry in its configuration.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The user that a helper stores an identity token under.
const TOKEN_USER: &str = "<token>";
const LONGEST_CONFIG: u64 = 4 << 20;

type Result<T, E = Error> = std::result::Result<T, E>;

/// What a registry knows somebody by. Its `Debug` text does not tell it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// A token that the registry's token server gave for longer use.
    IdentityToken(String),
}

impl Credentials {
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { user: user.into(), password: password.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password of `{user}`"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// Where Docker's configuration is: `$DOCKER_CONFIG/config.json`, or
/// `.docker/config.json` in the user's folder.
pub fn default_config() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".docker"),
    };
    Some(folder.join("config.json"))
}

/// The login of `registry`, or `None` where there is none. `config` is the
/// file, or [`default_config`].
///
/// # Errors
/// When the file cannot be read, or the helper that it names fails.
pub fn load(config: Option<&Path>, registry: &str) -> Result<Option<Credentials>> {
    let Some(path) = config.map(Path::to_owned).or_else(default_config) else { return Ok(None) };
    find(&path, registry).asked(|| format!("cannot read the login of `{registry}`"))
}

/// Keeps a login of `registry`: with the helper that Docker's configuration
/// names for it, or else in the file itself, whose other content stays as it is.
///
/// # Errors
/// When the file cannot be read or written, or the helper fails.
pub fn save(config: Option<&Path>, registry: &str, credentials: &Credentials) -> Result<()> {
    let stored = configured(config).and_then(|path| {
        let mut document = read(&path)?.unwrap_or_default();
        let key = key(registry);
        match helper(&document, registry, key)? {
            Some(helper) => store_with(&helper, key, credentials),
            None => {
                let entries = document.entry("auths").or_insert_with(|| json!({}));
                let entries =
                    entries.as_object_mut().ok_or_else(|| damaged(&path, "`auths` is no object"))?;
                entries.insert(key.to_owned(), entry(credentials));
                write(&path, &document)
            }
        }
    });
    stored.asked(|| format!("cannot save the login of `{registry}`"))
}

/// Forgets the login of `registry`, and says whether there was one.
///
/// # Errors
/// When the file cannot be read or written, or the helper fails.
pub fn erase(config: Option<&Path>, registry: &str) -> Result<bool> {
    let erased = configured(config).and_then(|path| {
        let Some(mut document) = read(&path)? else { return Ok(false) };
        let key = key(registry);
        let mut found = false;
        if let Some(helper) = helper(&document, registry, key)? {
            found = find(&path, registry)?.is_some();
            if found {
                run(&helper, "erase", key.as_bytes(), None)?;
            }
        }
        let removed = document.get_mut("auths").and_then(Value::as_object_mut).map(|entries| {
            let before = entries.len();
            entries.retain(|name, _| name != key && host_of(name) != registry);
            entries.len() < before
        });
        if removed == Some(true) {
            write(&path, &document)?;
        }
        Ok(found || removed == Some(true))
    });
    erased.asked(|| format!("cannot remove the login of `{registry}`"))
}

pub(super) fn find(path: &Path, registry: &str) -> Result<Option<Credentials>, Failure> {
    let Some(document) = read(path)? else { return Ok(None) };
    let text = Value::Object(document).to_string();
    let failed = |reason: String| Failure::new(ErrorKind::Credentials, reason);
    match docker_credential::get_credential_from_reader(text.as_bytes(), key(registry)) {
        Ok(DockerCredential::UsernamePassword(user, password)) if user == TOKEN_USER => {
            Ok(Some(Credentials::IdentityToken(password)))
        }
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credentials::Password { user, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::IdentityToken(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(None)
        }
        // What a helper prints may be what it keeps.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => Err(failed(format!(
            "`{} get` fails",
            tame(&helper)
        ))
        .hint(format!("`echo {} | {} get` shows why", key(registry), tame(&helper)))),
        Err(CredentialRetrievalError::ConfigReadError) => {
            Err(damaged(path, "it is not what Docker writes there"))
        }
        Err(error) => Err(failed(format!("{error}, as `{}` has it", path.display()))
            .hint(format!("samara login {registry}"))),
    }
}

fn configured(config: Option<&Path>) -> Result<PathBuf, Failure> {
    config.map(Path::to_owned).or_else(default_config).ok_or_else(|| {
        Failure::new(ErrorKind::Credentials, "there is no home folder for Docker's configuration")
            .hint("set DOCKER_CONFIG to a folder")
    })
}

fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        registry => registry,
    }
}

/// The host in a key, which older versions wrote as an address.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or_default()
}

fn entry(credentials: &Credentials) -> Value {
    let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    match credentials {
        Credentials::Password { user, password } => json!({ "auth": encode(format!("{user}:{password}")) }),
        Credentials::IdentityToken(token) => json!({ "identitytoken": token }),
    }
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST_CONFIG).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim().is_empty() => Ok(Some(Map::new())),
        // A parser's message would show a piece of the file.
        Ok(_) => match serde_json::from_str(&text) {
            Ok(Value::Object(document)) => Ok(Some(document)),
            _ => Err(damaged(path, "it is no JSON object")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Failure::new(ErrorKind::Credentials, format!("cannot read `{}`: {error}", path.display())))
        }
    }
}

fn damaged(path: &Path, reason: &str) -> Failure {
    Failure::new(ErrorKind::Credentials, format!("`{}` is damaged: {reason}", path.display()))
        .hint("repair or remove the file")
}

/// Writes the file whole or not at all, for its user only.
fn write(path: &Path, document: &Map<String, Value>) -> Result<(), Failure> {
    // A link stays one: what it points at is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |error: std::io::Error| {
        Failure::new(ErrorKind::Credentials, format!("cannot write `{}`: {error}", path.display()))
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let text = format!("{:#}\n", Value::Object(document.clone()));
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The program that keeps the login of a registry, where one is named.
fn helper(document: &Map<String, Value>, registry: &str, key: &str) -> Result<Option<String>, Failure> {
    let helpers = document.get("credHelpers").and_then(Value::as_object);
    let named = helpers.and_then(|helpers| helpers.get(registry).or_else(|| helpers.get(key)));
    let Some(name) = named.or_else(|| document.get("credsStore")) else { return Ok(None) };
    let name = name.as_str().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name {
        "" => Ok(None),
        name if name.bytes().all(is_plain) => Ok(Some(format!("docker-credential-{name}"))),
        name => Err(Failure::new(
            ErrorKind::Credentials,
            format!("`{}` in Docker's configuration is no name of a credential helper", tame(name)),
        )),
    }
}

fn store_with(helper: &str, key: &str, credentials: &Credentials) -> Result<(), Failure> {
    let (user, secret) = match credentials {
        Credentials::Password { user, password } => (user.as_str(), password),
        Credentials::IdentityToken(token) => (TOKEN_USER, token),
    };
    let document = json!({ "ServerURL": key, "Username": user, "Secret": secret });
    run(helper, "store", document.to_string().as_bytes(), Some(secret))
}

fn run(helper: &str, action: &str, input: &[u8], secret: Option<&str>) -> Result<(), Failure> {
    let failed = |reason: String| {
        Failure::new(ErrorKind::Credentials, format!("`{helper} {action}` fails: {reason}"))
            .hint("Docker's configuration names this program; is it installed and set up?")
    };
    let mut process = Command::new(helper)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    // A helper that does not read its input says why when it ends.
    if let Some(mut stdin) = process.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let output = process.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let tells = secret.is_some_and(|secret| !secret.is_empty() && said.contains(secret));
    Err(failed(if tells || said.trim().is_empty() { output.status.to_string() } else { tame(&said) }))
}
