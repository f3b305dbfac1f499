//! What policies let pass, and what they refuse to be.

use std::path::{Path, PathBuf};

use super::*;
use crate::manifest::ErrorKind;
use crate::sign::{PrivateKey, sign};
use crate::spec::{self, Descriptor, ImageManifest};
use crate::store::Session;

/// A folder with a store, an image, and the public keys `one.pub`, `two.pub`
/// and `three.pub`.
struct Ground {
    folder: tempfile::TempDir,
    session: Session,
    image: Digest,
    keys: [PrivateKey; 3],
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let session = Store::at(folder.path().join("store")).session().unwrap();
        let manifest = ImageManifest::new(Descriptor::of("text/plain", b"x"), Vec::new());
        let image = session.put(&spec::to_bytes(&manifest)).unwrap();
        let keys = ["one", "two", "three"].map(|name| {
            let key = PrivateKey::generate().unwrap();
            std::fs::write(folder.path().join(format!("{name}.pub")), key.public().to_pem()).unwrap();
            key
        });
        Self { folder, session, image, keys }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn load(&self, text: &str) -> Result<Policy> {
        std::fs::write(self.file(), text).unwrap();
        Policy::load(&self.file())
    }

    fn problem(&self, text: &str) -> manifest::Error {
        match self.load(text).unwrap_err() {
            Error::Policy(error) => error,
            error => panic!("{error}"),
        }
    }

    fn sign(&self, key: usize) {
        let reference = "elsewhere/x".parse().unwrap();
        sign(&self.session, &reference, &self.image, &self.keys[key]).unwrap();
    }

    fn check(&self, policy: &Policy, reference: &str) -> Result<PolicyDecision> {
        policy.check(self.session.store(), &reference.parse().unwrap(), &self.image)
    }

    fn refusal(&self, policy: &Policy, reference: &str) -> String {
        let error = self.check(policy, reference).unwrap_err();
        assert_eq!(error.kind(), crate::sign::ErrorKind::Refused, "{error}");
        error.to_string()
    }
}

const TEAM: &str = r#"
default = "refuse"

[[rule]]
reference = "r.io/team/*"
require = "signature"
keys = ["one.pub", "two.pub"]

[[rule]]
reference = "r.io/team/draft"
require = "nothing"

[[rule]]
reference = "r.io/team/draft:old"
require = "refuse"
"#;

#[test]
fn without_a_policy_everything_passes() {
    let ground = Ground::new();
    assert_eq!(ground.check(&Policy::none(), "a").unwrap(), PolicyDecision::NoPolicy);
    assert_eq!(Policy::none().check_local("folder").unwrap(), PolicyDecision::NoPolicy);
}

#[test]
fn the_most_specific_rule_holds() {
    let ground = Ground::new();
    let policy = ground.load(TEAM).unwrap();
    let decision = ground.check(&policy, "r.io/team/draft:new").unwrap();
    assert!(decision.to_string().starts_with("the rule `r.io/team/draft` ("), "{decision}");
    let place = Place { file: ground.file(), line: 10, column: 13 };
    assert_eq!(decision, PolicyDecision::Unsigned { rule: "r.io/team/draft".to_owned(), place });
    assert!(ground.refusal(&policy, "r.io/team/draft:old").contains("rule `r.io/team/draft:old`"));
    assert!(ground.refusal(&policy, "r.io/team/digits").contains("is not signed, by the rule `r.io/team/*`"));
    assert!(ground.refusal(&policy, "r.io/other").contains("no rule of"));
    assert!(ground.refusal(&policy, "digits").contains("no rule of"), "a local name");
    let by_digest = format!("r.io/team/x@{}", ground.image);
    assert!(ground.refusal(&policy, &by_digest).contains("rule `r.io/team/*`"));
}

#[test]
fn one_of_the_keys_suffices_and_is_named() {
    let ground = Ground::new();
    let policy = ground.load(TEAM).unwrap();
    ground.sign(2);
    let refusal = ground.refusal(&policy, "r.io/team/digits");
    assert!(refusal.contains("has one signature, but none by the keys"), "{refusal}");
    assert!(refusal.contains("\nhint: `samara sign` signs it"), "{refusal}");
    assert!(refusal.contains("policy.toml:5:13"), "{refusal}");
    ground.sign(1);
    let decision = ground.check(&policy, "r.io/team/digits").unwrap();
    assert!(decision.to_string().starts_with("signed by `"), "{decision}");
    assert!(decision.to_string().ends_with("policy.toml:5:13) asks"), "{decision}");
    match decision {
        PolicyDecision::Signed { rule, signers, verified, .. } => {
            assert_eq!(rule, "r.io/team/*");
            let file = ground.folder.path().join("two.pub");
            assert_eq!(signers, [Signer { file, id: ground.keys[1].public().id() }]);
            assert_eq!(verified.others, 1);
        }
        decision => panic!("{decision:?}"),
    }
}

#[test]
fn so_many_different_keys_must_have_signed() {
    let ground = Ground::new();
    // The same key under two names signs once.
    let copy = ground.folder.path().join("copy.pub");
    std::fs::copy(ground.folder.path().join("one.pub"), copy).unwrap();
    let rule = |least: usize| {
        format!(
            "default = \"accept\"\n[[rule]]\nreference = \"*\"\nrequire = \"signature\"\n\
             keys = [\"one.pub\", \"copy.pub\", \"two.pub\"]\nmin-signatures = {least}\n"
        )
    };
    let policy = ground.load(&rule(2)).unwrap();
    assert!(ground.problem(&rule(3)).to_string().contains("there are 2 different keys"));
    assert_eq!(ground.problem(&rule(0)).kind(), ErrorKind::BadValue);
    ground.sign(0);
    // By another repository's name: a second document by the same key.
    sign(&ground.session, &"b".parse().unwrap(), &ground.image, &ground.keys[0]).unwrap();
    assert!(ground.refusal(&policy, "a").contains("by 1 of the 2 keys"));
    ground.sign(1);
    assert!(matches!(ground.check(&policy, "a").unwrap(), PolicyDecision::Signed { .. }));
}

