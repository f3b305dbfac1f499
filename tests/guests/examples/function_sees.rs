//! Prints what it sees of its surroundings while it describes itself.

use samara_sdk::{Function, Result, Signature, Tensors};

struct Sees;

impl Function for Sees {
    fn describe() -> Signature {
        let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
        names.sort();
        let folders = ["/", "/asked", "/mounted"];
        let seen: Vec<&str> =
            folders.into_iter().filter(|folder| std::fs::read_dir(folder).is_ok()).collect();
        println!("sees variables {names:?} and folders {seen:?}");
        Signature::new(vec![], vec![])
    }

    fn infer(inputs: Tensors) -> Result<Tensors> {
        Ok(inputs)
    }
}

samara_sdk::export!(Sees);
