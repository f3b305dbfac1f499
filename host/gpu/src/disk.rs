//! What the driver made of shaders, kept on disk from one process to the next.
//!
//! A file belongs to one kind of device and begins with the digest of the rest:
//! one that is cut short or changed is put away and made anew. Drivers look
//! further whether the data are their own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use wgpu::{PipelineCache, PipelineCacheDescriptor};

use crate::device::lock;

/// The pipelines of a device, on disk.
pub(crate) struct DiskCache {
    cache: PipelineCache,
    path: PathBuf,
    /// The digest of what lies on disk.
    kept: Mutex<Option<[u8; 32]>>,
}

/// More than this is not kept: a file only ever grows.
const MOST: usize = 256 << 20;

const DIGEST: usize = 32;

impl DiskCache {
    /// The cache of a device in `folder`, apart from those of devices on the same
    /// adapter that are opened for another `purpose`; `None` where its interface
    /// has none.
    pub(crate) fn open(
        device: &wgpu::Device,
        info: &wgpu::AdapterInfo,
        folder: &Path,
        purpose: &str,
    ) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        let path = folder.join(format!("{key}{purpose}")).with_extension("bin");
        let data = read(&path);
        let descriptor =
            PipelineCacheDescriptor { label: Some("samara"), data: data.as_deref(), fallback: true };
        // SAFETY: the data are what `PipelineCache::get_data` gave for a device
        // with this key: `save` writes nothing else under this name, in a folder
        // that `read` found to be writable by this user alone, and the digest
        // says that nothing was lost or changed since.
        #[expect(unsafe_code, reason = "the one call that hands bytes of a file to a driver")]
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        let kept = Mutex::new(data.as_deref().map(digest));
        Some(Self { cache, path, kept })
    }

    pub(crate) fn raw(&self) -> &PipelineCache {
        &self.cache
    }

    /// Writes what was added. A cache that cannot be written costs time at the
    /// next start and nothing else.
    pub(crate) fn save(&self) {
        let Some(data) = self.cache.get_data().filter(|data| data.len() <= MOST) else { return };
        let found = digest(&data);
        let mut kept = lock(&self.kept);
        if *kept != Some(found) && write(&self.path, &found, &data).is_ok() {
            *kept = Some(found);
        }
    }
}

fn digest(data: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(data).into()
}

/// The data of a file, where it is whole and nobody else could have written it.
fn read(path: &Path) -> Option<Vec<u8>> {
    if !path.parent().is_some_and(is_private) || path.metadata().ok()?.len() > (MOST + DIGEST) as u64 {
        return None;
    }
    let mut bytes = std::fs::read(path).ok()?;
    let expected: [u8; DIGEST] = *bytes.first_chunk()?;
    bytes.drain(..DIGEST);
    (digest(&bytes) == expected).then_some(bytes)
}

/// Whole or not at all.
fn write(path: &Path, digest: &[u8; DIGEST], data: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_private(folder)?;
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
    file.write_all(digest)?;
    file.write_all(data)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn is_private(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o022 == 0)
}

#[cfg(unix)]
fn create_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn create_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gpu/device.bin");
        let data = vec![7u8; 1000];
        write(&path, &digest(&data), &data).unwrap();
        assert_eq!(read(&path), Some(data.clone()));
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1, DIGEST - 1, DIGEST, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read(&path), None, "cut at {cut}");
        }
        let mut changed = whole;
        changed[500] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(read(&path), None);
        write(&path, &digest(&data), &data).unwrap();
        assert_eq!(read(&path), Some(data));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.bin");
        write(&path, &digest(b"data"), b"data").unwrap();
        assert!(read(&path).is_some());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(read(&path).is_none());
    }
}
