//! Makes an image in the store. The same source gives the same bytes on every
//! machine; a layer that the store has already is not written again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::error::{Error, input, write};
use super::plan::Plan;
use super::source::{Content, Form, ModelContent, Source};
use super::tar_write::{TarWriter, copy};
use super::tree::{FileTree, TreeFile};
use super::{
    CREATED, DATA_KEY, LICENSES, Limits, MANIFEST_KEY, MODEL_KEY, MODELS_LABEL, Result, SOURCE, TITLE,
    VERSION,
};
use crate::digest::{Digest, Sha256};
use crate::manifest::{self, Manifest, model_variable};
use crate::media_types;
use crate::spec::{Annotations, ContainerConfig, Descriptor, ImageConfig, ImageManifest, RootFs, to_bytes};
use crate::store::Session;

/// No manifest that people write is longer, in bytes.
const LONGEST_MANIFEST: usize = 1 << 20;
/// Key and text of a label together, in bytes: containerd makes labels of
/// containers out of those of images, and refuses longer ones.
const LONGEST_LABEL: usize = 4096;
/// The time that an artifact's configuration names where none was asked for:
/// readers of it want one.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// An image that is in the store now. No name points at it yet.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Of the image's manifest.
    pub digest: Digest,
    pub manifest: ImageManifest,
    /// Bytes of manifest, configuration and layers.
    pub size: u64,
    /// Bytes that the store did not have.
    pub added: u64,
}

/// Packs a function.
///
/// # Errors
/// When the source does not fit its manifest or the form, a file cannot be
/// read, or the store not written to.
pub fn pack(session: &Session, source: &Source) -> Result<Packed> {
    let manifest = parse(&source.manifest_text)?;
    let plan = Plan::of(source, &manifest)?;
    let packer = Packer { session, added: 0 };
    match source.form {
        Form::Wasm => packer.artifact(source, &manifest, &plan),
        Form::Mixed | Form::Tar => packer.image(source, &manifest, &plan),
    }
}

struct Packer<'a> {
    session: &'a Session,
    added: u64,
}

impl Packer<'_> {
    fn image(mut self, source: &Source, manifest: &Manifest, plan: &Plan<'_>) -> Result<Packed> {
        let mut layers = Vec::new();
        for (path, content) in &plan.components {
            layers.push(match source.form {
                Form::Tar => self.tar(&[(path, content)])?,
                Form::Mixed | Form::Wasm => self.raw(media_types::WASM, content)?,
            });
            title(&mut layers, path);
        }
        for (key, parts) in [(MODEL_KEY, &plan.models), (DATA_KEY, &plan.data)] {
            for (path, (content, names)) in parts {
                layers.push(match content {
                    ModelContent::Plain(content) => self.tar(&[(path, content)])?,
                    ModelContent::Layer(digest) => self.existing(digest, path)?,
                });
                title(&mut layers, path);
                note(&mut layers, key, &names.join(","));
            }
        }
        let files: Vec<(&String, &Content)> = plan.files.iter().collect();
        layers.push(self.tar(&files)?);
        let (labels, long) = labels(source, plan);
        let config = to_bytes(&config(source, manifest, plan, &layers, labels));
        let config = self.document(media_types::IMAGE_CONFIG, &config)?;
        let mut annotations = about(source, manifest);
        annotations.extend(long);
        self.finish(config, layers, annotations)
    }

    fn artifact(mut self, source: &Source, manifest: &Manifest, plan: &Plan<'_>) -> Result<Packed> {
        let mut layers = Vec::new();
        for (path, content) in &plan.components {
            layers.push(self.raw(media_types::WASM, content)?);
            title(&mut layers, path);
        }
        let config = WasmConfig {
            created: source.about.created.as_deref().unwrap_or(NO_TIME),
            architecture: "wasm",
            os: "wasip2",
            layer_digests: layers.iter().map(|layer| layer.digest).collect(),
            component: WasmComponent {
                exports: &source.interface.exports,
                imports: &source.interface.imports,
                target: source.interface.target.as_deref(),
            },
        };
        let config = self.document(media_types::WASM_CONFIG, &to_bytes(&config))?;
        let mut annotations = about(source, manifest);
        annotations.insert(MANIFEST_KEY.to_owned(), source.manifest_text.clone());
        self.finish(config, layers, annotations)
    }

    fn finish(
        mut self,
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: Annotations,
    ) -> Result<Packed> {
        let manifest = ImageManifest { annotations, ..ImageManifest::new(config, layers) };
        let descriptor = self.document(media_types::IMAGE_MANIFEST, &to_bytes(&manifest))?;
        let size = descriptor.size + manifest.blobs().map(|blob| blob.size).sum::<u64>();
        Ok(Packed { digest: descriptor.digest, manifest, size, added: self.added })
    }

    fn document(&mut self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        self.blob(media_type, &|out| out.write_all(bytes).map_err(write))
    }

    fn raw(&mut self, media_type: &str, content: &Content) -> Result<Descriptor> {
        self.blob(media_type, &|out| {
            let (_, mut reader) = content.open()?;
            copy(&mut reader, out).map(drop).map_err(write)
        })
    }

    fn tar(&mut self, files: &[(&String, &Content)]) -> Result<Descriptor> {
        self.blob(media_types::TAR, &|out| {
            let mut tar = TarWriter::new(out);
            for (path, content) in files {
                let (size, mut reader) = content.open()?;
                tar.file(path, size, &mut reader).map_err(write)?;
            }
            tar.finish().map(drop).map_err(write)
        })
    }

    /// A layer that is there and holds one file, or its copy where that file
    /// is to be at another path.
    fn existing(&mut self, digest: &Digest, path: &String) -> Result<Descriptor> {
        let blob = self.session.store().blob(digest)?;
        let mut tree = FileTree::default();
        tree.add(*digest, &blob.bytes, &Limits::default())?;
        let files: Vec<(&str, &TreeFile)> = tree.files().collect();
        match files.as_slice() {
            [(found, _)] if found == path => {
                Ok(Descriptor::new(media_types::TAR, *digest, blob.bytes.len() as u64))
            }
            [(_, file)] => self.tar(&[(path, &Content::Bytes(file.bytes.clone()))]),
            _ => Err(input(format!("the layer {digest} has {} files, not one", files.len()))),
        }
    }

    /// Writes a blob, unless the store has it: so it is made twice, the first
    /// time for its digest alone.
    fn blob(&mut self, media_type: &str, make: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<Descriptor> {
        let mut measure = Measure::default();
        make(&mut measure)?;
        let (digest, size) = (measure.hasher.finish(), measure.size);
        if !self.session.has(&digest, size)? {
            let mut writer = self.session.writer()?;
            make(&mut writer)?;
            writer.commit(Some(&digest))?;
            self.added += size;
        }
        Ok(Descriptor::new(media_type, digest, size))
    }
}

