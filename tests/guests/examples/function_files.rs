//! Lists a folder, and says whether a file can be written there.

use samara_sdk::{Context, Error};

#[samara_sdk::function(outputs = ["names", "write"])]
fn files(folder: String) -> Result<(Vec<String>, String), Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).context(&folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let write = match std::fs::write(format!("{folder}/written-by-guest"), "written") {
        Ok(()) => "written".to_owned(),
        Err(error) => error.to_string(),
    };
    Ok((names, write))
}
