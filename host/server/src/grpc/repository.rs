//! The messages of the repository extension.

use std::collections::BTreeMap;

use super::proto::model_repository_parameter::ParameterChoice;
use super::proto::repository_index_response::ModelIndex;
use super::proto::{
    ModelRepositoryParameter, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
};
use crate::app::Server;
use crate::error::{Error, Result};

/// The parameter that names the image to load under a name, where the server
/// lets clients do that.
const IMAGE: &str = "samara_image";

pub(super) fn index(server: &Server, request: &RepositoryIndexRequest) -> RepositoryIndexResponse {
    let models = server.index(request.ready).into_iter().map(|listed| ModelIndex {
        name: listed.name,
        version: listed.version,
        state: listed.state.to_owned(),
        reason: listed.reason,
    });
    RepositoryIndexResponse { models: models.collect() }
}

pub(super) async fn load(
    server: &Server,
    request: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse> {
    let image = image(&request.parameters)?;
    let model_name = name(request.model_name, request.repository_name);
    server.load(&model_name, image).await?;
    Ok(RepositoryModelLoadResponse { model_name, is_loaded: true })
}

pub(super) async fn unload(
    server: &Server,
    request: RepositoryModelUnloadRequest,
) -> Result<RepositoryModelUnloadResponse> {
    // `unload_dependents`, all that clients send, asks for nothing here: no
    // function depends on another.
    let model_name = name(request.model_name, request.repository_name);
    server.unload(&model_name).await?;
    Ok(RepositoryModelUnloadResponse { model_name, is_unloaded: true })
}

/// KServe's clients put the name where others put the repository's.
fn name(name: String, repository: String) -> String {
    if name.is_empty() { repository } else { name }
}

fn image(parameters: &BTreeMap<String, ModelRepositoryParameter>) -> Result<Option<&str>> {
    let mut image = None;
    for (name, parameter) in parameters {
        match &parameter.parameter_choice {
            Some(ParameterChoice::StringParam(value)) if name == IMAGE => image = Some(value.as_str()),
            _ => {
                return Err(Error::Malformed(format!(
                    "parameter `{name}`: functions come from images and folders, not from requests\nhint: `{IMAGE}`, a string, names an image to load"
                )));
            }
        }
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_image_can_be_asked_for() {
        let with = |name: &str, choice| {
            BTreeMap::from([(name.to_owned(), ModelRepositoryParameter { parameter_choice: choice })])
        };
        let text = || Some(ParameterChoice::StringParam("digits:2".to_owned()));
        assert_eq!(image(&with(IMAGE, text())).unwrap(), Some("digits:2"));
        assert_eq!(image(&BTreeMap::new()).unwrap(), None);
        for (name, choice) in
            [("config", text()), (IMAGE, None), (IMAGE, Some(ParameterChoice::BoolParam(true)))]
        {
            let words = image(&with(name, choice)).unwrap_err().to_string();
            assert!(words.starts_with(&format!("parameter `{name}`: ")), "{words}");
        }
    }

    #[test]
    fn both_places_of_the_name_are_read() {
        assert_eq!(name("f".to_owned(), "r".to_owned()), "f");
        assert_eq!(name(String::new(), "f".to_owned()), "f");
    }
}