/// Digest and size of what is written to it.
#[derive(Default)]
struct Measure {
    hasher: Sha256,
    size: u64,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The configuration of a Wasm artifact, version 0, as the CNCF's TAG Runtime
/// describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    layer_digests: Vec<Digest>,
    component: WasmComponent<'a>,
}

#[derive(Serialize)]
struct WasmComponent<'a> {
    exports: &'a [String],
    imports: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

fn parse(text: &str) -> Result<Manifest> {
    if text.len() > LONGEST_MANIFEST {
        return Err(input(format!("`{}` is longer than 1 MiB", manifest::FILE_NAME)));
    }
    Manifest::parse(text, Path::new(manifest::FILE_NAME)).map_err(Error::Manifest)
}

/// What the image tells samara: labels, and those that are too long for one,
/// which become annotations.
fn labels(source: &Source, plan: &Plan<'_>) -> (Annotations, Annotations) {
    let names = plan.models.iter().flat_map(|(path, (_, names))| names.iter().map(move |name| (*name, path)));
    let models: BTreeMap<&str, &String> = names.collect();
    let models = String::from_utf8_lossy(&to_bytes(&models)).into_owned();
    let texts = [(MANIFEST_KEY, source.manifest_text.clone()), (MODELS_LABEL, models)];
    let labels = texts.map(|(key, text)| (key.to_owned(), text));
    labels.into_iter().partition(|(key, text)| key.len() + text.len() <= LONGEST_LABEL)
}

fn config(
    source: &Source,
    manifest: &Manifest,
    plan: &Plan<'_>,
    layers: &[Descriptor],
    labels: Annotations,
) -> ImageConfig {
    let tars = layers.iter().filter(|layer| layer.media_type == media_types::TAR);
    ImageConfig {
        created: source.about.created.clone(),
        architecture: "wasm".to_owned(),
        os: "wasip1".to_owned(),
        config: ContainerConfig {
            entrypoint: vec![entrypoint(plan)],
            env: environment(manifest, plan),
            labels,
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: tars.map(|layer| layer.digest).collect() },
    }
}

/// What a container of the image is told to run: the first component, or the
/// manifest where the function is its models. Containers need something.
fn entrypoint(plan: &Plan<'_>) -> String {
    let path = plan.components.first().map_or(manifest::FILE_NAME, |(path, _)| path);
    format!("/{path}")
}

/// Where a container finds the models whose place the manifest does not say: it
/// has the image's files, and nothing that the image says of them.
fn environment(manifest: &Manifest, plan: &Plan<'_>) -> Vec<String> {
    let is_elsewhere =
        |name: &str| manifest.models.get(name).is_some_and(|model| model.path.file().is_none());
    let mut variables = Vec::new();
    for (path, (_, names)) in &plan.models {
        let elsewhere = names.iter().filter(|name| is_elsewhere(name));
        variables.extend(elsewhere.map(|name| format!("{}=/{path}", model_variable(name))));
    }
    variables
}

fn about(source: &Source, manifest: &Manifest) -> Annotations {
    let about = &source.about;
    let title = about.title.as_ref().unwrap_or(&manifest.function.name);
    let version = about.version.as_ref().unwrap_or(&manifest.function.version);
    let texts = [
        (TITLE, Some(title)),
        (VERSION, Some(version)),
        (SOURCE, about.source.as_ref()),
        (LICENSES, about.licenses.as_ref()),
        (CREATED, about.created.as_ref()),
    ];
    texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.clone()))).collect()
}

fn title(layers: &mut [Descriptor], path: &str) {
    note(layers, TITLE, path);
}

/// Annotates the layer that was added last.
fn note(layers: &mut [Descriptor], key: &str, value: &str) {
    if let Some(layer) = layers.last_mut() {
        layer.annotations.insert(key.to_owned(), value.to_owned());
    }
}
