//! Who may be asked for images, and which may be loaded: logins, certificates,
//! signatures and the policy.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use samara_test::registry::{DockerRegistry, Setup};

use crate::support::{Place, Ran, TINY_ANSWER, at, ran};

const PASSWORD: &str = "not-to-be-shown-anywhere";

#[test]
fn a_login_is_kept_where_docker_keeps_it_and_shown_nowhere() {
    let setup = Setup { login: Some(("team", PASSWORD)), ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let place = Place::new();
    place.tiny("tiny", 1);
    let name = format!("{}/tiny:1", registry.host());
    place.digest(&["pack", "tiny", "-t", &name]);
    let login = |password: &str| {
        let user = ["login", registry.host(), "--username", "team", "--password-stdin", "-v"];
        place.samara_with(&user, &format!("{password}\n"))
    };
    let is_silent = |ran: &Ran| {
        let encoded = "dGVhbTpub3QtdG8tYmUtc2hvd24tYW55d2hlcmU"; // team:…
        for secret in [PASSWORD, encoded, "not-to-be-known"] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
        }
    };
    let without = place.samara(&["push", &name]).bad();
    assert!(without.contains("401") && without.contains("hint: samara login"), "{without}");
    let refused = login("not-to-be-known");
    is_silent(&refused);
    assert!(refused.bad().contains("cannot log in to"));
    assert!(!place.path("docker").exists(), "a login that is refused is not kept");

    let accepted = login(PASSWORD);
    is_silent(&accepted);
    accepted.good();
    let config = place.path("docker/config.json");
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains(registry.host()), "{text}");
    for arguments in [&["push", &name, "-v"][..], &at("other", &["pull", &name, "-v"])] {
        let said = place.samara(arguments);
        is_silent(&said);
        said.good();
    }

    place.samara(&["logout", registry.host()]).good();
    let refused = place.samara(&at("third", &["run", &name])).bad();
    assert!(refused.contains("401") && refused.contains("hint: samara login"), "{refused}");
}

#[test]
fn a_registry_with_an_authority_of_its_own_needs_it() {
    let setup = Setup { tls: true, login: Some(("team", PASSWORD)), ..Setup::default() };
    let Some(registry) = DockerRegistry::start(&setup) else { return };
    let place = Place::new();
    place.tiny("tiny", 1);
    let name = format!("{}/tiny:1", registry.host());
    let packed = place.digest(&["pack", "tiny", "-t", &name]);
    let authority = registry.authority();
    let authority = authority.to_str().unwrap();
    let login = ["login", registry.host(), "-u", "team", "--password-stdin"];
    let refused = place.samara_with(&login, PASSWORD).bad();
    assert!(refused.contains("certificate") && refused.contains("--ca-file"), "{refused}");
    place.samara_with(&[&login[..], &["--ca-file", authority]].concat(), PASSWORD).good();

    let refused = place.samara(&["push", &name]).bad();
    assert!(refused.contains("certificate") && refused.contains("hint: "), "{refused}");
    assert_eq!(place.digest(&["push", &name, "--ca-file", authority]), packed);
    let mut pull = place.command(&at("other", &["pull", &name]));
    assert_eq!(ran(pull.env("SAMARA_CA_FILE", authority)).good().trim_end(), packed);
    place.store("third");
    assert_eq!(place.answer(&at("third", &[&name, "--ca-file", authority])), TINY_ANSWER);
}

