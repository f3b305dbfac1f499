//! Makes Rust of the protobuf files, and their descriptors for reflection. The
//! parser is Rust too, so that nobody needs `protoc`.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = protox::Compiler::new(["proto"])?;
    files.include_source_info(true).include_imports(true).open_file("grpc_service.proto")?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), files.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .use_arc_self(true)
        .bytes(".inference")
        .btree_map(".inference")
        .codec_path("crate::grpc::codec::Codec")
        .compile_fds(files.file_descriptor_set())?;
    Ok(())
}
