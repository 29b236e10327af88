//! From a write to its event.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::Event;

use super::setup::{self, TABLE, value, wrong};
use super::{Case, Suite};
use crate::Result;

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    // At most 1.4 times the latency.
    let case = Case { name: "watch-p50", peer: "subscription", tasks: 1, bar: 0.714 };
    if !suite.wants(case) {
        return Ok(());
    }
    setup::progress(case.name);
    let (rounds, events) = (suite.effort.rounds, suite.effort.slice.as_millis() as usize * 4);
    let ground = &suite.ground;
    let figures = suite.bench.wait(async {
        let table = ground.table("watched", TABLE)?;
        table.write("k", value()).await?;
        let mut watch = table.watch().changes_only().await?;
        let mut plain = ground.peer.client.subscribe("$KV.watched.>").await?;
        // The same writer for both, one that waits for nothing.
        let writer = async_nats::connect(ground.url()).await?;
        let mut figures = Vec::new();
        for _ in 0..rounds {
            let (mut ours, mut peer) = (Vec::new(), Vec::new());
            // Both hear every write; each in turn is waited for first, and the other is emptied after.
            for n in 0..2 * events {
                let begin = Instant::now();
                writer.publish(format!("$KV.watched.{TABLE}.k"), value()).await?;
                if n % 2 == 0 {
                    put(watch.next().await)?;
                    ours.push(begin.elapsed());
                    plain.next().await.ok_or_else(|| wrong("the subscription ended"))?;
                } else {
                    plain.next().await.ok_or_else(|| wrong("the subscription ended"))?;
                    peer.push(begin.elapsed());
                    put(watch.next().await)?;
                }
            }
            figures.push((1.0 / median(ours), 1.0 / median(peer)));
        }
        Result::Ok(figures)
    })?;
    suite.add(case, "1/s", &figures)
}

fn put(event: Option<store_core::Result<Event>>) -> Result<()> {
    match event {
        Some(Ok(Event::Put(_))) => Ok(()),
        Some(Err(error)) => Err(error.into()),
        _ => Err(wrong("a watch brought something else than the write")),
    }
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all.get(all.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}
