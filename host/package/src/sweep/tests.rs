//! Sweep files: the points that they make, and what is wrong with them.

use super::*;
use crate::manifest::ErrorKind;

fn parse(text: &str) -> Sweep {
    Sweep::parse(&format!("function = \".\"\n{text}"), Path::new(FILE_NAME)).unwrap()
}

/// The points as a command would be told them.
fn points(text: &str) -> Vec<String> {
    let words = |point: &Point| {
        point.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    parse(text).points.iter().map(words).collect()
}

/// The class of the error, and its message with the place in front.
fn refused(text: &str) -> (ErrorKind, String) {
    let error = Sweep::parse(text, Path::new(FILE_NAME)).unwrap_err();
    (error.kind(), error.to_string())
}

/// The same of a text that stands below the function.
fn refusal(text: &str) -> String {
    refused(&format!("function = \".\"\n{text}")).1
}

#[test]
fn a_grid_is_every_combination_in_the_order_of_the_file() {
    let grid = points("[parameters]\nrate = [0.5, 1]\nkind = [\"a\", \"b\"]\nfast = true\n");
    assert_eq!(
        grid,
        [
            "rate=0.5 kind=a fast=true",
            "rate=0.5 kind=b fast=true",
            "rate=1 kind=a fast=true",
            "rate=1 kind=b fast=true"
        ]
    );
}

#[test]
fn ranges_have_both_ends_and_round_numbers() {
    let range = |range: &str| points(&format!("[parameters]\nx = {{ {range} }}\n"));
    assert_eq!(
        range("from = 0.001, to = 1.0, count = 4, scale = \"log\""),
        ["x=0.001", "x=0.01", "x=0.1", "x=1.0"]
    );
    assert_eq!(range("from = 1, to = 1000, count = 4, scale = \"log\""), ["x=1", "x=10", "x=100", "x=1000"]);
    assert_eq!(range("from = 0.0, to = 0.3, count = 4"), ["x=0.0", "x=0.1", "x=0.2", "x=0.3"]);
    assert_eq!(range("from = 0.1, to = 0.7, step = 0.2"), ["x=0.1", "x=0.3", "x=0.5", "x=0.7"]);
    assert_eq!(range("from = -2, to = 5, step = 3"), ["x=-2", "x=1", "x=4"]);
}

#[test]
fn drawn_points_differ_and_come_again() {
    let text = |seed: u64| {
        format!(
            "[random]\ncount = 50\nseed = {seed}\n[parameters]\nrate = {{ from = 0.001, to = 1.0, scale = \"log\" }}\n\
             depth = {{ from = 1, to = 9 }}\nkind = [\"a\", \"b\"]\n"
        )
    };
    let drawn = parse(&text(1));
    assert_eq!(drawn, parse(&text(1)));
    assert_ne!(drawn.points, parse(&text(2)).points);
    let (mut small, mut deep) = (0, [false; 10]);
    for (index, Point(values)) in drawn.points.iter().enumerate() {
        let [(_, Value::Float(rate)), (_, Value::Integer(depth)), (_, Value::Text(_))] = values.as_slice()
        else {
            panic!("{values:?}")
        };
        assert!((0.001..=1.0).contains(rate) && (1..=9).contains(depth), "{rate} {depth}");
        small += usize::from(*rate < 0.03);
        deep[usize::try_from(*depth).unwrap()] = true;
        assert!(!drawn.points[..index].contains(&drawn.points[index]));
    }
    // Half of a logarithmic scale lies below its middle.
    assert!((10..=40).contains(&small), "{small}");
    assert!(deep[1..].iter().filter(|seen| **seen).count() >= 7, "{deep:?}");
    let all = points("[random]\ncount = 4\nseed = 0\n[parameters]\na = [1, 2]\nb = { from = 1, to = 2 }\n");
    assert_eq!(all.len(), 4);
}

#[test]
fn listed_points_follow_and_may_stand_alone() {
    assert_eq!(
        points("[parameters]\na = [1, 2]\nb = 3\n[[point]]\nb = 5\na = 4\n"),
        ["a=1 b=3", "a=2 b=3", "a=4 b=5"]
    );
    assert_eq!(points("[[point]]\nb = 1\na = 2\n[[point]]\na = 3\nb = 4\n"), ["b=1 a=2", "b=4 a=3"]);
}

#[test]
fn the_rest_of_the_file_says_what_is_done_with_the_points() {
    let sweep = parse(
        "objective = \"loss\"\ngoal = \"min\"\npass = \"both\"\narguments = [\"--data=/data\"]\n\
         result = \"/result/out.json\"\ntimeout = \"2min\"\n[parameters]\nlearning-rate = 0.1\n",
    );
    assert_eq!(sweep.objective, Some(Objective { name: "loss".to_owned(), goal: Goal::Min }));
    assert_eq!((sweep.pass, sweep.timeout), (Pass::Both, Some(Duration::from_secs(120))));
    assert_eq!(sweep.result.as_deref(), Some("/result/out.json"));
    assert_eq!(variable("learning-rate"), "LEARNING_RATE");
    let inputs = parse("inputs = \"tests/in.json\"\n[parameters]\nx = 1\n").inputs;
    assert_eq!(inputs, Some("tests/in.json".into()));
}

#[test]
fn points_are_written_in_the_order_of_the_file() {
    let sweep = parse("[parameters]\nz = 1\na = [0.5]\nm = \"\\\"\"\n");
    assert_eq!(serde_json::to_string(&sweep.points[0]).unwrap(), r#"{"z":1,"a":0.5,"m":"\""}"#);
}

#[test]
fn a_problem_is_told_with_its_place() {
    let (kind, said) = refused("[parameters]\nx = 1\n");
    assert_eq!(kind, ErrorKind::Missing);
    assert!(said.ends_with(
        "the sweep needs the key `function`, what is run: a folder, a `.wasm`, a model or an image"
    ));
    let (kind, said) = refused("function = \".\"\nobjectiv = \"x\"\n");
    assert_eq!(kind, ErrorKind::UnknownKey);
    assert_eq!(said, "sweep.toml:2:1: unknown key `objectiv` in the sweep; did you mean `objective`?");
    assert!(refusal("").contains("needs the key `parameters`"));
    assert!(refusal("[parameters]\n").contains("needs the key `parameters`"));
    assert!(
        refusal("[parameters]\nx = 1\nx = 2\n").starts_with("sweep.toml:4:1: "),
        "{}",
        refusal("[parameters]\nx = 1\nx = 2\n")
    );
    assert_eq!(refusal("[parameters]\nx = []\n"), "sweep.toml:3:5: `x = []`: it needs a value at least");
    assert_eq!(
        refusal("[parameters]\nx = [1, nan]\n"),
        "sweep.toml:3:9: `x = nan`: it must be a finite number"
    );
    assert!(refusal("[parameters]\nx = [1, 1]\n").contains("it is in the list already"));
    assert!(refusal("[parameters]\nx = [[1]]\n").contains("not an array"));
    assert!(refusal("[parameters]\n\"a b\" = 1\n").contains("has no spaces"));
    assert!(refusal("objective = \"a\"\n[parameters]\nx = 1\n").contains("needs the key `goal`"));
    assert!(refusal("goal = \"max\"\n[parameters]\nx = 1\n").contains("and there is none"));
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let range = |range: &str| refusal(&format!("[parameters]\nx = {{ {range} }}\n"));
    assert!(range("from = 0, to = 1, step = 0").contains("`step = 0`: a step is above 0"));
    assert!(range("from = 1, to = 1, count = 2").contains("`to` must be above `from`"));
    assert!(range("from = 0, to = 1, count = 1").contains("two values at least"));
    assert!(range("from = 0, to = 2, count = 9").contains("not so many integers"));
    assert!(range("from = 0, to = 1, count = 2, step = 1").contains("either `count` or `step`"));
    assert!(range("from = 0.0, to = 1.0, count = 2, scale = \"log\"").contains("are above 0"));
    assert!(range("from = 1, to = 9, step = 1, scale = \"log\"").contains("not a `step`"));
    assert!(range("from = 1, to = 9").contains("needs `count` or `step`"));
    assert!(range("from = 1, to = 9, cuont = 2").contains("did you mean `count`?"));
    assert!(range("from = \"1\", to = 9, count = 2").contains("must be a number"));
    assert!(range("from = 0.0, to = 1e300, step = 1e-300").contains("at most 10000 points"));
    assert!(range("from = inf, to = 1.0, count = 2").contains("finite"));
}

#[test]
fn a_sweep_has_an_end() {
    let side = "{ from = 1, to = 101, step = 1 }";
    assert!(
        refusal(&format!("[parameters]\na = {side}\nb = {side}\n")).contains("more points than the 10000")
    );
    let full = format!("[parameters]\na = {{ from = 1, to = {MOST_POINTS}, step = 1 }}\n");
    assert_eq!(parse(&full).points.len(), MOST_POINTS);
    assert!(refusal(&format!("{full}[[point]]\na = 0\n")).contains("more points"));
    let many: String = (0..=MOST_PARAMETERS).map(|number| format!("p{number} = 1\n")).collect();
    assert!(refusal(&format!("[parameters]\n{many}")).contains("at most 100 parameters"));
    let drawn = |more: &str| refusal(&format!("[random]\n{more}\n[parameters]\na = [1, 2]\n"));
    assert!(drawn("count = 3\nseed = 1").contains("only 2 different points"));
    assert!(drawn("count = 20000\nseed = 1").contains("at most 10000"));
    assert!(drawn("count = 1").contains("needs the key `seed`"));
    assert!(drawn("count = 1\nseed = -1").contains("0 or above"));
}

#[test]
fn points_and_ways_to_pass_them_must_fit_together() {
    assert!(
        refusal("[parameters]\na = 1\nb = 2\n[[point]]\na = 1\n")
            .contains("`[[point]]` 1 has no value for `b`")
    );
    assert!(refusal("[parameters]\nrate = 1\n[[point]]\nraet = 1\n").contains("did you mean `rate`?"));
    assert!(
        refusal("pass = \"environment\"\n[parameters]\na-b = 1\na_b = 2\n")
            .contains("both the variable `A_B`")
    );
    assert!(
        refusal("pass = \"stdin\"\n[parameters]\na = 1\n").contains("`arguments`, `environment` or `both`")
    );
    assert!(
        refusal("inputs = \"a.json\"\narguments = []\n[parameters]\na = 1\n")
            .contains("a sweep runs one of them")
    );
    assert!(refusal("inputs = \"../a.json\"\n[parameters]\na = 1\n").contains("inside it"));
    for wrong in ["out.json", "/out.json", "/out/", "/a/../b"] {
        assert!(
            refusal(&format!("result = \"{wrong}\"\n[parameters]\na = 1\n")).contains("`result = "),
            "{wrong}"
        );
    }
    assert!(refusal("[random]\ncount = 1\nseed = 1\n[[point]]\na = 1\n").contains("there are none"));
}
