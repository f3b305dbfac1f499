//! What each section of a sweep file may hold, and the points that they make.

use std::collections::HashSet;
use std::path::Path;

use super::axis::{Axis, value};
use super::draw::Draw;
use super::{Goal, MOST_PARAMETERS, MOST_POINTS, Objective, Pass, Point, Sweep, Value, variable};
use crate::manifest::reader::{Entry, Section, Source};
use crate::manifest::values::{guest_path, path_inside};
use crate::manifest::{Error, Problem, parse_duration};

/// The longest name of a parameter, in characters.
const LONGEST_NAME: usize = 128;

/// Draws for one new point, before it is said that there is none.
const MOST_DRAWS: usize = 1_000;

const KNOWN: [&str; 11] = [
    "function",
    "objective",
    "goal",
    "pass",
    "arguments",
    "result",
    "inputs",
    "timeout",
    "parameters",
    "random",
    "point",
];

type Result<T> = std::result::Result<T, Error>;

pub(super) fn parse(text: &str, path: &Path) -> Result<Sweep> {
    let source = Source { text, path };
    let document = source.parse()?;
    let root = Section::root(source, &document, "the sweep");
    root.check_keys(&KNOWN)?;
    let function = root.need("function", "what is run: a folder, a `.wasm`, a model or an image")?;
    let axes = axes(&root)?;
    let parameters = parameters(&root, &axes)?;
    let sweep = Sweep {
        function: function.text()?.to_owned(),
        objective: objective(&root)?,
        pass: root.get("pass").map_or(Ok(Pass::default()), |entry| entry.parsed(pass))?,
        arguments: arguments(&root)?,
        result: root.get("result").map(|entry| entry.parsed(result_file)).transpose()?,
        inputs: root.get("inputs").map(|entry| entry.parsed(path_inside)).transpose()?,
        timeout: root.get("timeout").map(|entry| entry.parsed(parse_duration)).transpose()?,
        points: points(&root, &axes, &parameters)?,
        parameters,
    };
    check_kind(&root)?;
    check_variables(&root, &sweep)?;
    Ok(sweep)
}

fn objective(root: &Section<'_>) -> Result<Option<Objective>> {
    let goal = root.get("goal");
    let Some(name) = root.get("objective") else {
        let reason = "`goal` says how to optimise the `objective`, and there is none".to_owned();
        return goal.map_or(Ok(None), |goal| Err(goal.error(Problem::Conflict { reason })));
    };
    let goal = root.need("goal", "`max` or `min`, beside an `objective`")?.parsed(|text| match text {
        "max" => Ok(Goal::Max),
        "min" => Ok(Goal::Min),
        _ => Err("a goal is `max` or `min`".to_owned()),
    })?;
    Ok(Some(Objective { name: name.text()?.to_owned(), goal }))
}

fn pass(text: &str) -> std::result::Result<Pass, String> {
    match text {
        "arguments" => Ok(Pass::Arguments),
        "environment" => Ok(Pass::Environment),
        "both" => Ok(Pass::Both),
        _ => Err("parameters are passed by `arguments`, `environment` or `both`".to_owned()),
    }
}

fn arguments(root: &Section<'_>) -> Result<Vec<String>> {
    let Some(entry) = root.get("arguments") else { return Ok(Vec::new()) };
    entry.items()?.iter().map(|item| item.string().map(str::to_owned)).collect()
}

/// A file in a folder of its own, which every run gets afresh.
fn result_file(text: &str) -> std::result::Result<String, String> {
    let path = guest_path(text)?;
    let parts = path.split('/').filter(|part| !part.is_empty()).count();
    if parts < 2 || path.ends_with('/') {
        return Err(
            "name a file in a folder, such as \"/result/result.json\": every run gets the folder afresh"
                .to_owned(),
        );
    }
    Ok(path)
}

/// What only commands have does not go with what only functions have.
fn check_kind(root: &Section<'_>) -> Result<()> {
    let Some(inputs) = root.get("inputs") else { return Ok(()) };
    let other = ["pass", "arguments", "result"].into_iter().find(|key| root.get(key).is_some());
    let Some(other) = other else { return Ok(()) };
    let reason = format!(
        "`inputs` are for a function of tensors and `{other}` is for a command; a sweep runs one of them"
    );
    Err(inputs.error(Problem::Conflict { reason }))
}

/// Two parameters must not be one variable.
fn check_variables(root: &Section<'_>, sweep: &Sweep) -> Result<()> {
    let Some(pass) = root.get("pass").filter(|_| sweep.pass != Pass::Arguments) else { return Ok(()) };
    for (index, name) in sweep.parameters.iter().enumerate() {
        if let Some(other) = sweep.parameters[..index].iter().find(|other| variable(other) == variable(name))
        {
            let reason = format!("`{other}` and `{name}` are both the variable `{}`", variable(name));
            return Err(pass.error(Problem::Conflict { reason }));
        }
    }
    Ok(())
}

fn axes(root: &Section<'_>) -> Result<Vec<Axis>> {
    let Some(section) = root.section("parameters", "`[parameters]`")? else { return Ok(Vec::new()) };
    section
        .entries()
        .iter()
        .map(|entry| Axis::read(entry).and_then(|axis| named(entry).map(|()| axis)))
        .collect()
}

