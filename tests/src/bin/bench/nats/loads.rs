//! Many records by one call.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use store_core::{Key, Name, Namespace, Put};

use super::setup::{KV, TABLE, check, key, value, wrong};
use super::{Case, Suite};
use crate::Result;

const MANY: usize = 1000;
/// How many calls of the peer are under way at a time.
const WINDOW: usize = 64;

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    let many = |name, bar| Case { name, peer: KV, tasks: 1, bar };
    let (write, read) = (many("write-many-1000", 1.3), many("read-many-1000", 2.0));
    let bulk = Case { name: "bulk-load", peer: "raw acked, w=64", tasks: 1, bar: 0.9 };
    // Reads need what the writes leave.
    if suite.wants(write) || suite.wants(read) {
        write_many(suite, write)?;
    }
    if suite.wants(read) {
        read_many(suite, read)?;
    }
    if suite.wants(bulk) {
        bulk_load(suite, bulk)?;
    }
    Ok(())
}

fn write_many(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let table = suite.ground.table("ours", "many")?;
    let kv = suite.ground.peer.kv.clone();
    suite.duel(
        case,
        move |_| {
            let table = table.clone();
            async move {
                let records = (0..MANY).map(|i| (key(i), value()));
                for written in table.write_many(records).await {
                    written?;
                }
                Ok(MANY)
            }
        },
        move |_| {
            let kv = kv.clone();
            async move {
                let puts =
                    stream::iter(0..MANY).map(|i| kv.put(format!("many.{}", key(i)), value()));
                puts.buffer_unordered(WINDOW).try_for_each(|_| async { Ok(()) }).await?;
                Ok(MANY)
            }
        },
    )
}

fn read_many(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let table = suite.ground.table("ours", "many")?;
    let kv = suite.ground.peer.kv.clone();
    let keys: Arc<[String]> = (0..MANY).map(key).collect();
    suite.duel(
        case,
        move |_| {
            let (table, keys) = (table.clone(), Arc::clone(&keys));
            async move {
                for found in table.read_many(&keys[..]).await {
                    check(found?.ok_or_else(|| wrong("a record is gone"))?.value())?;
                }
                Ok(MANY)
            }
        },
        move |_| {
            let kv = kv.clone();
            async move {
                let gets = stream::iter(0..MANY).map(|i| kv.get(format!("many.{}", key(i))));
                let mut gets = std::pin::pin!(gets.buffer_unordered(WINDOW));
                while let Some(found) = gets.next().await {
                    check(&found?.ok_or_else(|| wrong("a record is gone"))?)?;
                }
                Ok(MANY)
            }
        },
    )
}

fn bulk_load(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let records = suite.ground.scale.small;
    suite.bench.wait(suite.ground.bucket("bulk", &[]))?;
    suite.bench.wait(suite.ground.bucket("bulkraw", &[]))?;
    let ns = Namespace::new(Name::new("bulk")?, TABLE)?;
    let ours = suite.ground.ours.clone();
    let raw = Arc::new(Mutex::new(suite.ground.raw()?));
    suite.long_duel(
        case,
        move |_| {
            let (ours, ns) = (ours.clone(), ns.clone());
            async move {
                let keys: Vec<String> = (0..records).map(key).collect();
                let mut puts = Vec::with_capacity(records);
                for key in &keys {
                    puts.push(Put::new(Key::new(key)?, value()));
                }
                let done = ours.import(&ns, puts).await?;
                match done.stopped {
                    None if done.written == records as u64 => Ok(records),
                    None => Err(wrong("a bulk load is not complete")),
                    Some(error) => Err(error.into()),
                }
            }
        },
        move |_| {
            let raw = Arc::clone(&raw);
            async move {
                let load = move || {
                    let subjects = (0..records).map(|i| format!("$KV.bulkraw.{TABLE}.{}", key(i)));
                    raw.lock().load(subjects)
                };
                tokio::task::spawn_blocking(load).await?
            }
        },
    )
}
