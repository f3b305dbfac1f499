//! Keys: ECDSA on the curve P-256, in the files that cosign and openssl
//! write.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use p256::SecretKey;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::der::pem;
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};

use super::error::{Error, io};
use super::{Result, envelope};
use crate::digest::Digest;
use crate::text::tame;

/// How the PEM block of an encrypted key is called by cosign 2, and before.
const ENCRYPTED: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const ENCRYPTED_BEFORE: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// `openssl ecparam -genkey` writes it before the key.
const PARAMETERS: &str = "EC PARAMETERS";
/// Bytes; real key files have less than 1 KiB.
const LARGEST_FILE: u64 = 64 << 10;

/// What signs. Its memory is wiped when it is dropped, and it prints as the
/// name of its public key.
pub struct PrivateKey(SecretKey);

/// What tells whether a private key signed.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A password, wiped when it is dropped and never printed.
pub struct Password(Zeroizing<Vec<u8>>);

/// Why a text is no private key, before its file is known.
enum Unread {
    Bad(String),
    WrongPassword,
    Password(std::io::Error),
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn generate() -> Result<Self> {
        SecretKey::try_generate().map(Self).map_err(|error| Error::Random { reason: error.to_string() })
    }

    /// Reads a key: cosign's encrypted form, for which `password` is asked,
    /// or plain PKCS#8 or SEC1 as openssl writes them.
    ///
    /// # Errors
    /// When the file cannot be read, holds no such key, or the password does
    /// not fit.
    pub fn from_file(path: &Path, password: impl FnOnce() -> std::io::Result<Password>) -> Result<Self> {
        let bytes = read(path)?;
        let what = format!("`{}`", path.display());
        Self::parse(&bytes, password).map_err(|unread| match unread {
            Unread::Bad(reason) => Error::BadKey { what, reason },
            Unread::WrongPassword => Error::WrongPassword { what },
            Unread::Password(source) => Error::Password { what, source },
        })
    }

    /// The key in cosign's encrypted form, a PEM text.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn to_cosign_pem(&self, password: &Password) -> Result<String> {
        let unwritten = |reason: String| Error::BadKey { what: "the private key".to_owned(), reason };
        let document = self.0.to_pkcs8_der().map_err(|error| unwritten(error.to_string()))?;
        let sealed =
            envelope::seal(document.as_bytes(), password).map_err(|reason| Error::Random { reason })?;
        pem::encode_string(ENCRYPTED, LineEnding::LF, &sealed).map_err(|error| unwritten(error.to_string()))
    }

    /// Writes a pair of key files: the private one encrypted and for its owner
    /// alone, the public one for everybody.
    ///
    /// # Errors
    /// When one of them is there already, or cannot be written. Then neither
    /// is left behind.
    pub fn save(&self, private: &Path, public: &Path, password: &Password) -> Result<()> {
        let (secret, open) = (self.to_cosign_pem(password)?, self.public().to_pem());
        write_new(private, secret.as_bytes(), 0o600)?;
        write_new(public, open.as_bytes(), 0o644).inspect_err(|_| {
            // Only this call can have made it.
            let _ = std::fs::remove_file(private);
        })
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(VerifyingKey::from(self.0.public_key()))
    }

    /// ECDSA over SHA-256 of `message`; the same for the same message (RFC
    /// 6979).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature> {
        SigningKey::from(&self.0)
            .try_sign(message)
            .map_err(|error| Error::BadKey { what: "the private key".to_owned(), reason: error.to_string() })
    }

    fn parse(
        bytes: &[u8],
        password: impl FnOnce() -> std::io::Result<Password>,
    ) -> std::result::Result<Self, Unread> {
        let (label, block) = block(bytes).map_err(Unread::Bad)?;
        let der = || {
            let decoded = pem::decode_vec(block.as_bytes());
            decoded.map(|(_, der)| Zeroizing::new(der)).map_err(|error| Unread::Bad(error.to_string()))
        };
        let key = match label {
            PKCS8 => SecretKey::from_pkcs8_der(&der()?).map_err(not_p256),
            SEC1 => SecretKey::from_sec1_der(&der()?).map_err(not_p256),
            ENCRYPTED | ENCRYPTED_BEFORE => {
                let sealed = der()?;
                let password = password().map_err(Unread::Password)?;
                let opened = envelope::open(&sealed, &password).map_err(|unopened| match unopened {
                    envelope::Unopened::Bad(reason) => Unread::Bad(reason),
                    envelope::Unopened::WrongPassword => Unread::WrongPassword,
                })?;
                SecretKey::from_pkcs8_der(&opened).map_err(not_p256)
            }
            PUBLIC => Err(Unread::Bad("it is a public key; to sign takes the private one".to_owned())),
            "ENCRYPTED PRIVATE KEY" => Err(Unread::Bad(
                "openssl's encrypted form is not read; `openssl pkey` decrypts it".to_owned(),
            )),
            other => Err(Unread::Bad(format!("it is of the kind `{}`", tame(other)))),
        };
        key.map(Self)
    }
}

