//! Values with a syntax of their own: sizes, durations, names and paths.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{IMAGE_SCHEME, ModelPath};
use crate::reference::InvalidReference;

/// The longest name of anything, in characters.
const LONGEST_NAME: usize = 63;
/// The longest name of a part of an image, in bytes.
const LONGEST_PART: usize = 1024;

/// Parses a size such as `64MiB`, `1.5GiB`, `500kB` or `4096B`.
///
/// # Errors
/// A sentence that says how sizes are written.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let size = UNITS.iter().find_map(|(unit, bytes)| {
        let number = positive_number(text.strip_suffix(unit)?)?;
        let bytes = number * *bytes as f64;
        (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
    });
    size.ok_or_else(|| {
        "a size is a number above 0 with a unit, such as \"64MiB\", \"1.5GiB\" or \"500kB\"".to_owned()
    })
}

/// Parses a duration such as `500us`, `20ms`, `2s`, `1.5min` or `1h`.
///
/// # Errors
/// A sentence that says how durations are written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] =
        [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("min", 60.0), ("s", 1.0), ("h", 3600.0)];
    let duration = UNITS.iter().find_map(|(unit, seconds)| {
        let number = positive_number(text.strip_suffix(unit)?)?;
        Duration::try_from_secs_f64(number * seconds).ok().filter(|duration| !duration.is_zero())
    });
    duration.ok_or_else(|| {
        "a duration is a number above 0 with a unit, such as \"500us\", \"20ms\", \"2s\" or \"1min\""
            .to_owned()
    })
}

/// Checks the name of a function: one that can stand in image references, URLs
/// and labels.
///
/// # Errors
/// A sentence that says how names are written.
pub fn parse_function_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let edges = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.chars().all(fits)
        && text.starts_with(edges)
        && text.ends_with(edges);
    if good {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a function's name has lowercase letters, digits, `-` and `_`, begins and ends with a letter or \
         digit, and is at most {LONGEST_NAME} long"
    ))
}

/// A name inside a manifest: of a model, a stage or a backend.
pub(super) fn item_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("a name has letters, digits, `-`, `_` and `.`, and is 1 to {LONGEST_NAME} long"))
}

/// What a test is called: any words.
pub(super) fn test_name(text: &str) -> Result<String, String> {
    if !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("a test's name is some words on one line, at most {LONGEST_NAME} characters long"))
}

pub(super) fn version(text: &str) -> Result<String, String> {
    match semver::Version::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("a version is written like \"1.2.3\" ({error})")),
    }
}

/// A file inside the function's folder.
pub(crate) fn path_inside(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if text.is_empty() || !stays || text.contains('\\') {
        return Err("a file of the function is named relative to its folder, with `/`, and inside it: \
                    no absolute path, no `..`"
            .to_owned());
    }
    Ok(path.components().filter(|part| matches!(part, Component::Normal(_))).collect())
}

/// A file inside the function's folder, or a model in an image.
pub(super) fn model_path(text: &str) -> Result<ModelPath, String> {
    let Some(name) = text.strip_prefix(IMAGE_SCHEME) else {
        if text.contains("://") {
            return Err(format!(
                "a model is a file of the function's folder, or `{IMAGE_SCHEME}` and an image's reference"
            ));
        }
        return path_inside(text).map(ModelPath::File);
    };
    let (reference, part) = match name.split_once('#') {
        Some((reference, part)) => (reference, Some(part)),
        None => (name, None),
    };
    if part
        .is_some_and(|part| part.is_empty() || part.len() > LONGEST_PART || part.contains(char::is_control))
    {
        return Err("behind `#` stands the name of a model in the image".to_owned());
    }
    let reference = reference.parse().map_err(|error: InvalidReference| error.to_string())?;
    Ok(ModelPath::Image { reference, part: part.map(str::to_owned) })
}

pub(super) fn target(text: &str) -> Result<String, String> {
    let numbered = text.strip_prefix("gpu:").is_some_and(|index| index.parse::<u32>().is_ok());
    if numbered || matches!(text, "cpu" | "gpu" | "gpu-or-cpu") {
        return Ok(text.to_owned());
    }
    Err("a target is `cpu`, `gpu`, `gpu:N` or `gpu-or-cpu`".to_owned())
}

pub(super) fn precision(text: &str) -> Result<String, String> {
    match text {
        "exact" | "fp16" => Ok(text.to_owned()),
        _ => Err("a precision is `exact`, the model's own datatypes, or `fp16`".to_owned()),
    }
}

pub(super) fn http_host(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("name a host alone, such as \"api.example.com\" or \"localhost:8080\", without scheme or path"
        .to_owned())
}

pub(crate) fn guest_path(text: &str) -> Result<String, String> {
    let stays = Path::new(text).components().all(|part| !matches!(part, Component::ParentDir));
    if text.starts_with('/') && stays {
        return Ok(text.to_owned());
    }
    Err("the guest's path is absolute, such as \"/data\", and has no `..`".to_owned())
}

pub(super) fn variable_name(text: &str) -> Result<String, String> {
    if !text.is_empty() && !text.contains(['=', '\0']) {
        return Ok(text.to_owned());
    }
    Err("name the variable alone, without a value".to_owned())
}

/// A number without sign, exponent or spaces, above zero.
fn positive_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse::<f64>().ok().filter(|number| plain && *number > 0.0)
}
