//! A host with nothing but WASI and our key-value, and the guests in `guests/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use provider::{Buckets, Place};
use provider_wasmtime::{KvCtx, KvView};
use store_core::{Name, StoreAdmin};
use store_memory::Memory;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub(crate) mod asynchronous;
pub(crate) mod drafts;
pub(crate) mod labelled;
#[path = "../../guests/wat/mod.rs"]
mod wat;

/// What a guest says: an error is a text.
pub(crate) type Answer<T> = Result<T, String>;

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
        config.wasm_component_model_implements(true);
        Engine::new(&config).unwrap()
    })
}

/// How a guest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Made {
    /// Compiled from Rust for `wasm32-wasip2`.
    Rust,
    /// Assembled from WebAssembly text, which needs no compiler.
    Text,
}

/// The ways in which guests can be made here.
pub(crate) fn made() -> Vec<Made> {
    [Made::Text].into_iter().chain(compiled().map(|_| Made::Rust)).collect()
}

/// Where the guests are that were compiled from Rust; `None` where the target cannot be had.
fn compiled() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let has = has_target() || (add_target() && has_target());
        println!(
            "guests: from text{}",
            if has { " and from Rust" } else { " alone, as wasm32-wasip2 cannot be had" }
        );
        has.then(compile)
    });
    built.as_deref()
}

fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", "wasm32-wasip2"])
        .output()
        .unwrap();
    asked.status.success() && Path::new(String::from_utf8_lossy(&asked.stdout).trim()).is_dir()
}

/// Rustup mostly can; where it cannot, it may take for ever to say so.
fn add_target() -> bool {
    let Ok(mut adding) = Command::new("rustup").args(["target", "add", "wasm32-wasip2"]).spawn()
    else {
        return false;
    };
    let deadline = Instant::now() + Duration::from_secs(90);
    while Instant::now() < deadline {
        if let Some(status) = adding.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    adding.kill().unwrap();
    adding.wait().unwrap();
    false
}

fn compile() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
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
    assert!(built.success(), "the guests do not compile");
    target.join("wasm32-wasip2/release")
}

/// A guest, loaded once per process: an unoptimised compiler takes seconds for it.
pub(crate) fn guest(name: &str, made: Made) -> Component {
    static LOADED: Mutex<BTreeMap<(String, Made), Component>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap();
    let component = loaded.entry((name.to_owned(), made)).or_insert_with(|| match made {
        Made::Rust => {
            let directory = compiled().expect("the target, which was asked for before");
            Component::from_file(engine(), directory.join(format!("guest_{name}.wasm"))).unwrap()
        }
        Made::Text => {
            let assemble = match name {
                "draft" => wat::draft,
                "draft2" => wat::draft2,
                "spin" => wat::spin,
                "wasmcloud" => wat::wasmcloud,
                name => panic!("there is no text of {name}"),
            };
            Component::from_binary(engine(), &assemble().unwrap()).unwrap()
        }
    });
    component.clone()
}

pub(crate) fn keys<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(str::to_owned).to_vec()
}

pub(crate) fn pair(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.to_owned(), value.into())
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
