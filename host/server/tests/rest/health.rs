//! Whether the server lives, and whether balancers may send it requests.

use crate::common::{Builder, Item};

#[test]
fn a_server_says_that_it_lives_and_is_ready() {
    let server = Builder::new().serve(Item::gated("slow")).start();
    assert_eq!(server.get("/v2/health/live").status, 200);
    assert_eq!(server.get("/v2/health/ready").status, 200);
}

#[test]
fn a_function_that_cannot_be_loaded_keeps_a_server_from_starting() {
    let builder = Builder::new().serve(Item::model("broken", b"no model".to_vec()));
    let error = builder.try_start().err().unwrap().to_string();
    assert!(error.starts_with("`broken` cannot be loaded: "), "{error}");
}
