//! A request of REST: JSON, and tensors behind it. Its first two bytes say how
//! much of it is JSON; where they are the highest, all of it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((length, body)) = input.split_first_chunk() {
        let length = u16::from_le_bytes(*length);
        let json_length = (length < u16::MAX).then_some(length.into());
        samara_protocol::fuzzing::rest_infer_request(json_length, body);
    }
});
