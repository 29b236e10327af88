//! The guests from WebAssembly text, for where `wasm32-wasip2` cannot be had; and for benchmarks, as they do nothing beside the calls.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(crate) mod labels;

/// What texts include, by the line that does.
const PARTS: [(&str, &str); 4] = [
    (";;+ imports", include_str!("imports.wat")),
    (";;+ memory", include_str!("memory.wat")),
    (";;+ common", include_str!("common.wat")),
    (";;+ drafts", include_str!("drafts.wat")),
];

/// A package that guests import, and the operations that they export.
struct Keyvalue {
    name: &'static str,
    version: &'static str,
    wit: &'static str,
    /// The interface that buckets are from.
    bucket: &'static str,
    /// The cases of its error, but for the last one, which is a text.
    errors: &'static [&'static str],
    ops: &'static str,
    ops_wit: &'static str,
}

const DRAFT: Keyvalue = Keyvalue {
    name: "wasi:keyvalue",
    version: "0.2.0-draft",
    wit: include_str!("../../wit/draft.wit"),
    bucket: "store",
    errors: &["no-such-store", "access-denied"],
    ops: "guest:ops/ops",
    ops_wit: include_str!("../wit/ops.wit"),
};

const DRAFT2: Keyvalue =
    Keyvalue { version: "0.2.0-draft2", wit: include_str!("../../wit/draft2.wit"), ..DRAFT };

const SPIN: Keyvalue = Keyvalue { wit: include_str!("../../wit/spin.wit"), ..DRAFT2 };

const WASMCLOUD: Keyvalue = Keyvalue {
    name: "wasmcloud:keyvalue",
    version: "0.2.0",
    wit: include_str!("../../wit/wasmcloud.wit"),
    bucket: "types",
    errors: &[
        "no-such-store",
        "access-denied",
        "invalid-argument",
        "precondition-failed",
        "timeout",
        "store-unavailable",
        "quota-exceeded",
    ],
    ops: "guest:async-ops/async-ops",
    ops_wit: include_str!("../wit/async.wit"),
};

/// A component that speaks `wasi:keyvalue@0.2.0-draft`.
pub(crate) fn draft() -> Result<Vec<u8>, String> {
    DRAFT.guest(include_str!("draft.wat"), "")
}

/// A component that speaks `wasi:keyvalue@0.2.0-draft2`.
pub(crate) fn draft2() -> Result<Vec<u8>, String> {
    let text = include_str!("draft2.wat").replace(";;+ found", "(func $found)");
    DRAFT2.guest(&text, "export guest:ops/cas-ops;")
}

/// A component that speaks Spin's `wasi:keyvalue@0.2.0-draft2`.
pub(crate) fn spin() -> Result<Vec<u8>, String> {
    let text = include_str!("draft2.wat").replace(";;+ found", include_str!("spin.wat"));
    SPIN.guest(&text, "export guest:ops/cas-ops; export guest:ops/spin-ops;")
}

/// A component that speaks `wasmcloud:keyvalue@0.2.0`.
pub(crate) fn wasmcloud() -> Result<Vec<u8>, String> {
    WASMCLOUD.guest(include_str!("async.wat"), "")
}

impl Keyvalue {
    /// A guest of the whole package that exports the operations, and more.
    fn guest(&self, text: &str, more: &str) -> Result<Vec<u8>, String> {
        let Self { name, version, ops, .. } = self;
        self.assemble(
            text,
            &format!("include {name}/watch-service@{version}; export {ops}; {more}"),
        )
    }

    /// A component from a text that uses these names.
    fn assemble(&self, text: &str, world: &str) -> Result<Vec<u8>, String> {
        let errors = (1024..).step_by(32).zip(self.errors).map(|(at, error)| {
            format!("(data (i32.const {at}) \"\\{:02x}{error}\")\n", error.len())
        });
        let errors: String = errors.collect();
        let names = [
            (";;+ errors", &*errors),
            ("KEYVALUE", self.name),
            ("VERSION", self.version),
            ("BUCKET", self.bucket),
            ("OPS", self.ops),
        ];
        let text = PARTS
            .into_iter()
            .chain(names)
            .fold(text.to_owned(), |text, (name, meaning)| text.replace(name, meaning));
        let mut module = wat::parse_str(text).map_err(said)?;
        let mut resolve = Resolve::default();
        resolve.push_str("keyvalue.wit", self.wit).map_err(said)?;
        resolve.push_str("ops.wit", self.ops_wit).map_err(said)?;
        let world = format!("package guest:wat; world guest {{ {world} }}");
        let package = resolve.push_str("guest.wit", &world).map_err(said)?;
        let world = resolve.select_world(&[package], Some("guest")).map_err(said)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(said)?;
        let mut encoder =
            ComponentEncoder::default().validate(true).module(&module).map_err(said)?;
        encoder.encode().map_err(said)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