#[test]
fn a_signature_of_another_image_does_not_pass() {
    let ground = Ground::new();
    let policy = ground.load(TEAM).unwrap();
    ground.sign(0);
    let other = ImageManifest::new(Descriptor::of("text/plain", b"y"), Vec::new());
    let other = ground.session.put(&spec::to_bytes(&other)).unwrap();
    for referrer in ground.session.store().referrers(&ground.image).unwrap() {
        ground.session.add_referrer(&other, &referrer).unwrap();
    }
    let refused = policy.check(ground.session.store(), &"r.io/team/a".parse().unwrap(), &other).unwrap_err();
    assert!(refused.to_string().contains("no signature that can be used"), "{refused}");
}

#[test]
fn what_has_no_name_is_decided_apart() {
    let ground = Ground::new();
    let policy = ground.load(TEAM).unwrap();
    assert_eq!(policy.check_local("./digits").unwrap(), PolicyDecision::Default { file: ground.file() });
    let policy = ground.load("default = \"accept\"\nlocal = \"refuse\"").unwrap();
    let refused = policy.check_local("./digits").unwrap_err();
    assert_eq!(refused.kind(), crate::sign::ErrorKind::Refused);
    assert!(refused.to_string().starts_with("`./digits` is refused"));
    assert_eq!(ground.check(&policy, "a").unwrap(), PolicyDecision::Default { file: ground.file() });
}

#[test]
fn a_doubtful_policy_is_an_error_with_its_place() {
    let ground = Ground::new();
    let rule = |rest: &str| format!("default = \"accept\"\n[[rule]]\nreference = \"a\"\n{rest}");
    let cases = [
        (String::new(), ErrorKind::Missing, "`default`"),
        ("default = \"signed\"".to_owned(), ErrorKind::BadValue, "\"accept\" or \"refuse\""),
        ("default = true".to_owned(), ErrorKind::WrongType, "must be a string"),
        ("default = ".to_owned(), ErrorKind::Syntax, "policy.toml:1:"),
        ("default = \"accept\"\nrules = []".to_owned(), ErrorKind::UnknownKey, "`rule`"),
        (rule(""), ErrorKind::Missing, "`require`"),
        (rule("require = \"sig\""), ErrorKind::BadValue, "\"signature\", \"nothing\" or"),
        (rule("require = \"signature\""), ErrorKind::Missing, "`keys`"),
        (rule("require = \"signature\"\nkeys = []"), ErrorKind::BadValue, "policy.toml:5:8"),
        (rule("require = \"signature\"\nkeys = \"one.pub\""), ErrorKind::WrongType, "an array"),
        (rule("require = \"signature\"\nkeys = [\"absent.pub\"]"), ErrorKind::BadValue, "No such file"),
        (rule("require = \"signature\"\nkeys = [\"policy.toml\"]"), ErrorKind::BadValue, "no PEM text"),
        (rule("require = \"nothing\"\nkeys = [\"one.pub\"]"), ErrorKind::Conflict, "only with"),
        (rule("require = \"refuse\"\nmin-signatures = 1"), ErrorKind::Conflict, "only with"),
        (rule("require = \"nothing\"\nkey = 1"), ErrorKind::UnknownKey, "did you mean `keys`?"),
        (rule("require = \"nothing\"").replace("\"a\"", "\"A\""), ErrorKind::BadValue, "lower-case"),
        (
            rule("require = \"nothing\"\n[[rule]]\nreference = \"a\"\nrequire = \"refuse\""),
            ErrorKind::Conflict,
            "policy.toml:6:13: a second rule for `a`",
        ),
    ];
    for (text, kind, says) in cases {
        let error = ground.problem(&text);
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let absent = Policy::load(Path::new("absent.toml")).unwrap_err();
    assert_eq!(absent.kind(), crate::sign::ErrorKind::Policy);
}

#[test]
fn a_rule_may_want_the_name_that_was_signed() {
    let ground = Ground::new();
    ground.sign(0); // for `elsewhere/x`
    let rule =
        "default = \"refuse\"\n[[rule]]\nreference = \"*\"\nrequire = \"signature\"\nkeys = [\"one.pub\"]\n";
    for name in ["elsewhere/x:2", "r.io/team/digits"] {
        assert!(ground.check(&ground.load(rule).unwrap(), name).is_ok(), "{name}");
    }
    let policy = ground.load(&format!("{rule}match-name = true\n")).unwrap();
    assert!(ground.check(&policy, "elsewhere/x:2").is_ok());
    let refusal = ground.refusal(&policy, "r.io/team/digits");
    assert!(refusal.contains("it is for another name, `elsewhere/x`"), "{refusal}");
    let spelled = "docker.io/team/x".parse().unwrap();
    sign(&ground.session, &spelled, &ground.image, &ground.keys[0]).unwrap();
    assert!(ground.check(&policy, "index.docker.io/team/x:1").is_ok());
    let problem = ground.problem(
        "default = \"accept\"\n[[rule]]\nreference = \"*\"\nrequire = \"nothing\"\nmatch-name = true\n",
    );
    assert_eq!(problem.kind(), ErrorKind::Conflict);
}