impl PublicKey {
    /// Reads a PEM text as cosign and openssl write it (`PUBLIC KEY`).
    ///
    /// # Errors
    /// When it is none, or one of another kind than ECDSA P-256.
    pub fn from_pem(text: &str) -> Result<Self> {
        Self::parse(text.as_bytes())
            .map_err(|reason| Error::BadKey { what: "the public key".to_owned(), reason })
    }

    /// Reads a PEM file, e.g. `cosign.pub`.
    ///
    /// # Errors
    /// When it cannot be read or as [`from_pem`](Self::from_pem).
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        Self::parse(&bytes).map_err(|reason| Error::BadKey { what: format!("`{}`", path.display()), reason })
    }

    /// The PEM text that cosign and openssl read.
    pub fn to_pem(&self) -> String {
        #[expect(clippy::expect_used, reason = "a point of the curve always has its DER")]
        self.0.to_public_key_pem(LineEnding::LF).expect("a public key is DER")
    }

    /// The key's name: the SHA-256 of its DER, as `openssl pkey -pubin
    /// -outform der | sha256sum` gives it too.
    pub fn id(&self) -> Digest {
        #[expect(clippy::expect_used, reason = "a point of the curve always has its DER")]
        Digest::of(self.0.to_public_key_der().expect("a public key is DER").as_bytes())
    }

    /// Whether the private key of this one signed the SHA-256 of
    /// `message`.
    pub(super) fn signed(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify(message, signature).is_ok()
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (label, block) = block(bytes)?;
        match label {
            PUBLIC => VerifyingKey::from_public_key_pem(block)
                .map(Self)
                .map_err(|_| "it is not of the kind ECDSA P-256".to_owned()),
            ENCRYPTED | ENCRYPTED_BEFORE | PKCS8 | SEC1 => {
                Err("it is a private key; to verify takes the public one".to_owned())
            }
            other => Err(format!("it is of the kind `{}`", tame(other))),
        }
    }
}

impl Password {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text.into_bytes()))
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public().id())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// The first PEM block that is a key, with its label.
fn block(bytes: &[u8]) -> std::result::Result<(&str, &str), String> {
    const NONE: &str = "it is no PEM text (`-----BEGIN …-----`)";
    let text = std::str::from_utf8(bytes).map_err(|_| NONE.to_owned())?;
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let begun = &rest[start..];
        let label = begun["-----BEGIN ".len()..].split("-----").next().unwrap_or_default();
        let end = format!("-----END {label}-----");
        let length = begun.find(&end).ok_or_else(|| format!("its `{}` has no end", tame(label)))? + end.len();
        if label != PARAMETERS {
            return Ok((label, &begun[..length]));
        }
        rest = &begun[length..];
    }
    Err(NONE.to_owned())
}

fn not_p256<E>(_: E) -> Unread {
    Unread::Bad("it is not of the kind ECDSA P-256, or it is damaged".to_owned())
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |source| io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    // Its final size at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST_FILE as usize + 1));
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let reason = "it has more than 64 KiB".to_owned();
        return Err(Error::BadKey { what: format!("`{}`", path.display()), reason });
    }
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |source| io("write", path, source);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|source| {
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}
