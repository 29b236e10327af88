//! The guests of the two drafts from WebAssembly text, for where `wasm32-wasip2` cannot be had; and for benchmarks, as they do
//! nothing beside the calls.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const COMMON: &str = include_str!("common.wat");
const IMPORTS: &str = include_str!("imports.wat");

/// A component that speaks `wasi:keyvalue@0.2.0-draft`.
pub(crate) fn draft() -> Result<Vec<u8>, String> {
    let wit = include_str!("../../wit/draft.wit");
    assemble("0.2.0-draft", include_str!("draft.wat"), wit, "export guest:ops/ops;")
}

/// A component that speaks `wasi:keyvalue@0.2.0-draft2`.
pub(crate) fn draft2() -> Result<Vec<u8>, String> {
    let wit = include_str!("../../wit/draft2.wit");
    let exports = "export guest:ops/ops; export guest:ops/cas-ops;";
    assemble("0.2.0-draft2", include_str!("draft2.wat"), wit, exports)
}

fn assemble(version: &str, text: &str, wit: &str, exports: &str) -> Result<Vec<u8>, String> {
    let text = text.replace(";;+ imports", IMPORTS).replace(";;+ common", COMMON);
    let mut module = wat::parse_str(text.replace("VERSION", version)).map_err(said)?;
    let mut resolve = Resolve::default();
    resolve.push_str("keyvalue.wit", wit).map_err(said)?;
    resolve.push_str("ops.wit", include_str!("../wit/ops.wit")).map_err(said)?;
    let world = format!(
        "package guest:wat; world guest {{ include wasi:keyvalue/watch-service@{version}; {exports} }}"
    );
    let package = resolve.push_str("guest.wit", &world).map_err(said)?;
    let world = resolve.select_world(&[package], Some("guest")).map_err(said)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(said)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(said)?;
    encoder.encode().map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
