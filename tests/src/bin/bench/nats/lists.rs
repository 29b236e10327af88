//! Listings. Where the peer is async-nats, it lists all of the bucket and filters, as Go-Micro's store does.

use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream::kv;
use futures_util::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use store_core::{Cursor, Table};
use store_natsjs::Nats;

use super::setup::{TABLE, check, key, table_of, wrong};
use super::{Case, Suite};
use crate::Result;

/// Records of a page.
const PAGE: usize = 100;
/// The peer that has to look at everything.
const ALL_AND_FILTER: &str = "list + filter";

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    large(suite)?;
    pages(suite)?;
    tombstones(suite)?;
    scan(suite)
}

const fn case(name: &'static str, peer: &'static str, bar: f64) -> Case {
    Case { name, peer, tasks: 1, bar }
}

/// Small and large tables of a large bucket.
fn large(suite: &mut Suite<'_, '_>) -> Result<()> {
    let few = case("list-10-values", ALL_AND_FILTER, 5000.0);
    let grown = case("list-10-values-grown", "10 times smaller", 0.667);
    let many = case("list-1000-values", ALL_AND_FILTER, 500.0);
    let names = case("names-of-large-table", ALL_AND_FILTER, 10.0);
    if ![few, grown, many, names].into_iter().any(|case| suite.wants(case)) {
        return Ok(());
    }
    let scale = suite.ground.scale;
    let (table, rest) = (scale.small, scale.large - scale.small - 1010);
    let tables = [("t10", 10), ("t1000", 1000), ("rest", rest), ("large", table)];
    suite.bench.wait(suite.ground.bucket("million", &tables))?;
    let kv = suite.bench.wait(suite.ground.peer_bucket("million"))?;
    if suite.wants(grown) {
        let tables = [("t10", 10), ("rest", scale.small - 10)];
        suite.bench.wait(suite.ground.bucket("hundred", &tables))?;
        let (ours, small) =
            (suite.ground.table("million", "t10")?, suite.ground.table("hundred", "t10")?);
        suite.duel(grown, values(ours, 10), values(small, 10))?;
    }
    for (case, table, records) in [(few, "t10", 10), (many, "t1000", 1000)] {
        if suite.wants(case) {
            let (ours, kv) = (suite.ground.table("million", table)?, kv.clone());
            suite.long_duel(case, values(ours, records), move |_| {
                let kv = kv.clone();
                async move {
                    let keys = list_and_filter(&kv, table, records).await?;
                    for key in keys {
                        let found = kv.get(key).await?;
                        check(&found.ok_or_else(|| wrong("a record is gone"))?)?;
                    }
                    Ok(1)
                }
            })?;
        }
    }
    if suite.wants(names) {
        let ours = suite.ground.table("million", "large")?;
        suite.long_duel(names, all_names(ours, table), move |_| {
            let kv = kv.clone();
            async move {
                list_and_filter(&kv, "large", table).await?;
                Ok(1)
            }
        })?;
    }
    Ok(())
}

type Step = crate::measure::Step;
type Operations = std::pin::Pin<Box<dyn Future<Output = Result<usize>> + Send>>;

/// A table with its values.
fn values(table: Table, records: usize) -> impl Fn(Step) -> Operations + Send + Sync + 'static {
    move |_| {
        let table = table.clone();
        Box::pin(async move {
            let found = table.scan().await?;
            for record in &found {
                check(record.value())?;
            }
            count(found.len(), records)
        })
    }
}

/// The names of a table, by as many calls as it takes.
fn all_names(table: Table, records: usize) -> impl Fn(Step) -> Operations + Send + Sync + 'static {
    move |_| {
        let table = table.clone();
        Box::pin(async move { count(table.list().page_size(usize::MAX).await?.len(), records) })
    }
}

/// The first page of a handle that has seen nothing before.
fn cold_page(client: Client, any: bool) -> impl Fn(Step) -> Operations + Send + Sync + 'static {
    move |step| {
        let client = client.clone();
        Box::pin(async move {
            let table = fresh(client).await?;
            first_page(table, any)(step).await
        })
    }
}

/// All names, by a handle that has seen nothing before.
fn cold_names(client: Client, records: usize) -> impl Fn(Step) -> Operations + Send + Sync {
    move |step| {
        let client = client.clone();
        Box::pin(async move {
            let table = fresh(client).await?;
            all_names(table, records)(step).await
        })
    }
}

/// A handle of its own on a connection that is there.
async fn fresh(client: Client) -> Result<Table> {
    table_of(&Nats::builder().client(client).connect().await?, "pages", TABLE)
}

