//! A guest in wasmtime that reads from the memory store.

use std::sync::Arc;

use provider::{Buckets, Place};
use provider_wasmtime::{KvCtx, KvView, draft};
use store_core::Name;
use store_memory::Memory;
use tokio::sync::Mutex;
use wasmtime::component::{Component, Linker, TypedFunc};
use wasmtime::{Engine, Store};

use super::wire::VALUE;
use crate::Result;
use crate::measure::{Done, Lane, Work};

#[path = "../../../../../provider-wasmtime/guests/wat/mod.rs"]
#[allow(dead_code, reason = "one of the two drafts is enough here")]
mod wat;

struct Host(KvCtx);

impl KvView for Host {
    fn kv(&mut self) -> &mut KvCtx {
        &mut self.0
    }
}

/// How often the guest is to read in one call.
type Spin = TypedFunc<(String, String, u32), (std::result::Result<(), String>,)>;

/// A guest that reads so often in each call.
pub(crate) struct Guest {
    inside: Mutex<(Store<Host>, Spin)>,
    reads: u32,
}

/// A guest that reads once in each call, and one that does nothing but be called. Both open the bucket.
pub(crate) async fn both() -> Result<(Arc<Guest>, Arc<Guest>)> {
    let memory = Arc::new(Memory::new());
    let place = Place::new(memory, Name::new("bench")?);
    let buckets = Arc::new(Buckets::tables(place));
    buckets.open("default").await?.set("key", VALUE).await?;
    let engine = Engine::default();
    let mut linker = Linker::<Host>::new(&engine);
    draft::add_to_linker(&mut linker)?;
    let component = Component::from_binary(&engine, &wat::draft()?)?;
    let guest = async |reads| -> Result<Arc<Guest>> {
        let mut store = Store::new(&engine, Host(KvCtx::new(Arc::clone(&buckets))));
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let missing = "the guest has no `spin`";
        let ops = instance.get_export_index(&mut store, None, "guest:ops/ops").ok_or(missing)?;
        let spin = instance.get_export_index(&mut store, Some(&ops), "spin").ok_or(missing)?;
        let spin = instance.get_typed_func(&mut store, spin)?;
        Ok(Arc::new(Guest { inside: Mutex::new((store, spin)), reads }))
    };
    Ok((guest(1).await?, guest(0).await?))
}

/// Calls the guest.
#[derive(Clone, Copy)]
pub(crate) struct Calls;

impl Work<Guest> for Calls {
    async fn run(self, on: Arc<Guest>, lane: Lane) -> Result<Done> {
        const BATCH: usize = 256;
        let mut inside = on.inside.lock().await;
        let (store, spin) = &mut *inside;
        let mut lap = lane.start().await;
        loop {
            for _ in 0..BATCH {
                let call = (String::new(), "key".to_owned(), on.reads);
                let (done,) = spin.call_async(&mut *store, call).await?;
                done?;
            }
            if !lap.more(BATCH).await {
                return Ok(lap.done());
            }
        }
    }
}
