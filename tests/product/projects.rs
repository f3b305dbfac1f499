//! New projects build and run as they come.

use crate::support::{command, ran, samara_in};

#[test]
fn a_new_rust_project_runs_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    samara_in(folder.path(), &["new", "my-fn"]).good();
    let mut run = command(folder.path());
    // What its dependencies compile to is shared with the other guests; the
    // project's own output stays where its manifest says.
    run.env("CARGO_BUILD_BUILD_DIR", samara_test::target().join("guests-build"));
    let said = ran(run.args(["run", "my-fn"]));
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    assert!(!said.stdout.is_empty());
    let tested = samara_in(folder.path(), &["test", "my-fn"]).good();
    assert!(tested.contains(" passed, 0 failed"), "{tested}");
}

#[test]
fn a_new_model_project_runs_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    samara_in(folder.path(), &["new", "my-model", "--template", "model"]).good();
    let said = samara_in(folder.path(), &["run", "my-model"]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}
