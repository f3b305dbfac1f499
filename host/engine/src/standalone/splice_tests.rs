//! Tests of the splicer, on components in text.

use super::*;

/// A module with a slot at address 16; `around` stands before it.
fn module(memory: &str, data: &str) -> String {
    format!(
        r#"(core module
            (memory (export "memory") {memory})
            (data (i32.const 16) "{data}")
            (func (export "length") (result i32) (i32.load (i32.const 44)))
            (func (export "first") (result i32) (i32.load8_u (i32.load (i32.const 40)))))"#
    )
}

const SLOT: &str = r"samara-standalone-slot-1\00\00\00\00\00\00\00\00";

fn component(inside: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {inside})")).unwrap()
}

fn runner() -> Vec<u8> {
    component(&format!(r#"(core module) {} (core module (memory 1))"#, module("2", SLOT)))
}

fn reason(runner: &[u8]) -> String {
    splice(runner, b"model").unwrap_err().to_string()
}

#[test]
fn the_payload_lies_behind_the_runners_own_memory() {
    let spliced = splice(&runner(), &[7; 100_000]).unwrap();
    let engine = wasmtime::Engine::default();
    wasmtime::component::Component::new(&engine, &spliced).unwrap();
    let all = sections(&spliced, COMPONENT).unwrap();
    let module =
        &spliced[all.iter().filter(|section| section.id == CORE_MODULE).nth(1).unwrap().content.clone()];
    let module = wasmtime::Module::new(&engine, module).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    // Two pages of its own, and two that the payload takes.
    assert_eq!(memory.size(&store), 4);
    assert_eq!(memory.data(&store)[2 * PAGE..2 * PAGE + 100_000], [7; 100_000]);
    let mut call =
        |name| instance.get_typed_func::<(), i32>(&mut store, name).unwrap().call(&mut store, ()).unwrap();
    assert_eq!((call("length"), call("first")), (100_000, 7));
}

#[test]
fn the_same_parts_give_the_same_bytes_and_others_others() {
    let (one, two) = (splice(&runner(), b"one").unwrap(), splice(&runner(), b"two").unwrap());
    assert_eq!(one, splice(&runner(), b"one").unwrap());
    assert_eq!(one.len(), two.len());
    assert_ne!(one, two);
}

#[test]
fn only_the_marked_module_is_rewritten() {
    let (before, after) = (runner(), splice(&runner(), b"model").unwrap());
    let contents = |bytes: &[u8]| -> Vec<Vec<u8>> {
        sections(bytes, COMPONENT)
            .unwrap()
            .into_iter()
            .map(|section| bytes[section.content].to_vec())
            .collect()
    };
    let (before, after) = (contents(&before), contents(&after));
    assert_eq!(before.len(), after.len());
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 1);
}

#[test]
fn what_is_no_runner_is_refused() {
    assert!(reason(b"").contains("does not begin"));
    assert!(reason(&wat::parse_str("(module)").unwrap()).contains("does not begin"));
    assert!(reason(&component("(core module)")).contains("no place for a model"));
    let two = module("1", SLOT);
    assert!(reason(&component(&format!("{two}{two}"))).contains("two of its modules"));
    assert!(reason(&component(&module("1", &format!("{SLOT}{SLOT}")))).contains("two places"));
    // The mark ends with the segment: there is no room for the address behind it.
    assert!(reason(&component(&module("1", &SLOT[..24]))).contains("no place for a model in its data"));
    assert!(reason(&splice(&runner(), b"model").unwrap()).contains("a model already"));
    let imported = format!(r#"(core module (import "m" "m" (memory 1)) (data (i32.const 0) "{SLOT}"))"#);
    assert!(reason(&component(&imported)).contains("not its own"));
    let mut cut = runner();
    cut.truncate(cut.len() - 3);
    assert!(matches!(splice(&cut, b"model"), Err(StandaloneError::Runner(_))));
}

#[test]
fn a_flipped_byte_is_never_a_panic() {
    let runner = runner();
    for place in 0..runner.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut hostile = runner.clone();
            hostile[place] ^= flip;
            // Either is fine: that it returns is what counts.
            let _ = splice(&hostile, b"model");
        }
    }
}

#[test]
fn a_memory_that_is_too_small_for_the_model_is_told() {
    let small = component(&module("1 2", SLOT));
    assert!(splice(&small, &[0; PAGE]).is_ok());
    let error = splice(&small, &[0; PAGE + 1]).unwrap_err().to_string();
    assert!(error.contains("takes 65537 bytes") && error.contains("room for 65536"), "{error}");
    let full = component(&module("65000", SLOT));
    assert!(matches!(splice(&full, b"model"), Err(StandaloneError::TooLarge { most: 0, .. })));
}

#[test]
fn numbers_are_written_as_webassembly_reads_them() {
    for value in [0, 1, 63, 64, 127, 128, 8192, i32::MAX, -1, -64, -65, i32::MIN] {
        let bytes = signed(value);
        assert_eq!(BinaryReader::new(&bytes, 0).read_var_i32().unwrap(), value);
    }
    for value in [0, 127, 128, 16384, u32::MAX] {
        let bytes = unsigned(u64::from(value));
        assert_eq!(BinaryReader::new(&bytes, 0).read_var_u32().unwrap(), value);
    }
}