fn first_page(table: Table, any: bool) -> impl Fn(Step) -> Operations + Send + Sync + 'static {
    move |_| {
        let table = table.clone();
        Box::pin(async move {
            let page = table.list().page_size(PAGE);
            let page = if any { page.any_order() } else { page };
            count(page.page().await?.items.len(), PAGE)
        })
    }
}

fn count(found: usize, records: usize) -> Result<usize> {
    if found == records { Ok(1) } else { Err(wrong("a listing has not what was written")) }
}

async fn list_and_filter(kv: &kv::Store, table: &str, records: usize) -> Result<Vec<String>> {
    let prefix = format!("{table}.");
    let mut found: Vec<String> = kv
        .keys()
        .await?
        .try_filter(|key| std::future::ready(key.starts_with(&prefix)))
        .try_collect()
        .await?;
    found.sort_unstable();
    count(found.len(), records).map(|_| found)
}

/// Pages of a large table.
fn pages(suite: &mut Suite<'_, '_>) -> Result<()> {
    let any = case("first-page-any-order", "list all", 20.0);
    let first = case("first-page", "list all", 1.0);
    let next = case("next-page", "first page", 20.0);
    if ![any, first, next].into_iter().any(|case| suite.wants(case)) {
        return Ok(());
    }
    let records = suite.ground.scale.small;
    suite.bench.wait(suite.ground.bucket("pages", &[(TABLE, records)]))?;
    let table = suite.ground.table("pages", TABLE)?;
    let client = suite.bench.wait(async_nats::connect(suite.ground.url()))?;
    for (case, is_any) in [(any, true), (first, false)] {
        if suite.wants(case) {
            let (page, all) =
                (cold_page(client.clone(), is_any), cold_names(client.clone(), records));
            suite.duel(case, page, all)?;
        }
    }
    if suite.wants(next) {
        let page = suite.bench.wait(async { table.list().page_size(PAGE).page().await })?;
        let begin = page.next.ok_or_else(|| wrong("a large table is one page"))?;
        let at = Arc::new(Mutex::new(begin.clone()));
        let ours = {
            let table = table.clone();
            move |_: Step| {
                let (table, at, begin) = (table.clone(), Arc::clone(&at), begin.clone());
                async move {
                    let cursor: Cursor = at.lock().clone();
                    let page = table.list().page_size(PAGE).cursor(cursor).page().await?;
                    *at.lock() = page.next.unwrap_or(begin);
                    count(page.items.len(), PAGE)
                }
            }
        };
        suite.duel(next, ours, cold_page(client, false))?;
    }
    Ok(())
}

/// A table among many tombstones.
fn tombstones(suite: &mut Suite<'_, '_>) -> Result<()> {
    let case = case("list-among-tombstones", "none of them", 0.2);
    if !suite.wants(case) {
        return Ok(());
    }
    let graves = suite.ground.scale.small;
    suite.bench.wait(suite.ground.bucket("graves", &[("clean", 1000)]))?;
    let mut raw = suite.ground.raw()?;
    // A record after every hundred deletions or so.
    let each = graves / 1000;
    for i in 0..1000 {
        raw.bury((0..each).map(|n| format!("$KV.graves.full.{}-{n}", key(i))))?;
        raw.load(std::iter::once(format!("$KV.graves.full.{}", key(i))))?;
    }
    let full = suite.ground.table("graves", "full")?;
    let clean = suite.ground.table("graves", "clean")?;
    suite.duel(case, all_names(full, 1000), all_names(clean, 1000))
}

/// All of a table with values.
fn scan(suite: &mut Suite<'_, '_>) -> Result<()> {
    let case = case("scan-with-values", "kv watch_all", 0.9);
    if !suite.wants(case) {
        return Ok(());
    }
    let records = suite.ground.scale.small;
    suite.bench.wait(suite.ground.bucket("scanned", &[(TABLE, records)]))?;
    let table = suite.ground.table("scanned", TABLE)?;
    let kv = suite.bench.wait(suite.ground.peer_bucket("scanned"))?;
    // In one call, as the peer has it in one.
    let all = move |_: Step| {
        let table = table.clone();
        async move {
            let found = table.scan().page_size(usize::MAX).await?;
            for record in &found {
                check(record.value())?;
            }
            count(found.len(), records)
        }
    };
    suite.duel(case, all, move |_| {
        let kv = kv.clone();
        async move {
            let mut found = 0;
            let mut watch = kv.watch_with_history(">").await?;
            while let Some(entry) = watch.next().await {
                let entry = entry?;
                check(&entry.value)?;
                found += 1;
                if entry.seen_current {
                    break;
                }
            }
            count(found, records)
        }
    })
}
