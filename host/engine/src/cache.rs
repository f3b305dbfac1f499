//! Compiled code on disk. Files are only ever written by this module, whole or
//! not at all, so that they may be mapped and run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use wasmtime::Engine;

use crate::code::{Code, Form};
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::report::Compiled;
use crate::sweep;

/// A folder of compiled code, one subfolder per compiler and settings.
pub(crate) struct CodeCache {
    folder: PathBuf,
    access: Access,
}

/// Who uses the folder, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// One user, who reads and writes it.
    Private,
    /// Written by this user, read by others.
    Shared,
    /// Written by somebody who is trusted.
    ReadOnly,
}

/// Code and where it came from.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    pub(crate) compiled: Compiled,
    /// Why the code could not be kept, if it could not.
    pub(crate) warning: Option<String>,
}

impl CodeCache {
    /// Opens the cache below `folder`, which is created when it is first
    /// written to.
    pub(crate) fn new(folder: &Path, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder: folder.join(format!("{:016x}", hasher.finish())), access: Access::Private }
    }

    /// Lets other users read what is written.
    pub(crate) fn shared(self) -> Self {
        Self { access: Access::Shared, ..self }
    }

    /// Writes nothing.
    pub(crate) fn read_only(self) -> Self {
        Self { access: Access::ReadOnly, ..self }
    }

    fn path(&self, bytes: &[u8]) -> PathBuf {
        let digest = sha256(bytes);
        self.folder.join(digest.trim_start_matches("sha256:")).with_extension("cwasm")
    }

    fn load(&self, engine: &Engine, path: &Path, form: Form) -> Option<Code> {
        if !path.exists() {
            return None;
        }
        // SAFETY: the file was written by `store` below, which publishes only
        // what this compiler made, complete and synced, under a name that
        // carries the digest of its source. Nobody else writes to the folder: it
        // is private to the user, or to the one whom a reader trusts.
        let code = unsafe { form.map(engine, path) };
        code.ok()
    }

    fn store(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        create_folder(&self.folder, self.access)?;
        if let Some(root) = self.folder.parent() {
            sweep::sweep(root);
        }
        let mut file = tempfile::Builder::new().prefix(sweep::WRITING).tempfile_in(&self.folder)?;
        file.write_all(code)?;
        if self.access == Access::Shared {
            let_others_read(file.as_file())?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Gives the compiled form of `bytes`: from the cache, or compiled now and put
/// there.
///
/// # Errors
/// When the bytes are no WebAssembly or do not compile. A cache that cannot be
/// written is a warning.
pub(crate) fn load(
    function: &str,
    engine: &Engine,
    cache: Option<&CodeCache>,
    bytes: &[u8],
) -> Result<Loaded> {
    let form = Form::of(function, bytes)?;
    let started = Instant::now();
    let Some(cache) = cache else {
        let code = form.compile(engine, bytes).map_err(|error| compile_error(function, &error))?;
        return Ok(Loaded { code, compiled: Compiled::Now(started.elapsed()), warning: None });
    };
    let path = cache.path(bytes);
    if let Some(code) = cache.load(engine, &path, form) {
        if cache.access != Access::ReadOnly {
            sweep::note_use(&path);
        }
        return Ok(Loaded { code, compiled: Compiled::Cached(started.elapsed()), warning: None });
    }
    let bytes = form.precompile(engine, bytes).map_err(|error| compile_error(function, &error))?;
    let kept = match cache.access {
        Access::ReadOnly => None,
        Access::Private | Access::Shared => Some(cache.store(&path, &bytes)),
    };
    let code = if let Some(Ok(())) = kept { cache.load(engine, &path, form) } else { None };
    let warning = kept
        .and_then(Result::err)
        .map(|error| format!("compiled code is not kept in `{}`: {error}", cache.folder.display()));
    let code = match code {
        Some(code) => Ok(code),
        // SAFETY: the bytes come straight from this engine's compiler.
        None => unsafe { form.deserialize(engine, &bytes) },
    };
    let code = code.map_err(|error| compile_error(function, &error))?;
    Ok(Loaded { code, compiled: Compiled::Now(started.elapsed()), warning })
}

fn compile_error(function: &str, error: &wasmtime::Error) -> Error {
    Error::Compile { function: function.to_owned(), reason: format!("{error:#}") }
}

#[cfg(unix)]
fn create_folder(folder: &Path, access: Access) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mode = if access == Access::Shared { 0o755 } else { 0o700 };
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path, _access: Access) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(unix)]
fn let_others_read(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn let_others_read(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn loaded(engine: &Engine, cache: &CodeCache) -> Loaded {
        load("f", engine, Some(cache), EMPTY_COMPONENT).unwrap()
    }

    #[test]
    fn code_is_compiled_once_and_a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let engine = crate::config::engine(1).unwrap();
        let cache = CodeCache::new(folder.path(), &engine);
        assert!(matches!(loaded(&engine, &cache).compiled, Compiled::Now(_)));
        assert!(matches!(loaded(&engine, &cache).compiled, Compiled::Cached(_)));

        let file = std::fs::read_dir(&cache.folder).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"torn").unwrap();
        assert!(matches!(loaded(&engine, &cache).compiled, Compiled::Now(_)));
        assert!(matches!(loaded(&engine, &cache).compiled, Compiled::Cached(_)));
    }

    #[test]
    fn concurrent_writers_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let engine = crate::config::engine(1).unwrap();
        let cache = CodeCache::new(folder.path(), &engine);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| loaded(&engine, &cache));
            }
        });
        assert_eq!(std::fs::read_dir(&cache.folder).unwrap().count(), 1);
        assert!(matches!(loaded(&engine, &cache).compiled, Compiled::Cached(_)));
    }

    #[test]
    fn a_reader_finds_what_a_compiler_made_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = crate::config::engine(7).unwrap();
        let reader = CodeCache::new(folder.path(), &engine).read_only();
        assert!(matches!(loaded(&engine, &reader).compiled, Compiled::Now(_)));
        assert!(matches!(loaded(&engine, &reader).compiled, Compiled::Now(_)));
        // Of another size, as another process has it.
        let compiler = crate::Compiler::new(folder.path()).unwrap();
        let (_, warning) = compiler.compile("f", EMPTY_COMPONENT).unwrap();
        assert_eq!(warning, None);
        assert!(matches!(loaded(&engine, &reader).compiled, Compiled::Cached(_)));
    }

    #[test]
    fn an_unwritable_cache_is_a_warning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let engine = crate::config::engine(1).unwrap();
        let cache = CodeCache::new(file.path(), &engine);
        let warning = loaded(&engine, &cache).warning.unwrap();
        assert!(warning.contains("is not kept in"), "{warning}");
    }

    #[test]
    fn what_is_no_component_is_named() {
        let engine = crate::config::engine(1).unwrap();
        let refusal = |bytes: &[u8]| load("f.wasm", &engine, None, bytes).err().unwrap().to_string();
        assert!(refusal(b"").contains("the file is empty"));
        assert!(refusal(b"\x7fELF....").contains("a native ELF file"));
        assert!(refusal(b"\x08\x0a\x12\x07pytorch").contains("does not begin as WebAssembly does"));
        assert!(refusal(&EMPTY_COMPONENT[..6]).contains("of a version that this host does not know"));
        let truncated = [EMPTY_COMPONENT, b"\x01\xff"].concat();
        assert!(refusal(&truncated).starts_with("`f.wasm` does not compile: "), "{}", refusal(&truncated));
    }
}
