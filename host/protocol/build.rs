//! Makes Rust of the messages in the protobuf files. The parser is Rust too, so
//! that nobody needs `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = protox::Compiler::new(["proto"])?;
    files.include_source_info(true).include_imports(true).open_file("grpc_service.proto")?;
    prost_build::Config::new()
        .bytes([".inference"])
        .btree_map([".inference"])
        .compile_fds(files.file_descriptor_set())?;
    Ok(())
}
