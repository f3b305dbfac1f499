//! Models from elsewhere: from another function's image, or from a ModelPack
//! artifact of the CNCF (<https://github.com/modelpack/model-spec>), and the
//! lock file that says which digest each reference stood for.

mod error;
mod lock;
mod model_pack;

use crate::image::{Image, ModelFile, open_manifest};
use crate::media_types;
use crate::reference::Reference;
use crate::store::Store;

pub use error::{Error, ErrorKind};
pub use lock::{LOCK_FILE_NAME, LockFile};

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Finds a model in an image or artifact of the store: the one called `part`,
/// or the only one.
///
/// # Errors
/// When the store lacks the image, it is damaged, or it is not clear which of
/// its models is meant.
pub fn locate(store: &Store, reference: &Reference, part: Option<&str>) -> Result<ModelFile> {
    let digest = store.resolve(reference)?;
    let opened = open_manifest(store, &digest)?;
    let models: Vec<(String, ModelFile)> =
        if opened.manifest.config.media_type.starts_with(media_types::MODEL_PACK) {
            model_pack::models(store, &opened.manifest)?
        } else {
            Image::open(store, &opened.digest)?.models().clone().into_iter().collect()
        };
    choose(reference, models, part)
}

fn choose(
    reference: &Reference,
    mut models: Vec<(String, ModelFile)>,
    part: Option<&str>,
) -> Result<ModelFile> {
    let reference = reference.to_string();
    let has = || models.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let place = match (part, models.len()) {
        (_, 0) => return Err(Error::NoModels { reference }),
        (None, 1) => 0,
        (None, _) => return Err(Error::Several { reference, has: has() }),
        (Some(part), _) => match models.iter().position(|(name, _)| name == part) {
            Some(place) => place,
            None => return Err(Error::NoPart { reference, part: part.to_owned(), has: has() }),
        },
    };
    Ok(models.swap_remove(place).1)
}
