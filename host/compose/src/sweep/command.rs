//! One point as a run of a command: how it is told its parameters, and where it
//! leaves its result.

use std::path::Path;

use samara_engine::{CommandRun, DirectoryGrant, Function};
use samara_package::Sweep;
use samara_package::sweep::{Pass, Point, variable};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// The longest text that is taken for a result, in bytes.
const LONGEST_RESULT: usize = 64 << 10;

type Outcome<T> = Result<T, String>;

/// Runs a command with the parameters of a point.
pub(super) async fn run(function: &Function, sweep: &Sweep, point: &Point) -> Outcome<Map<String, Value>> {
    let place = sweep.result.as_deref().map(Place::new).transpose()?;
    let run = CommandRun {
        arguments: arguments(sweep, point),
        environment: environment(sweep, point),
        directories: place.iter().map(Place::grant).collect(),
        deadline: sweep.timeout,
    };
    let output = function.command_output(run).await.map_err(|error| error.to_string())?;
    if output.code != 0 {
        return Err(failed(output.code, &output.stderr));
    }
    match place {
        Some(place) => place.read(),
        None => last_object(&output.stdout).ok_or_else(|| {
            "its standard output has no line that is a JSON object, of at most 64 KiB".to_owned()
        }),
    }
}

fn arguments(sweep: &Sweep, point: &Point) -> Vec<String> {
    let mut arguments = sweep.arguments.clone();
    if sweep.pass != Pass::Environment {
        arguments.extend(point.0.iter().map(|(name, value)| format!("--{name}={value}")));
    }
    arguments
}

fn environment(sweep: &Sweep, point: &Point) -> Vec<(String, String)> {
    match sweep.pass {
        Pass::Arguments => Vec::new(),
        Pass::Environment | Pass::Both => {
            point.0.iter().map(|(name, value)| (variable(name), value.to_string())).collect()
        }
    }
}

/// An exit code, with the last that the command said about it.
fn failed(code: i32, stderr: &str) -> String {
    match stderr.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(words) => format!("exit code {code}: {}", words.trim()),
        None => format!("exit code {code}"),
    }
}

fn last_object(stdout: &str) -> Option<Map<String, Value>> {
    let lines = stdout.lines().rev().filter(|line| line.len() <= LONGEST_RESULT);
    lines.map(serde_json::from_str).find_map(Result::ok)
}

/// The folder in which a command leaves its result: every run has its own.
struct Place {
    folder: TempDir,
    /// Where the command sees the folder, and what it calls the file there.
    guest: String,
    file: String,
}

impl Place {
    fn new(result: &str) -> Outcome<Self> {
        let (guest, file) = result.rsplit_once('/').unwrap_or(("", result));
        // A container's root has no such folder of itself.
        let folder = std::fs::create_dir_all(std::env::temp_dir()).and_then(|()| tempfile::tempdir());
        let folder = folder.map_err(|error| {
            format!("cannot make a folder for the result in `{}`: {error}", std::env::temp_dir().display())
        })?;
        Ok(Self { folder, guest: guest.to_owned(), file: file.to_owned() })
    }

    fn grant(&self) -> DirectoryGrant {
        DirectoryGrant { host: self.folder.path().to_owned(), guest: self.guest.clone(), writable: true }
    }

    fn read(&self) -> Outcome<Map<String, Value>> {
        let named = format!("`{}/{}`", self.guest, self.file);
        let text = read_plain(&self.folder.path().join(&self.file))
            .map_err(|error| format!("it left no result in {named}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{named} is no JSON object: {error}"))
    }
}

/// Reads a file that a guest wrote. It may be a link to anywhere: none is followed.
fn read_plain(path: &Path) -> std::io::Result<String> {
    let about = path.symlink_metadata()?;
    if !about.is_file() || about.len() > LONGEST_RESULT as u64 {
        return Err(std::io::Error::other("it is no file of at most 64 KiB"));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(more: &str) -> Sweep {
        let text = format!("function = \".\"\n{more}\n[parameters]\nlearning-rate = 1e-7\nkind = \"a b\"\n");
        Sweep::parse(&text, Path::new("sweep.toml")).unwrap()
    }

    #[test]
    fn parameters_are_arguments_or_variables_or_both() {
        let told = |more: &str| {
            let sweep = sweep(more);
            (arguments(&sweep, &sweep.points[0]), environment(&sweep, &sweep.points[0]))
        };
        let flags = ["--learning-rate=1e-7", "--kind=a b"].map(str::to_owned);
        let variables = [("LEARNING_RATE", "1e-7"), ("KIND", "a b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told(""), (flags.to_vec(), Vec::new()));
        assert_eq!(told("pass = \"environment\""), (Vec::new(), variables.to_vec()));
        let (both, same) = told("pass = \"both\"\narguments = [\"--data=/d\"]");
        assert_eq!(both[0], "--data=/d");
        assert_eq!((&both[1..], same), (&flags[..], variables.to_vec()));
    }

    #[test]
    fn the_result_is_the_last_object_of_the_output() {
        let found = |stdout| last_object(stdout).map(|object| Value::from(object).to_string());
        assert_eq!(found("{\"a\":1}\nepoch 2\n{\"a\":2}\ndone\n[3]\n").as_deref(), Some("{\"a\":2}"));
        assert_eq!(found("{\"a\":1\n"), None);
        assert_eq!(found(&format!("{{\"a\":\"{}\"}}", "x".repeat(LONGEST_RESULT))), None);
        assert_eq!(failed(3, "warning\nerror: no data\n\n"), "exit code 3: error: no data");
        assert_eq!(failed(1, ""), "exit code 1");
    }

    #[test]
    fn a_result_file_is_read_from_the_folder_of_its_run() {
        let place = Place::new("/out/deep/result.json").unwrap();
        let grant = place.grant();
        assert_eq!((grant.guest.as_str(), grant.writable), ("/out/deep", true));
        assert!(place.read().unwrap_err().starts_with("it left no result in `/out/deep/result.json`: "));
        let file = grant.host.join("result.json");
        std::fs::write(&file, "{\"loss\": 1}").unwrap();
        assert_eq!(place.read().unwrap()["loss"], 1);
        std::fs::write(&file, "[1]").unwrap();
        assert!(place.read().unwrap_err().contains("is no JSON object"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_no_result() {
        let place = Place::new("/out/result.json").unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "{\"secret\": 1}").unwrap();
        std::os::unix::fs::symlink(secret.path(), place.grant().host.join("result.json")).unwrap();
        assert!(place.read().unwrap_err().contains("no file of at most 64 KiB"));
    }
}
