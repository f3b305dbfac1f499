//! New settings while requests run.

use std::sync::atomic::{AtomicBool, Ordering};

use samara_server::{Config, Error, FunctionConfig, TlsFiles, Token};

use crate::common::{Builder, Item, Server};
use crate::{ask, doubling, expect_doubled, expect_row, row, wait_until};

fn config(what: &[&str]) -> Config {
    Config { functions: what.iter().map(|&what| FunctionConfig::new(what)).collect(), ..Config::default() }
}

fn reload(server: &Server, config: Config) -> Result<(), Error> {
    server.block_on(server.running().reload(config))
}

fn gated(name: &str) -> Builder {
    Builder::new().serve_as("it", Item::gated(name), |_| {})
}

#[test]
fn what_runs_ends_as_it_began_while_the_new_version_answers() {
    let server = gated("f").start();
    let mut old = ask(&server, "f", 1, "");
    server.gate.wait_for(1);
    server.shelf.put("it", doubling("f"));
    server.shelf.put("more", doubling("g"));
    reload(&server, config(&["it", "more"])).unwrap();
    expect_doubled(&server, "f");
    expect_doubled(&server, "g");
    server.gate.open();
    expect_row(&mut old, 1);
    reload(&server, config(&["more"])).unwrap();
    let gone = server.post("/v2/models/f/infer", &crate::wide_row(1));
    assert_eq!((gone.status, gone.error().as_str()), (404, "no function is served as `f`; there is `g`"));
}

#[test]
fn wrong_settings_change_nothing() {
    let server = Builder::new().serve_as("it", doubling("f"), |_| {}).start();
    server.shelf.put("more", doubling("g"));
    server.shelf.put("broken", Item::model("broken", b"no model".to_vec()));
    server.shelf.put("again", doubling("f"));
    let tokens = vec![Token::new("secret")];
    let certificate = |path: &str| Some(TlsFiles { certificates: path.into(), key: path.into() });
    let wrong = [
        (config(&["more", "nothing"]), "nothing is called `nothing`"),
        (config(&["more", "broken"]), "`broken` cannot be loaded: "),
        (config(&["it", "again"]), "`f` cannot be loaded: version 1 is there twice\nhint: "),
        (
            Config { tls: certificate("/nowhere.pem"), ..config(&["more"]) },
            "cannot use `/nowhere.pem` for TLS",
        ),
    ];
    for (config, words) in wrong {
        let error = reload(&server, Config { tokens: tokens.clone(), ..config }).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        // Neither the functions nor the tokens.
        expect_doubled(&server, "f");
        assert_eq!(server.get("/v2/models/g").status, 404);
    }
    reload(&server, Config { tokens, ..config(&["it"]) }).unwrap();
    assert_eq!(server.get("/v2/models/f").status, 401);
    let known = server.client().send("GET", "/v2/models/f", &[("authorization", "Bearer secret")], b"");
    assert_eq!(known.status, 200);
}

#[test]
fn new_limits_of_a_function_hold_at_once_and_those_who_are_in_stay() {
    let within = |running, queue| {
        let mut config = config(&["it"]);
        (config.functions[0].concurrency, config.functions[0].queue) = (Some(running), Some(queue));
        config
    };
    let server = gated("f").config(|config| *config = within(1, 0)).start();
    let refused = |running, waiting| {
        let refused = server.post("/v2/models/f/infer", &row(9));
        let words = format!("`f` is full: {running} requests run and {waiting} wait; try again later");
        assert_eq!((refused.status, refused.error()), (503, words));
    };
    let mut inside = vec![ask(&server, "f", 1, "")];
    server.gate.wait_for(1);
    refused(1, 0);
    reload(&server, within(2, 0)).unwrap();
    inside.push(ask(&server, "f", 2, ""));
    wait_until(&server, "f", 2, 0);
    refused(2, 0);
    reload(&server, within(1, 1)).unwrap();
    inside.push(ask(&server, "f", 3, ""));
    wait_until(&server, "f", 2, 1);
    refused(2, 1);
    // One of the two that are too many.
    server.gate.let_pass(1);
    wait_until(&server, "f", 1, 1);
    server.gate.open();
    for (client, number) in inside.iter_mut().zip(1..) {
        expect_row(client, number);
    }
}

