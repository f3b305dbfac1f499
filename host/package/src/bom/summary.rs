//! What a bill of materials says, in two numbers.

use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::media_types;
use crate::text::tame;

const MODEL: &str = "machine-learning-model";
/// Neither code nor models.
const DATA: [&str; 2] = ["data", "file"];

/// What is in a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// E.g. `CycloneDX 1.6`.
    pub format: String,
    /// What the document is about, where it says so.
    pub subject: Option<String>,
    /// Without the subject itself.
    pub packages: usize,
    pub models: usize,
}

/// CycloneDX, as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CycloneDx {
    bom_format: String,
    spec_version: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Tallied<Count>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    component: Option<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    version: Option<String>,
}

#[derive(Default)]
struct Count {
    packages: usize,
    models: usize,
}

/// How deep components are nested in each other the JSON reader bounds.
#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    components: Tallied<Count>,
}

/// SPDX 2, as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spdx2 {
    spdx_version: String,
    name: Option<String>,
    #[serde(default)]
    packages: Vec<IgnoredAny>,
    /// Packages that the document is about.
    #[serde(default)]
    document_describes: Vec<IgnoredAny>,
}

/// SPDX 3, as far as it is read here.
#[derive(Deserialize)]
struct Spdx3 {
    #[serde(rename = "@graph")]
    graph: Tallied<Graph>,
}

#[derive(Default)]
struct Graph {
    count: Count,
    version: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    spec_version: Option<String>,
}

/// An array of which only a tally is kept: a document may list millions.
#[derive(Default)]
struct Tallied<T>(T);

trait Tally: Default {
    type Item: DeserializeOwned;

    fn add(&mut self, item: Self::Item);
}

impl Summary {
    /// # Errors
    /// The reason why the document is none of its media type.
    pub(super) fn of(media_type: &str, document: &[u8]) -> Result<Self, String> {
        let damaged = |error: serde_json::Error| format!("it is damaged: {}", tame(&error.to_string()));
        if media_type == media_types::CYCLONEDX {
            return serde_json::from_slice(document).map_err(damaged).and_then(cyclonedx);
        }
        // The two have nothing in common by which one could ask first.
        match serde_json::from_slice::<Spdx2>(document) {
            Ok(document) => Ok(spdx2(document)),
            Err(error) => match serde_json::from_slice::<Spdx3>(document) {
                Ok(document) => Ok(spdx3(document)),
                Err(_) => Err(damaged(error)),
            },
        }
    }
}

fn cyclonedx(document: CycloneDx) -> Result<Summary, String> {
    if document.bom_format != "CycloneDX" {
        return Err("its `bomFormat` is not `CycloneDX`".to_owned());
    }
    let Count { packages, models } = document.components.0;
    let subject = document.metadata.component.map(|component| match component.version {
        Some(version) => format!("{} {version}", component.name),
        None => component.name,
    });
    let format = tame(&format!("CycloneDX {}", document.spec_version));
    Ok(Summary { format, subject: subject.as_deref().map(tame), packages, models })
}

fn spdx2(document: Spdx2) -> Summary {
    Summary {
        format: tame(&document.spdx_version.replacen("SPDX-", "SPDX ", 1)),
        subject: document.name.as_deref().map(tame),
        packages: document.packages.len().saturating_sub(document.document_describes.len()),
        models: 0,
    }
}

fn spdx3(document: Spdx3) -> Summary {
    let Graph { count, version, name } = document.graph.0;
    Summary {
        format: tame(&format!("SPDX {}", version.as_deref().unwrap_or("3"))),
        subject: name.as_deref().map(tame),
        packages: count.packages,
        models: count.models,
    }
}

impl Tally for Count {
    type Item = Component;

    /// Those inside others count too.
    fn add(&mut self, component: Component) {
        let Component { kind, components: Tallied(inner) } = component;
        let is_model = usize::from(kind == MODEL);
        let is_package = usize::from(kind != MODEL && !DATA.contains(&&*kind));
        self.packages += inner.packages + is_package;
        self.models += inner.models + is_model;
    }
}

impl Tally for Graph {
    type Item = Element;

    fn add(&mut self, element: Element) {
        match element.kind.as_deref() {
            Some("software_Package") => self.count.packages += 1,
            Some("ai_AIPackage") => self.count.models += 1,
            Some("CreationInfo") => self.version = self.version.take().or(element.spec_version),
            Some("SpdxDocument") => self.name = self.name.take().or(element.name),
            _ => {}
        }
    }
}

impl<'de, T: Tally> Deserialize<'de> for Tallied<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Tally> Visitor<'de> for Items<T> {
            type Value = T;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
                let mut tally = T::default();
                while let Some(item) = items.next_element()? {
                    tally.add(item);
                }
                Ok(tally)
            }
        }

        deserializer.deserialize_seq(Items(PhantomData)).map(Tallied)
    }
}
