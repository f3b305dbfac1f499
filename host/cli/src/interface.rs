//! What a component or a core module imports and exports, by name.

use samara_package::image::Interface;
use wasmparser::{Parser, Payload};

/// Reads the names from WebAssembly; a module's imports as
/// `MODULE/NAME`, written so that they harm no terminal. Bytes that are none have none: whoever
/// compiles them says what is wrong.
pub(crate) fn of(wasm: &[u8]) -> Interface {
    let mut interface = Interface::default();
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                interface
                    .imports
                    .extend(section.into_iter().flatten().map(|import| import.name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                interface
                    .exports
                    .extend(section.into_iter().flatten().map(|export| export.name.name.to_owned()));
            }
            Payload::ImportSection(section) if depth == 0 => {
                let imports = section.into_imports().flatten();
                interface.imports.extend(imports.map(|import| {
                    format!("{}/{}", import.module.escape_debug(), import.name.escape_debug())
                }));
            }
            Payload::ExportSection(section) if depth == 0 => {
                interface.exports.extend(
                    section.into_iter().flatten().map(|export| export.name.escape_debug().to_string()),
                );
            }
            _ => {}
        }
    }
    interface
}
