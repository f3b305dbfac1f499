//! The tables of keys in the guide "Serving" say what is read, and what is
//! taken where nothing is said.

use std::collections::BTreeSet;

use clap::Parser;

use super::*;
use crate::args::{Args, Command};

const GUIDE: &str = include_str!("../../../../../docs/serving.md");

/// The keys of one of the guide's tables, with their defaults.
fn rows(title: &str) -> Vec<(&'static str, &'static str)> {
    let (_, rest) = GUIDE.split_once(title).unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let row = |line: &'static str| {
        let mut cells = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`']));
        Some((cells.next()?, cells.next()?))
    };
    lines.take_while(|line| line.starts_with('|')).filter_map(row).collect()
}

/// The keys that a part of the file may have, as the refusal of another says.
fn known(part: &str) -> Vec<String> {
    let error = toml::from_str::<File>(&format!("{part}no-such-key = 1")).unwrap_err().to_string();
    let (_, names) = error.split_once("expected ").unwrap();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_guide_names_every_key() {
    let mut expected = BTreeSet::new();
    for key in known("") {
        match key.as_str() {
            "function" => {}
            section @ ("tls" | "limits" | "telemetry" | "drain") => {
                expected
                    .extend(known(&format!("[{section}]\n")).iter().map(|key| format!("{section}.{key}")));
            }
            key => drop(expected.insert(key.to_owned())),
        }
    }
    let documented = |title| rows(title).into_iter().map(|(key, _)| key.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(documented("## The configuration file"), expected);
    let expected: BTreeSet<_> = known("[[function]]\n").into_iter().collect();
    assert_eq!(documented("each as a `[[function]]`"), expected);
}

#[test]
fn the_guide_names_the_defaults() {
    let function = "[[function]]\nwhat = \"f:1\"\n";
    let rows = rows("## The configuration file").into_iter();
    let stated: Vec<String> = rows
        .filter(|(_, default)| !matches!(*default, "none" | "one per core"))
        .map(|(key, default)| format!("{key} = {default}\n"))
        .collect();
    assert!(stated.len() > 15, "{stated:?}");
    let said = stated.concat() + function;
    assert_eq!(format!("{:?}", planned(&said)), format!("{:?}", planned(function)), "{said}");
}

fn planned(file: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.toml");
    std::fs::write(&path, file).unwrap();
    let args = Args::parse_from(["samara", "serve", "--config", path.to_str().unwrap()]);
    let Command::Serve(args) = args.command else { panic!("another command") };
    plan(&args).unwrap()
}
