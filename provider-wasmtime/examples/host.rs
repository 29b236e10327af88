//! Runs a real component on any store that a URL names:
//!
//! ```text
//! cargo build --release --target wasm32-wasip2 --manifest-path provider-wasmtime/guests/Cargo.toml
//! cargo run --release -p provider-wasmtime --example host -- \
//!     provider-wasmtime/guests/target/wasm32-wasip2/release/guest_draft.wasm memory:// --key-value greeting=hi
//! ```
//!
//! What `--key-value` gives, as often as it is given, the guest finds in its default bucket.

#![allow(clippy::print_stdout, missing_docs, reason = "an example, with generated bindings")]

use std::time::{Duration, Instant};

use provider::{Buckets, Place, Pool};
use provider_wasmtime::{KvCtx, KvView, draft};
use store_core::Name;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

wasmtime::component::bindgen!({
    path: "guests/wit/ops.wit",
    inline: "package example:host; world app { export guest:ops/ops; }",
    world: "example:host/app",
    exports: { default: async },
});

struct Host {
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

struct Arguments {
    component: String,
    url: String,
    presets: Vec<(String, String)>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> wasmtime::Result<Self> {
        let (mut places, mut presets) = (Vec::new(), Vec::new());
        while let Some(argument) = given.next() {
            if argument == "--key-value" {
                let preset = given.next().unwrap_or_default();
                let (key, value) = preset.split_once('=').context("--key-value <key>=<value>")?;
                presets.push((key.to_owned(), value.to_owned()));
            } else {
                places.push(argument);
            }
        }
        let mut places = places.into_iter();
        let component = places
            .next()
            .context("usage: host <component.wasm> [url] [--key-value <key>=<value>]...")?;
        let url = places.next().unwrap_or_else(|| "memory://".to_owned());
        Ok(Self { component, url, presets })
    }
}

#[tokio::main]
async fn main() -> wasmtime::Result<()> {
    let Arguments { component, url, presets } = Arguments::parse(std::env::args().skip(1))?;

    // Where the guest's buckets are: the tables of one database, behind one shared connection.
    let pool = Pool::new(provider::wasmcloud::drivers(), Duration::from_secs(5));
    let place = Place::at(pool.connect(&url)?, Name::new("guests")?);
    let buckets = Buckets::tables(place).grant(["default", "cache"]);

    buckets.seed("default", presets.clone()).await?;

    let engine = Engine::default();
    let mut linker = Linker::<Host>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    draft::add_to_linker(&mut linker)?;

    let component = Component::from_file(&engine, component)?;
    let host =
        Host { kv: KvCtx::new(buckets), wasi: WasiCtx::default(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, host);
    let app = App::instantiate_async(&mut store, &component, &linker).await?;
    let ops = app.guest_ops_ops();

    let said = |error: String| wasmtime::Error::msg(error);
    for (key, _) in presets {
        let value = ops.call_get(&mut store, "", &key).await?.map_err(said)?;
        println!("{key}: {:?}", value.map(|value| String::from_utf8_lossy(&value).into_owned()));
    }
    ops.call_set(&mut store, "cache", "greeting", b"hello").await?.map_err(said)?;
    let greeting = ops.call_get(&mut store, "cache", "greeting").await?.map_err(said)?;
    println!("greeting: {:?}", greeting.map(|value| String::from_utf8_lossy(&value).into_owned()));
    let visits = ops.call_increment(&mut store, "", "visits", 1).await?.map_err(said)?;
    println!("visits:   {visits}");
    let denied = ops.call_get(&mut store, "secrets", "k").await?;
    println!("secrets:  {}", denied.err().unwrap_or_default());

    let times = 100_000;
    let begin = Instant::now();
    ops.call_spin(&mut store, "cache", "greeting", times).await?.map_err(said)?;
    println!("one get:  {:?} through the guest", begin.elapsed() / times);
    Ok(())
}
