//! Files as bytes without reading them: the pages that are used are read, and
//! all processes share them.

use std::fs::File;

use bytes::Bytes;
use memmap2::Mmap;

/// The content of a file, for as long as somebody holds it.
///
/// # Errors
/// When it is no file, or the system does not map it.
pub fn map(file: &File) -> std::io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new()); // nothing to map
    }
    // SAFETY: the bytes stay as they are while nobody writes into the file.
    // Content of the store is never written to after it got its name: it is
    // read-only, in a folder that only its user may enter, and whoever writes
    // makes a new file and renames it. A bundle is a program that its user
    // runs: samara replaces one by a rename, and to write into it while it
    // runs is as wrong as with any other executable file. The files of a
    // container's image belong to the node's administrator, and are shared by
    // all containers of the image in the same way.
    #[expect(unsafe_code, reason = "a mapping is how weights are read without a copy")]
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
