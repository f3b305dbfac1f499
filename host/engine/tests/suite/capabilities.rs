//! What a guest can reach: nothing, until it is granted.

use std::io::{Read, Write};
use std::net::TcpListener;

use samara_engine::{DirectoryGrant, ErrorKind, Grants};

use crate::support::*;

#[test]
fn the_environment_is_empty_until_granted() {
    let host = host();
    let function = load(&host, guest("function_env")).unwrap();
    let error = call(&function, vec![("name", text("PATH"))]).unwrap_err();
    assert!(error.to_string().contains("`PATH` is not set"), "{error}");

    let mut source = guest("function_env");
    source.grants.environment.push(("LEVEL".into(), "debug".into()));
    let granted = load(&host, source).unwrap();
    assert_eq!(as_text(&call(&granted, vec![("name", text("LEVEL"))]).unwrap()[0].1), "debug");
}

#[test]
fn directories_are_unseen_read_only_or_writable_as_granted() {
    let host = host();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    let function = |grants: Grants| {
        let mut source = guest("function_files");
        source.grants = grants;
        load(&host, source)
    };
    let list = |function: &samara_engine::Function| call(function, vec![("folder", text("/data"))]);
    let grant = |writable| Grants {
        directories: vec![DirectoryGrant { host: folder.path().into(), guest: "/data".into(), writable }],
        ..Grants::default()
    };

    assert!(list(&function(Grants::default()).unwrap()).is_err());

    let outputs = list(&function(grant(false)).unwrap()).unwrap();
    assert_eq!(as_text(&outputs[0].1), "hello.txt");
    assert_ne!(as_text(&outputs[1].1), "written");
    assert!(!folder.path().join("written-by-guest").exists());

    let outputs = list(&function(grant(true)).unwrap()).unwrap();
    assert_eq!(as_text(&outputs[1].1), "written");
    assert!(folder.path().join("written-by-guest").exists());

    // The sandbox holds against a way out of the folder.
    let outside = call(&function(grant(true)).unwrap(), vec![("folder", text("/data/.."))]);
    assert!(outside.is_err());
}

#[test]
fn a_directory_that_is_not_there_is_told_by_path() {
    let host = host();
    let mut source = guest("function_files");
    source.grants.directories.push(DirectoryGrant {
        host: "/nowhere/at/all".into(),
        guest: "/data".into(),
        writable: false,
    });
    let error = load(&host, source).unwrap_err();
    assert!(error.to_string().starts_with("cannot grant directory `/nowhere/at/all`: "), "{error}");
}

#[test]
fn http_is_denied_at_load_until_a_host_is_granted() {
    let host = host();
    let error = load(&host, command("cli_http")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("grant each with `--allow-http HOST`"), "{error}");
}

#[test]
fn http_requests_reach_the_granted_host_only() {
    let host = host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = connection.read(&mut request).unwrap();
        connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });

    let mut source = command("cli_http");
    source.grants.http_hosts.push(address.to_string());
    let function = load(&host, source).unwrap();
    let run = |url: String| block_on(function.run_command(&[url], None)).unwrap();
    assert_eq!(run(format!("http://localhost:{}/", address.port())), 1, "another name is another host");
    assert_eq!(run(format!("http://{address}/hello")), 0);
    assert!(server.join().unwrap().starts_with("GET /hello HTTP/1.1"));
}
