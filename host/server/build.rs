//! Makes Rust of the service in the protobuf files, whose messages are the
//! protocol's, and their descriptors for reflection.

use std::error::Error;
use std::path::Path;

const PROTO: &str = "../protocol/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let mut files = protox::Compiler::new([PROTO])?;
    files.include_source_info(true).include_imports(true).open_file("grpc_service.proto")?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), files.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .use_arc_self(true)
        .extern_path(".inference", "::samara_protocol::grpc::proto")
        .codec_path("crate::grpc::codec::Codec")
        .compile_fds(files.file_descriptor_set())?;
    Ok(())
}