#[test]
fn what_a_policy_refuses_is_not_even_fetched() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.tiny("tiny", 500_000);
    let name = format!("{}/team/tiny:1", registry.host());
    let packed = place.digest(&["pack", "tiny", "-t", &name]);
    for key in ["team", "other"] {
        place.samara(&["sign", "--new-key", key]).good();
    }
    place.write("policy.toml", policy(registry.host()));
    let refused = |arguments: &[&str], words: &str| {
        let said = place.samara(&[&["--policy", "policy.toml"], arguments].concat()).bad();
        assert!(said.contains(words) && said.contains("hint: "), "{arguments:?}: {said}");
    };

    // Unsigned: in the store, in a registry, in an archive.
    place.digest(&["push", &name]);
    place.samara(&["save", &name, "-o", "unsigned.tar"]).good();
    refused(&["run", &name], "is not signed");
    refused(&["test", &name], "is not signed");
    refused(&["inspect", &name], "is not signed");
    refused(&["bundle", &name, "-o", "tiny.wasm"], "is not signed");
    refused(&["verify", &name], "is not signed");
    refused(&at("other", &["pull", &name]), "is not signed");
    refused(&at("other", &["run", &name]), "is not signed");
    // The manifest and the configuration.
    assert_eq!(place.blobs("other").len(), 2);
    refused(&at("third", &["load", "unsigned.tar"]), "is not signed");
    for store in ["other", "third"] {
        assert_eq!(place.json(&at(store, &["images"])), serde_json::json!([]));
    }

    // By a key that the policy does not trust.
    place.samara(&["sign", &name, "--key", "other.key"]).good();
    place.digest(&["push", &name]);
    refused(&["run", &name], "none by the key");
    refused(&at("other", &["pull", &name]), "none by the key");
    assert!(place.samara(&["verify", &name, "--key", "team.pub"]).bad().contains("none by the key"));

    // By the key that it trusts: at once, and later without the registry.
    place.samara(&["sign", &name, "--key", "team.key"]).good();
    place.digest(&["push", &name]);
    fn trusting<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--policy", "policy.toml"], arguments].concat()
    }
    place.store("edge");
    assert_eq!(place.digest(&trusting(&at("edge", &["pull", &name]))), packed);
    place.samara(&["save", &name, "-o", "signed.tar"]).good();
    drop(registry);
    place.store("fourth");
    assert_eq!(place.digest(&trusting(&at("fourth", &["load", "signed.tar"]))), packed);
    for store in ["store", "edge", "fourth"] {
        let mut run = place.command(&at(store, &["run", &name, "--output", "json"]));
        let answer = ran(run.env("SAMARA_POLICY", place.path("policy.toml"))).response();
        assert_eq!(crate::support::numbers(&answer, "y"), TINY_ANSWER);
        assert_eq!(place.digest(&trusting(&at(store, &["verify", &name]))), packed);
    }
}

/// A rule for a tag holds wherever the tag is asked for.
#[test]
fn a_model_of_an_image_is_under_the_policy_too() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.tiny("tiny", 1);
    let name = format!("{}/team/tiny:1", registry.host());
    place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);
    place.tiny("reader", 1);
    place.model_from("reader", &name);
    place.write(
        "policy.toml",
        format!("default = \"accept\"\n[[rule]]\nreference = \"{name}\"\nrequire = \"refuse\"\n"),
    );
    for arguments in [&["run", "reader"][..], &["pack", "reader"], &["bundle", "reader", "-o", "x.wasm"]] {
        let arguments = at("other", arguments);
        let said = place.samara(&[&["--policy", "policy.toml"], &arguments[..]].concat()).bad();
        assert!(said.contains("the policy refuses it"), "{arguments:?}: {said}");
    }
    assert_eq!(place.blobs("other").len(), 2, "no layer was fetched");
    place.store("third");
    assert_eq!(place.answer(&at("third", &["reader"])), TINY_ANSWER);
}

/// The policy is asked before a byte of the layers is read.
#[test]
fn the_policy_is_asked_before_anything_is_loaded() {
    let place = Place::new();
    place.tiny("tiny", 1);
    let packed = place.json(&["pack", "tiny", "-t", "r.example/team/tiny:1"]);
    for layer in packed["layers"].as_array().unwrap() {
        std::fs::remove_file(place.blob("store", layer["digest"].as_str().unwrap())).unwrap();
    }
    place.samara(&["sign", "--new-key", "team"]).good();
    let run = |policy: &str| {
        place.write("policy.toml", policy);
        place.samara(&["--policy", "policy.toml", "run", "r.example/team/tiny:1"]).bad()
    };
    let said = run(&policy("r.example"));
    assert!(said.contains("is not signed"), "{said}");
    let said = run("default = \"refuse\"\n");
    assert!(said.contains("no rule of `policy.toml` names it"), "{said}");
    let said = run("default = \"accept\"\n[[rule]]\nreference = \"r.example/*\"\nrequire = \"refuse\"\n");
    assert!(said.contains("the policy refuses it"), "{said}");
}

#[test]
fn a_policy_that_cannot_be_read_refuses_everything() {
    let place = Place::new();
    place.tiny("tiny", 1);
    place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    place.samara(&["save", "tiny:1", "-o", "tiny.tar"]).good();
    place.write("broken.toml", "default = \"accept\"\nunknown = 1\n");
    place.write("keyless.toml", policy("r.example"));
    for (file, words) in
        [("broken.toml", "broken.toml:2"), ("keyless.toml", "team.pub"), ("missing.toml", "missing.toml")]
    {
        let commands: [&[&str]; 5] = [
            &["run", "tiny:1"],
            &["run", "tiny"],
            &["inspect", "tiny/m.onnx"],
            &["load", "tiny.tar"],
            &["verify", "tiny:1"],
        ];
        for arguments in commands {
            let said = place.samara(&[&["--policy", file], arguments].concat()).bad();
            assert!(said.contains(words), "{file}, {arguments:?}: {said}");
        }
    }
    // The one that stands for the user's own.
    place.write("home/samara/policy.toml", "default = \"refuse\"\nlocal = \"refuse\"\n");
    for what in ["tiny:1", "tiny", "tiny/tiny.wasm"] {
        let said = place.samara(&["run", what]).bad();
        assert!(said.contains("samara/policy.toml"), "{what}: {said}");
    }
}

