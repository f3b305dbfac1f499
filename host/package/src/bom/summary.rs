//! What a bill of materials says, in two numbers.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::media_types;

const MODEL: &str = "machine-learning-model";
/// Characters of a name that is shown.
const LONGEST_NAME: usize = 200;

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
    components: Vec<Component>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    version: Option<String>,
    #[serde(default)]
    components: Vec<Component>,
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
    graph: Vec<Element>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    spec_version: Option<String>,
}

impl Summary {
    /// # Errors
    /// The reason why the document is none of its media type.
    pub(super) fn of(media_type: &str, document: &[u8]) -> Result<Self, String> {
        let damaged = |error: serde_json::Error| format!("it is damaged: {error}");
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
    let (packages, models) = count(&document.components);
    let subject = document.metadata.component.map(|component| match component.version {
        Some(version) => format!("{} {version}", component.name),
        None => component.name,
    });
    let format = cut(&format!("CycloneDX {}", document.spec_version));
    Ok(Summary { format, subject: subject.as_deref().map(cut), packages, models })
}

/// Packages and models, those inside others too. How deep they can be nested
/// the JSON reader bounds.
fn count(components: &[Component]) -> (usize, usize) {
    components.iter().fold((0, 0), |(packages, models), component| {
        let (more_packages, more_models) = count(&component.components);
        let is_model = usize::from(component.kind == MODEL);
        (packages + more_packages + 1 - is_model, models + more_models + is_model)
    })
}

fn spdx2(document: Spdx2) -> Summary {
    Summary {
        format: cut(&document.spdx_version.replacen("SPDX-", "SPDX ", 1)),
        subject: document.name.as_deref().map(cut),
        packages: document.packages.len().saturating_sub(document.document_describes.len()),
        models: 0,
    }
}

fn spdx3(document: Spdx3) -> Summary {
    let of_kind = |kind: &'static str| {
        document.graph.iter().filter(move |element| element.kind.as_deref() == Some(kind))
    };
    let version = of_kind("CreationInfo").find_map(|element| element.spec_version.as_deref());
    let name = of_kind("SpdxDocument").find_map(|element| element.name.as_deref());
    Summary {
        format: cut(&format!("SPDX {}", version.unwrap_or("3"))),
        subject: name.map(cut),
        packages: of_kind("software_Package").count(),
        models: of_kind("ai_AIPackage").count(),
    }
}

/// A text of somebody else, fit for a line of a terminal.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}