#[test]
fn new_limits_of_the_server_hold_at_once() {
    let limits = |change: fn(&mut samara_server::ServeLimits)| {
        let mut config = config(&["it"]);
        config.limits.body = 100;
        change(&mut config.limits);
        config
    };
    let server = gated("f").config(|config| *config = limits(|limits| limits.concurrency = 1)).start();
    let mut first = ask(&server, "f", 1, "");
    server.gate.wait_for(1);
    let mut second = ask(&server, "f", 2, "");
    wait_until(&server, "f", 1, 1);
    reload(&server, limits(|limits| limits.concurrency = 2)).unwrap();
    wait_until(&server, "f", 2, 0);
    // What the two hold is more than may be held from now on.
    reload(&server, limits(|limits| limits.bodies = 100)).unwrap();
    let crowded = server.post("/v2/models/f/infer", &row(3));
    assert_eq!(crowded.status, 503);
    assert!(crowded.error().contains("larger than 100 bytes now"), "{}", crowded.error());
    server.gate.open();
    expect_row(&mut first, 1);
    expect_row(&mut second, 2);
    reload(&server, limits(|limits| limits.connections = 2)).unwrap();
    let is_refused = || {
        let mut client = server.client();
        client.write(b"GET /v2 HTTP/1.1\r\nhost: here\r\n\r\n");
        client.is_closed()
    };
    assert!(is_refused());
    drop(first);
    // Its place comes back some time later.
    while is_refused() {}
    drop(second);
}

#[test]
fn several_versions_answer_side_by_side_and_the_last_one_by_default() {
    let server =
        Builder::new().serve(Item::gated("f").version("1.0.0")).serve(doubling("f").version("2.0.0")).start();
    server.gate.open();
    expect_doubled(&server, "f");
    expect_doubled(&server, "f/versions/2.0.0");
    expect_row(&mut ask(&server, "f/versions/1.0.0", 8, ""), 8);
    let unknown = server.get("/v2/models/f/versions/3");
    let words = "`f` is not served in version `3`; there is `1.0.0`, `2.0.0`";
    assert_eq!((unknown.status, unknown.error().as_str()), (404, words));
}

#[test]
fn nobody_sees_half_of_a_change() {
    let server = Builder::new()
        .serve_as("left", doubling("left").version("0"), |_| {})
        .serve_as("right", doubling("right").version("0"), |_| {})
        .start();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    let mut looks = 0;
                    while looks == 0 || !is_over.load(Ordering::Relaxed) {
                        let index = client.send("POST", "/v2/repository/index", &[], b"").json();
                        let version = |at: usize| index[at]["version"].as_str().unwrap().to_owned();
                        assert_eq!(index.as_array().unwrap().len(), 2, "{index}");
                        assert_eq!(version(0), version(1), "{index}");
                        let reply = client.send(
                            "POST",
                            "/v2/models/left/infer",
                            &[],
                            crate::wide_row(looks).as_bytes(),
                        );
                        assert_eq!(crate::numbers(&reply), [2 * looks; 4]);
                        looks += 1;
                    }
                })
            })
            .collect();
        for version in 1..=40 {
            for name in ["left", "right"] {
                server.shelf.put(name, doubling(name).version(&version.to_string()));
            }
            reload(&server, config(&["left", "right"])).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn routes_are_checked_before_anything_is_served() {
    let served = |name: &str, route: Option<&str>| {
        let route = route.map(str::to_owned);
        Builder::new().serve_as(name, Item::guest(name, "http_hello"), |function| function.route = route)
    };
    let refused = |builder: Builder| builder.try_start().err().unwrap().to_string();
    let taken = refused(served("hello", Some("/v2/models/x")));
    let words = "`hello` cannot be loaded: it cannot answer at `/v2/models/x`: the server itself answers at `/v2`\nhint: ";
    assert!(taken.starts_with(words), "{taken}");
    assert!(refused(served("metrics", None)).contains("the server itself answers at `/metrics`"));
    assert!(refused(served("hello", Some("/"))).contains("the server itself answers at `/`"));
    assert!(refused(served("hello", Some("hello"))).contains("is no path"));
    let other = |route: &'static str| {
        served("one", Some("/hi")).serve_as("two", Item::guest("two", "http_hello"), move |function| {
            function.route = Some(route.to_owned());
        })
    };
    let clash = refused(other("/hi/"));
    assert!(clash.starts_with("`two` cannot be loaded: `one` answers at `/hi` already\nhint: "), "{clash}");
    let both = other("/hi/there").start();
    assert_eq!(both.get("/hi/there/you").status, 200);
    let tensors =
        Builder::new().serve_as("it", doubling("f"), |function| function.route = Some("/f".to_owned()));
    assert!(refused(tensors).contains("it answers below no route such as `/f`"));
}
