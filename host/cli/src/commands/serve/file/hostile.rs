//! Whatever a file says, it is read or refused by its name.

use clap::Parser;
use samara_test::whatever_text_comes;

use super::*;
use crate::args::{Args, Command};

const SEEDS: [&str; 2] = [
    "listen = [\"127.0.0.1:8080\"]\ncors = [\"*\"]\nrepository = \"any\"\ninstances = 8\n\
     [limits]\nbody = \"16MiB\"\ndeadline = \"2s\"\nconcurrency = 4\n\
     [telemetry]\notlp = \"http://a.example:4318\"\nsample = 0.5\n\
     [drain]\ndelay = \"0s\"\ntimeout = \"5s\"\n\
     [[function]]\nwhat = \"digits:1\"\nroute = \"/d\"\n",
    "[tls]\ncertificates = \"a.pem\"\nkey = \"a.key\"\n\
     [[function]]\nwhat = \"r.example/digits:1\"\nname = \"d\"\nconcurrency = 8\nqueue = 2\n\
     target = \"gpu-or-cpu\"\nbackend = \"tract\"\ngpu-memory = \"1GiB\"\nprecision = \"fp16\"\nallow-http = [\"a.example\"]\n\
     allow-dir = [\"data:/data\"]\nallow-env = [\"A=b\"]\nallow-all-requested = true\n",
];

#[test]
fn whatever_a_file_says_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.toml");
    let args = Args::parse_from(["samara", "serve", "--config", path.to_str().unwrap()]);
    let Command::Serve(args) = args.command else { panic!("another command was read") };
    whatever_text_comes(5_000, &SEEDS, |text| {
        std::fs::write(&path, text).unwrap();
        match plan(&args) {
            Ok(plan) => {
                for function in &plan.config.functions {
                    let _ = place(&args.place, function);
                    let _ = grants(&args.grants, function);
                }
            }
            Err(refused) => assert!(!refused.to_string().is_empty(), "{text}"),
        }
    });
}
