//! Tensors as JSON, as the command line reads requests and responses. What was
//! read comes back the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_server::json::{Inputs, parse_request, parse_tensors};

fuzz_target!(|text: &str| {
    let _ = parse_tensors(text);
    let Ok(request) = parse_request(text) else { return };
    // Bytes that are no text and numbers that are none have no form in JSON.
    let Ok(written) = serde_json::to_string(&Inputs { inputs: &request.inputs }) else { return };
    let again = parse_request(&written).expect("what was written can be read");
    assert_eq!(again.inputs, request.inputs, "{written}");
});
