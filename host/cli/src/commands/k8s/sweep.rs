//! A sweep as an indexed Job: a pod for each of its points.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_package::Sweep;
use samara_package::sweep::FILE_NAME;
use serde_json::json;

use super::text::run_to_end;
use crate::input::read_text;

/// Where a pod finds the sweep.
const FOLDER: &str = "/etc/samara/sweep";

/// What a ConfigMap holds, in bytes, with room for its own words.
const LARGEST_MAP: usize = (1 << 20) - (4 << 10);

/// What a pod is given of a sweep.
pub(super) struct Files {
    sweep: Sweep,
    text: String,
    /// The inputs, which are a request as JSON.
    inputs: Option<String>,
}

/// What a pod runs.
pub(super) struct Pod<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    /// The path of a command's component.
    pub(super) component: Option<&'a str>,
    /// In MiB.
    pub(super) memory: u64,
    pub(super) parallelism: u32,
}

impl Files {
    /// Reads a sweep and what it needs beside itself.
    ///
    /// # Errors
    /// When a file cannot be read, or no pod could use it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let sweep = Sweep::load(path)?;
        let text = read_text(path)?;
        let inputs = match &sweep.inputs {
            Some(inputs) => {
                let path = path.parent().unwrap_or(Path::new("")).join(inputs);
                let text = read_text(&path)?;
                samara_protocol::json::parse_request(&text)
                    .with_context(|| format!("a pod cannot use the inputs `{}`", path.display()))?;
                Some(text)
            }
            None => None,
        };
        let bytes = text.len() + inputs.as_ref().map_or(0, String::len);
        if bytes > LARGEST_MAP {
            bail!(
                "the sweep and its inputs are {bytes} bytes, and Kubernetes takes {LARGEST_MAP} at most\nhint: bring the inputs in the image, or by a volume"
            );
        }
        Ok(Self { sweep, text, inputs })
    }

    /// The ConfigMap and the Job. `pod.name` is a label, `pod.image` names a digest.
    pub(super) fn manifest(&self, pod: &Pod<'_>) -> String {
        let Pod { name, image, component, memory, parallelism } = pod;
        let settings = format!(
            "  completionMode: Indexed\n  completions: {}\n  parallelism: {parallelism}\n  backoffLimitPerIndex: 1\n",
            self.sweep.points.len()
        );
        let mut words =
            component.map_or(String::new(), |path| format!("          command: {}\n", json!([path])));
        let _ = write!(
            words,
            "          env:\n            - name: SAMARA_SWEEP\n              value: {FOLDER}/{FILE_NAME}\n"
        );
        let job = run_to_end(name, &json!(image).to_string(), &settings, &words, *memory);
        let (items, data) = (self.items(), self.data());
        let (mount, volume) = self.scratch();
        format!(
            "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
data:
{data}---
{job}          volumeMounts:
            - name: sweep
              mountPath: {FOLDER}
              readOnly: true
{mount}      volumes:
        - name: sweep
          configMap:
            name: {name}
            items:
{items}{volume}"
        )
    }

    fn data(&self) -> String {
        let mut data = entry(FILE_NAME, &self.text);
        if let Some(inputs) = &self.inputs {
            data.push_str(&entry("inputs", inputs));
        }
        data
    }

    fn items(&self) -> String {
        let mut items = format!("              - key: {FILE_NAME}\n                path: {FILE_NAME}\n");
        if let Some(path) = &self.sweep.inputs {
            let path = json!(path.display().to_string());
            let _ = write!(items, "              - key: inputs\n                path: {path}\n");
        }
        items
    }

    /// A folder that can be written, where results come as files.
    fn scratch(&self) -> (&'static str, &'static str) {
        match self.sweep.result {
            Some(_) => (
                "            - name: scratch\n              mountPath: /tmp\n",
                "        - name: scratch\n          emptyDir: {}\n",
            ),
            None => ("", ""),
        }
    }
}

/// A text of a ConfigMap: as it stands, where YAML leaves it so.
fn entry(key: &str, text: &str) -> String {
    let is_plain =
        |c: char| c == '\n' || c == ' ' || !(c.is_control() || c.is_whitespace() || c > '\u{d7ff}');
    if text.starts_with([' ', '\n'])
        || !text.ends_with('\n')
        || text.ends_with("\n\n")
        || !text.chars().all(is_plain)
    {
        return format!("  {key}: {}\n", json!(text));
    }
    let mut block = format!("  {key}: |\n");
    for line in text.lines() {
        let _ = match line.is_empty() {
            true => writeln!(block),
            false => writeln!(block, "    {line}"),
        };
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_as_it_is_where_yaml_leaves_it_so() {
        assert_eq!(entry("k", "a = 1\n\nb = \"ü\"\n"), "  k: |\n    a = 1\n\n    b = \"ü\"\n");
        for other in [" a\n", "a", "a\n\n", "a\tb\n", "a\r\n", "a\u{85}b\n"] {
            assert_eq!(entry("k", other), format!("  k: {}\n", json!(other)));
        }
    }

    #[test]
    fn inputs_travel_with_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.toml");
        let text = "function = \".\"\ninputs = \"in/a.json\"\n[parameters]\nx = [1, 2]\n";
        std::fs::write(&file, text).unwrap();
        assert!(Files::read(&file).is_err(), "there are no inputs yet");
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("in/a.json"), text).unwrap();
        write("[1]");
        assert!(format!("{:#}", Files::read(&file).err().unwrap()).contains("a pod cannot use the inputs"));
        let request = |data: &str| {
            format!(
                "{{\"inputs\":[{{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[{data}]}}]}}\n"
            )
        };
        write(&request("1"));
        let pod = Pod { name: "s", image: "r/s@sha256:0", component: None, memory: 64, parallelism: 2 };
        let text = Files::read(&file).unwrap().manifest(&pod);
        assert!(text.contains("  completions: 2\n") && text.contains("path: \"in/a.json\"\n"), "{text}");
        assert!(!text.contains("command:") && !text.contains("emptyDir"), "{text}");
        write(&request(&format!("1.{}", "0".repeat(1 << 20))));
        assert!(Files::read(&file).err().unwrap().to_string().contains("Kubernetes takes"));
    }
}
