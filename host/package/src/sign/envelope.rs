//! The encrypted form of private keys that cosign writes: JSON with the
//! parameters of [scrypt] and the ciphertext of NaCl's secretbox, as
//! [The Update Framework] began it.
//!
//! [scrypt]: https://www.rfc-editor.org/rfc/rfc7914
//! [The Update Framework]: https://pkg.go.dev/github.com/secure-systems-lab/go-securesystemslib/encrypted

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::generic_array::GenericArray;
use crypto_secretbox::{AeadInPlace, KeyInit, XSalsa20Poly1305};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use super::key::Password;

/// The parameters that every reader of this form takes; some refuse others.
const WRITTEN: Params = Params { n: 1 << 15, r: 8, p: 1 };
/// Bytes that deriving the key may use: twice what the heaviest of the
/// parameters in use needs.
const MOST_MEMORY: u64 = 256 << 20;
/// Blocks of 128 bytes that deriving the key may mix.
const MOST_WORK: u64 = 1 << 22;
const LONGEST_SALT: usize = 1 << 10;
const NONCE_LENGTH: usize = 24;
const KEY_LENGTH: usize = 32;

/// Why an envelope cannot be opened.
pub(super) enum Unopened {
    Bad(String),
    WrongPassword,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Encrypts `secret`.
///
/// # Errors
/// When the machine gives no random numbers.
pub(super) fn seal(secret: &[u8], password: &Password) -> Result<Vec<u8>, String> {
    let salt = <[u8; 32]>::try_generate().map_err(|error| error.to_string())?;
    let nonce = <[u8; NONCE_LENGTH]>::try_generate().map_err(|error| error.to_string())?;
    let key = derive(password, &salt, WRITTEN)?;
    // Encrypted where it lies: no copy of the secret is left behind.
    let mut buffer = Vec::with_capacity(secret.len() + 16);
    buffer.extend_from_slice(secret);
    cipher(&key)
        .encrypt_in_place(GenericArray::from_slice(&nonce), b"", &mut buffer)
        .map_err(|_| "the key is too long to be encrypted".to_owned())?;
    Ok(crate::spec::to_bytes(&Envelope {
        kdf: Kdf { name: "scrypt".to_owned(), params: WRITTEN, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(buffer),
    }))
}

/// Decrypts what [`seal`], cosign or one like it encrypted.
pub(super) fn open(envelope: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| Unopened::Bad(error.to_string()))?;
    let Envelope { kdf, cipher: box_, ciphertext } = envelope;
    if kdf.name != "scrypt" || box_.name != "nacl/secretbox" {
        let reason = "it is encrypted otherwise than with `scrypt` and `nacl/secretbox`";
        return Err(Unopened::Bad(reason.to_owned()));
    }
    let salt = decode("salt", &kdf.salt)?;
    if salt.len() > LONGEST_SALT {
        return Err(Unopened::Bad("its salt is longer than 1 KiB".to_owned()));
    }
    let nonce: [u8; NONCE_LENGTH] = decode("nonce", &box_.nonce)?
        .try_into()
        .map_err(|_| Unopened::Bad("its nonce is not 24 bytes long".to_owned()))?;
    let mut buffer = Zeroizing::new(decode("ciphertext", &ciphertext)?);
    let key = derive(password, &salt, kdf.params).map_err(Unopened::Bad)?;
    cipher(&key)
        .decrypt_in_place(GenericArray::from_slice(&nonce), b"", &mut *buffer)
        .map_err(|_| Unopened::WrongPassword)?;
    Ok(buffer)
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, Unopened> {
    STANDARD.decode(text).map_err(|error| Unopened::Bad(format!("its {what} is not base64: {error}")))
}

fn cipher(key: &[u8; KEY_LENGTH]) -> XSalsa20Poly1305 {
    XSalsa20Poly1305::new(GenericArray::from_slice(key))
}

fn derive(password: &Password, salt: &[u8], params: Params) -> Result<Zeroizing<[u8; KEY_LENGTH]>, String> {
    let params = params.checked()?;
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    scrypt::scrypt(password.bytes(), salt, &params, &mut *key).map_err(|error| error.to_string())?;
    Ok(key)
}

impl Params {
    /// Refuses what would cost more memory or time than any real key does.
    fn checked(self) -> Result<scrypt::Params, String> {
        let Self { n, r, p } = self;
        let refused = || format!("its scrypt parameters N={n}, r={r}, p={p} are out of the usual");
        let blocks = n.checked_mul(u64::from(r)).ok_or_else(refused)?;
        let memory = blocks.checked_mul(128).ok_or_else(refused)?;
        let work = blocks.checked_mul(u64::from(p)).ok_or_else(refused)?;
        if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 || memory > MOST_MEMORY || work > MOST_WORK {
            return Err(refused());
        }
        // At most 21, as the memory is bounded.
        let log_n = u8::try_from(n.ilog2()).map_err(|_| refused())?;
        scrypt::Params::new(log_n, r, p).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> String {
        String::from_utf8(seal(b"secret", &"password".into()).ok().unwrap()).unwrap()
    }

    fn reason(text: &str) -> String {
        match open(text.as_bytes(), &"password".into()) {
            Ok(_) => "opened".to_owned(),
            Err(Unopened::WrongPassword) => "wrong password".to_owned(),
            Err(Unopened::Bad(reason)) => reason,
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_password_alone() {
        let sealed = sealed();
        let opened = open(sealed.as_bytes(), &"password".into()).ok().unwrap();
        assert_eq!(opened.as_slice(), b"secret");
        assert!(matches!(open(sealed.as_bytes(), &"".into()), Err(Unopened::WrongPassword)));
        assert_ne!(sealed, self::sealed(), "salt and nonce are fresh");
    }

    #[test]
    fn hostile_parameters_cost_nothing() {
        let sealed = sealed();
        let params = r#"{"N":32768,"r":8,"p":1}"#;
        assert!(sealed.contains(params), "{sealed}");
        for hostile in [
            r#"{"N":18446744073709551615,"r":8,"p":1}"#,
            r#"{"N":9223372036854775808,"r":4294967295,"p":4294967295}"#,
            r#"{"N":32768,"r":8,"p":4294967295}"#,
            r#"{"N":2,"r":4294967295,"p":1}"#,
            r#"{"N":4194304,"r":8,"p":1}"#,
            r#"{"N":32767,"r":8,"p":1}"#,
            r#"{"N":1,"r":8,"p":1}"#,
            r#"{"N":0,"r":8,"p":1}"#,
            r#"{"N":32768,"r":0,"p":1}"#,
            r#"{"N":32768,"r":8,"p":0}"#,
        ] {
            let reason = reason(&sealed.replace(params, hostile));
            assert!(reason.contains("out of the usual"), "{hostile}: {reason}");
        }
        assert!(reason(&sealed.replace(params, r#"{"N":-1,"r":8,"p":1}"#)).contains("invalid value"));
    }

    #[test]
    fn other_damage_is_told() {
        let sealed = sealed();
        assert!(reason("{}").contains("missing field"));
        assert!(reason(&sealed.replace("scrypt", "argon2")).contains("encrypted otherwise"));
        assert!(reason(&sealed.replace("\"salt\":\"", "\"salt\":\"!")).contains("salt is not base64"));
        assert!(reason(&sealed.replace("\"nonce\":\"", "\"nonce\":\"AAAA")).contains("24 bytes"));
        let long = format!("\"salt\":\"{}", "A".repeat(2000));
        assert!(reason(&sealed.replace("\"salt\":\"", &long)).contains("1 KiB"));
        assert_eq!(reason(&sealed.replace("\"ciphertext\":\"", "\"ciphertext\":\"AAAA")), "wrong password");
        assert_eq!(
            reason(
                r#"{"kdf":{"name":"scrypt","params":{"N":2,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":""}"#
            ),
            "wrong password"
        );
    }
}