#[test]
fn cosign_and_samara_accept_what_the_other_signed() {
    if samara_test::trixie("cosign").is_none() {
        return;
    }
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let place = Place::new();
    place.tiny("tiny", 1);
    let cosign = |arguments: &[&str]| {
        let mut command = samara_test::trixie("cosign").unwrap();
        place.settle(&mut command);
        ran(command.env("HOME", place.path("home")).args(arguments))
    };
    let name = format!("{}/team/tiny:1", registry.host());
    let packed = place.digest(&["pack", "tiny", "-t", &name]);
    place.digest(&["push", &name]);
    let verified = |key: &str| cosign(&["verify", "--key", key, "--insecure-ignore-tlog=true", &name]).code;
    place.samara(&["sign", "--new-key", "team"]).good();
    assert_ne!(verified("team.pub"), Some(0));
    place.samara(&["sign", &name, "--key", "team.key"]).good();
    place.digest(&["push", &name]);
    assert_eq!(verified("team.pub"), Some(0));

    cosign(&["generate-key-pair", "--output-key-prefix", "theirs"]).good();
    let exactly = format!("{}/team/tiny@{packed}", registry.host());
    let theirs = ["verify", &name, "--key", "theirs.pub"];
    // Only the registry has it then, and what another store has says nothing.
    cosign(&["sign", "--key", "theirs.key", "--tlog-upload=false", "--yes", &exactly]).good();
    assert_eq!(place.digest(&at("other", &theirs)), packed);
    assert!(place.samara(&theirs).bad().contains("none by the key"));
    place.digest(&["pull", &name]);
    assert_eq!(place.digest(&theirs), packed);

    // samara signs with cosign's key.
    place.tiny("tiny", 2);
    place.digest(&["pack", "tiny", "-t", &name]);
    place.samara(&["sign", &name, "--key", "theirs.key"]).good();
    place.digest(&["push", &name]);
    assert_eq!(verified("theirs.pub"), Some(0));
    assert_ne!(verified("team.pub"), Some(0));
}

#[test]
fn keys_are_private_and_their_passwords_are_asked_for() {
    let place = Place::new();
    place.tiny("tiny", 1);
    place.digest(&["pack", "tiny", "-t", "tiny:1"]);
    place.samara(&["sign", "--new-key", "team"]).good();
    let mode = |file: &str| std::fs::metadata(place.path(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("team.key"), 0o600);
    let before = std::fs::read(place.path("team.key")).unwrap();
    assert!(place.samara(&["sign", "--new-key", "team"]).bad().contains("team.key"));
    assert_eq!(std::fs::read(place.path("team.key")).unwrap(), before, "a key is never overwritten");

    let sign = |change: &dyn Fn(&mut Command)| {
        let mut command = place.command(&["sign", "tiny:1", "--key", "team.key"]);
        change(&mut command);
        ran(&mut command)
    };
    let wrong = sign(&|command| {
        command.env("SAMARA_KEY_PASSWORD", "another word");
    });
    assert!(wrong.bad().contains("password"));
    let without = sign(&|command| {
        command.env_remove("SAMARA_KEY_PASSWORD").env_remove("COSIGN_PASSWORD");
    });
    assert!(without.bad().contains("SAMARA_KEY_PASSWORD"));
    let named = place.samara(&["sign", "tiny:1", "--key", "team.pub"]).bad();
    assert!(named.contains("cannot sign with `team.pub`"), "{named}");
    sign(&|_| ()).good();
    place.digest(&["verify", "tiny:1", "--key", "team.pub"]);
    let nobody = place.samara(&["verify", "tiny:1"]).bad();
    assert!(nobody.contains("no key is given") && nobody.contains("hint: "), "{nobody}");
}

/// A policy that wants the signature of `team.pub` beside it.
fn policy(registry: &str) -> String {
    format!(
        "default = \"refuse\"\n\n[[rule]]\nreference = \"{registry}/team/*\"\n\
         require = \"signature\"\nkeys = [\"team.pub\"]\n"
    )
}
