//! Single reads and writes.

use super::setup::{KV, RECORDS, TABLE, check, key, value, wrong};
use super::{Case, Suite};
use crate::Result;
use crate::measure::Step;

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    let reads = [("read-1", 1, 0.9), ("read-64", 64, 1.4), ("read-256", 256, 1.7)];
    let reads = reads.map(|(name, tasks, bar)| Case { name, peer: KV, tasks, bar });
    let raw = "raw MSG.GET";
    let strong = [("strong-read/1-task", 1), ("strong-read/64-tasks", 64)];
    let strong = strong.map(|(name, tasks)| Case { name, peer: raw, tasks, bar: 0.95 });
    let writes = [("write-1", 1, 0.95), ("write-64", 64, 1.0)];
    let writes = writes.map(|(name, tasks, bar)| Case { name, peer: KV, tasks, bar });
    let wanted = reads.iter().chain(&strong).chain(&writes);
    if !wanted.into_iter().any(|case| suite.wants(*case)) {
        return Ok(());
    }
    fill(suite)?;
    for case in reads.into_iter().filter(|case| suite.wants(*case)).collect::<Vec<_>>() {
        read(suite, case)?;
    }
    for case in strong.into_iter().filter(|case| suite.wants(*case)).collect::<Vec<_>>() {
        strong_read(suite, case)?;
    }
    for case in writes.into_iter().filter(|case| suite.wants(*case)).collect::<Vec<_>>() {
        write(suite, case)?;
    }
    Ok(())
}

/// The same records in the bucket of each side, written by that side.
fn fill(suite: &Suite<'_, '_>) -> Result<()> {
    let table = suite.ground.table("ours", TABLE)?;
    let peer = suite.ground.peer.clone();
    suite.bench.wait(async {
        let keys: Vec<String> = (0..RECORDS).map(key).collect();
        for keys in keys.chunks(256) {
            for written in table.write_many(keys.iter().map(|key| (key, value()))).await {
                written?;
            }
            let puts = keys.iter().map(|key| peer.kv.put(format!("{TABLE}.{key}"), value()));
            futures_util::future::try_join_all(puts).await?;
        }
        Ok(())
    })
}

/// A record that no other task of this slice is at.
fn pick(step: Step) -> String {
    let turn = (step.done + step.round * 1000) * step.tasks + step.task;
    key(turn.wrapping_mul(7919) % RECORDS)
}

fn read(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let table = suite.ground.table("ours", TABLE)?;
    let kv = suite.ground.peer.kv.clone();
    suite.duel(
        case,
        move |step| {
            let table = table.clone();
            async move {
                let record = table.read(&pick(step)).await?;
                check(record.ok_or_else(|| wrong("a record is gone"))?.value())?;
                Ok(1)
            }
        },
        move |step| {
            let kv = kv.clone();
            async move {
                let found = kv.get(format!("{TABLE}.{}", pick(step))).await?;
                check(&found.ok_or_else(|| wrong("a record is gone"))?)?;
                Ok(1)
            }
        },
    )
}

fn strong_read(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let table = suite.ground.table("ours", TABLE)?;
    let client = suite.ground.peer.client.clone();
    suite.duel(
        case,
        move |step| {
            let table = table.clone();
            async move {
                let record = table.read(&pick(step)).strong().await?;
                check(record.ok_or_else(|| wrong("a record is gone"))?.value())?;
                Ok(1)
            }
        },
        // The request alone: its answer is not even decoded.
        move |step| {
            let client = client.clone();
            async move {
                let body = format!("{{\"last_by_subj\":\"$KV.peer.{TABLE}.{}\"}}", pick(step));
                let to = "$JS.API.STREAM.MSG.GET.KV_peer";
                let answer = client.request(to, body.into()).await?;
                if answer.payload.len() < 200 {
                    return Err(wrong("a record is gone"));
                }
                Ok(1)
            }
        },
    )
}

fn write(suite: &mut Suite<'_, '_>, case: Case) -> Result<()> {
    let table = suite.ground.table("ours", TABLE)?;
    let kv = suite.ground.peer.kv.clone();
    suite.duel(
        case,
        move |step| {
            let table = table.clone();
            async move {
                table.write(&pick(step), value()).await?;
                Ok(1)
            }
        },
        move |step| {
            let kv = kv.clone();
            async move {
                kv.put(format!("{TABLE}.{}", pick(step)), value()).await?;
                Ok(1)
            }
        },
    )
}
