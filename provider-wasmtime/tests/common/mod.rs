//! A host with nothing but WASI and our key-value, and the guests in `guests/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use provider::{Buckets, Place};
use provider_wasmtime::{KvCtx, KvView};
use store_core::{Name, StoreAdmin};
use store_memory::Memory;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub(crate) struct Host {
    kv: KvCtx,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl KvView for Host {
    fn kv(&mut self) -> &mut KvCtx {
        &mut self.kv
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        Engine::new(&config).unwrap()
    })
}

/// Compiles all guests once, then loads one.
pub(crate) fn guest(name: &str) -> Component {
    static BUILT: OnceLock<()> = OnceLock::new();
    // Compiled once per process: an unoptimised compiler takes seconds for it.
    static COMPILED: Mutex<BTreeMap<String, Component>> = Mutex::new(BTreeMap::new());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2"])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/guests/Cargo.toml")])
            .arg("--target-dir")
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .status()
            .unwrap();
        assert!(built.success(), "the guests need `rustup target add wasm32-wasip2`");
    });
    let mut compiled = COMPILED.lock().unwrap();
    let component = compiled.entry(name.to_owned()).or_insert_with(|| {
        let file = target.join("wasm32-wasip2/release").join(format!("guest_{name}.wasm"));
        Component::from_file(engine(), file).unwrap()
    });
    component.clone()
}

pub(crate) fn linker(add: impl FnOnce(&mut Linker<Host>) -> wasmtime::Result<()>) -> Linker<Host> {
    let mut linker = Linker::new(engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    add(&mut linker).unwrap();
    linker
}

pub(crate) fn store(kv: KvCtx) -> Store<Host> {
    let host = Host { kv, wasi: WasiCtx::default(), table: ResourceTable::new() };
    Store::new(engine(), host)
}

pub(crate) fn place(store: &Arc<Memory>) -> Place {
    let store: Arc<dyn StoreAdmin> = Arc::<Memory>::clone(store);
    Place::new(store, Name::new("app").unwrap())
}

pub(crate) fn buckets(store: &Arc<Memory>) -> Buckets {
    Buckets::tables(place(store)).grant(["default", "cache", "watched", "no table"])
}