/// The names of the parameters: those of `[parameters]`, or of the first point.
fn parameters(root: &Section<'_>, axes: &[Axis]) -> Result<Vec<String>> {
    let first = root.sections("point", "`[[point]]`")?.into_iter().next();
    let names: Vec<String> = match first {
        _ if !axes.is_empty() => axes.iter().map(|axis| axis.name.to_string()).collect(),
        Some(point) => {
            let entries = point.entries();
            entries.iter().try_for_each(named)?;
            entries.into_iter().map(|entry| entry.key).collect()
        }
        None => Vec::new(),
    };
    if names.is_empty() {
        let what = "the values of each parameter";
        return Err(root.error(Problem::Missing {
            section: "the sweep".to_owned(),
            key: "parameters",
            what,
        }));
    }
    if names.len() > MOST_PARAMETERS {
        let reason = format!("a sweep has at most {MOST_PARAMETERS} parameters");
        return Err(root.error(Problem::Conflict { reason }));
    }
    Ok(names)
}

fn named(entry: &Entry<'_>) -> Result<()> {
    let name = &entry.key;
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '=';
    if !name.is_empty() && name.chars().count() <= LONGEST_NAME && name.chars().all(fits) {
        return Ok(());
    }
    let reason = format!("the name of a parameter has no spaces and no `=`, and is 1 to {LONGEST_NAME} long");
    let (key, value) = ("parameters".to_owned(), format!("{name:?}"));
    Err(entry.error(Problem::BadValue { key, value, reason }))
}

/// Those of the grid or those that are drawn, then those that are listed.
fn points(root: &Section<'_>, axes: &[Axis], names: &[String]) -> Result<Vec<Point>> {
    let mut points = match root.section("random", "`[random]`")? {
        Some(random) => drawn(&random, axes)?,
        None => grid(root, axes)?,
    };
    for (index, section) in root.sections("point", "`[[point]]`")?.iter().enumerate() {
        points.push(point(section, index, names)?);
        if points.len() > MOST_POINTS {
            return Err(section.error(too_many()));
        }
    }
    Ok(points)
}

/// Every combination of values, the last parameter's changing fastest.
fn grid(root: &Section<'_>, axes: &[Axis]) -> Result<Vec<Point>> {
    let Some(section) = root.section("parameters", "`[parameters]`")? else { return Ok(Vec::new()) };
    let mut points = vec![Point(Vec::new())];
    if axes.is_empty() {
        points.clear();
    }
    let entries = section.entries();
    for (axis, entry) in axes.iter().zip(&entries) {
        let Some(values) = axis.listed() else {
            let reason = format!(
                "the range `{}` needs `count` or `step`; without them, values are drawn by `[random]`",
                axis.name
            );
            return Err(entry.error(Problem::Conflict { reason }));
        };
        if points.len().saturating_mul(values.len()) > MOST_POINTS {
            return Err(entry.error(too_many()));
        }
        let with = |point: &Point, value: &Value| {
            Point(point.0.iter().cloned().chain([(axis.name.clone(), value.clone())]).collect())
        };
        points = points.iter().flat_map(|point| values.iter().map(|value| with(point, value))).collect();
    }
    Ok(points)
}

/// Points of values that are drawn, no two the same.
fn drawn(section: &Section<'_>, axes: &[Axis]) -> Result<Vec<Point>> {
    section.check_keys(&["count", "seed"])?;
    let entry = section.need("count", "how many points are drawn")?;
    let seed = section.need("seed", "an integer that decides which points are drawn")?.whole()?;
    if axes.is_empty() {
        let reason = "`[random]` draws from the values of `[parameters]`, and there are none".to_owned();
        return Err(section.error(Problem::Conflict { reason }));
    }
    let (count, there) = (entry.count()?, axes.iter().map(Axis::size).fold(1, u64::saturating_mul));
    if count > MOST_POINTS as u64 {
        return Err(entry.bad(format!("a sweep has at most {MOST_POINTS} points")));
    }
    if count > there {
        return Err(entry.bad(format!("there are only {there} different points")));
    }
    let (mut draw, mut seen, mut points) = (Draw::new(seed), HashSet::new(), Vec::new());
    while (points.len() as u64) < count {
        let one = |_| Point(axes.iter().map(|axis| (axis.name.clone(), axis.draw(&mut draw))).collect());
        let new = (0..MOST_DRAWS).map(one).find(|point| seen.insert(format!("{point:?}")));
        points.push(
            new.ok_or_else(|| entry.bad(format!("after {} points, drawing found no others", points.len())))?,
        );
    }
    Ok(points)
}

fn point(section: &Section<'_>, index: usize, names: &[String]) -> Result<Point> {
    section.check_keys(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let one = |name: &String| {
        let entry = section.get(name).ok_or_else(|| {
            let reason = format!("`[[point]]` {} has no value for `{name}`", index + 1);
            section.error(Problem::Conflict { reason })
        })?;
        Ok((name.as_str().into(), value(&entry)?))
    };
    names.iter().map(one).collect::<Result<_>>().map(Point)
}

fn too_many() -> Problem {
    Problem::Conflict {
        reason: format!("these are more points than the {MOST_POINTS} that a sweep may have"),
    }
}
