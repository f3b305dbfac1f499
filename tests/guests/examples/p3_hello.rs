//! A command for WASI 0.3: its `run` is asynchronous and prints one line
//! through a stream.

mod bindings {
    wit_bindgen::generate!({
        inline: r#"
            package samara:test;

            world command {
                import wasi:cli/stdout@0.3.0;
                export wasi:cli/run@0.3.0;
            }
        "#,
        path: "wit/cli.wit",
        world: "samara:test/command",
        generate_all,
    });
}

use bindings::wasi::cli::stdout::write_via_stream;

struct Hello;

impl bindings::exports::wasi::cli::run::Guest for Hello {
    async fn run() -> Result<(), ()> {
        let (mut writer, reader) = bindings::wit_stream::new();
        let printed = write_via_stream(reader);
        let left = writer.write_all(b"hello from WASI 0.3\n".to_vec()).await;
        drop(writer);
        printed.await.map_err(drop)?;
        if left.is_empty() { Ok(()) } else { Err(()) }
    }
}

bindings::export!(Hello with_types_in bindings);
