//! Dropped futures leave nothing half written and nothing running.

use std::future::{Future, IntoFuture as _};
use std::pin::pin;
use std::task::Poll;

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("cancel/writes", "a dropped write has happened as a whole or not at all").run(
            |cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(30_000, |most| most.min(30_000));
                t.write("k", vec![0; size]).await?;
                for i in 1..=60u8 {
                    dropped(async { t.write("k", vec![i; size]).await }, i).await;
                    let record = present(&t, "k").await?;
                    let first = record.value().first().copied().unwrap_or_default();
                    ensure!(
                        record.value().len() == size && record.value().iter().all(|b| *b == first),
                        "a torn value"
                    );
                    ensure!(first <= i, "a value from the future");
                }
                t.write("k", "last").await?;
                ensure_value(&t, "k", "last").await
            },
        ),
        case(
            "cancel/increments",
            "dropped increments count at most once each, and those that were awaited always",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            for i in 0..100u8 {
                dropped(async { t.increment("k", 1).await }, i).await;
                t.increment("k", 1000).await?;
            }
            let held: i64 = text(present(&t, "k").await?.value())
                .parse()
                .map_err(|_| Failure::new("no number"))?;
            ensure!(
                (100_000..=100_100).contains(&held),
                "{held} after a hundred thousands and at most a hundred ones"
            );
            cx.advance(Duration::from_millis(20)).await;
            let later = t.increment("k", 0).await?.value;
            ensure!((held..=100_100).contains(&later), "{later}, it was {held}");
            Ok(())
        }),
        case(
            "cancel/increments-beside-others",
            "dropping one of several increments of a key does not drop the others",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            for round in 0..20u8 {
                let all = (0..10).map(|_| t.increment("k", 1));
                let ((), sums) = futures_util::join!(
                    dropped(async { t.increment("gone", 1).await }, round),
                    futures_util::future::join_all(all)
                );
                for sum in sums {
                    sum?;
                }
                let mut burst: Vec<_> =
                    (0..4).map(|_| Box::pin(t.increment("k", 1).into_future())).collect();
                // All four begin, the first is dropped, the rest must end.
                let mut waiting = Vec::new();
                for mut one in burst.drain(..) {
                    match futures_util::poll!(one.as_mut()) {
                        Poll::Ready(result) => drop(result?),
                        Poll::Pending => waiting.push(one),
                    }
                }
                if waiting.len() == 4 {
                    drop(waiting.remove(0));
                }
                for one in waiting {
                    one.await?;
                }
            }
            let held: i64 = text(present(&t, "k").await?.value())
                .parse()
                .map_err(|_| Failure::new("no number"))?;
            ensure!(
                (260..=280).contains(&held),
                "{held}, of 260 that ended and 20 that were dropped"
            );
            Ok(())
        }),
        case("cancel/batches", "a dropped atomic batch has happened as a whole or not at all")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                t.batch().write("a", "000").write("b", "000").commit().await?;
                for i in 1..=60u8 {
                    let value = format!("{i:03}");
                    dropped(t.batch().write("a", &value).write("b", &value).commit(), i).await;
                    // What was still under way may come between two reads: then they are read again.
                    cx.eventually("both halves of a dropped batch agree", || async {
                        Ok(present(&t, "a").await?.value() == present(&t, "b").await?.value())
                    })
                    .await?;
                }
                Ok(())
            }),
        case("cancel/updates", "a dropped `update` leaves a whole record and no lock")
            .needs([F::KeepExpiry, F::IfRevision, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..60u8 {
                    dropped(
                        t.update("k", |record| {
                            Change::write(format!(
                                "{}+",
                                record.map(|r| text(r.value())).unwrap_or_default()
                            ))
                        }),
                        i,
                    )
                    .await;
                }
                t.update("k", |record| {
                    Change::write(format!(
                        "{}!",
                        record.map(|r| text(r.value())).unwrap_or_default()
                    ))
                })
                .await?;
                let held = text(present(&t, "k").await?.value());
                ensure!(
                    held.trim_end_matches('!').bytes().all(|b| b == b'+') && held.ends_with('!'),
                    "{held}"
                );
                Ok(())
            }),
        case("cancel/listings", "listings and streams that were dropped half way disturb nothing")
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..50).map(|i| format!("k{i:02}")).collect::<Vec<_>>()).await?;
                for i in 0..30u8 {
                    dropped(async { cx.list(&t).page_size(3).await }, i).await;
                    let mut stream = cx.scan(&t).page_size(3).stream();
                    stream.next().await.transpose()?;
                    drop(stream);
                }
                ensure_eq!(cx.keys(&t).await?.len(), 50, "keys");
                Ok(())
            }),
        case(
            "cancel/opening-watches",
            "watches that were dropped while they opened disturb nothing",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            for i in 0..40u8 {
                dropped(async { t.watch().await.map(drop) }, i).await;
            }
            let mut watch = cx.watch(&t).await?;
            watch.snapshot().await?;
            t.write("k", "v").await?;
            watch.expect_put("k", "v").await?;
            Ok(())
        }),
        case("cancel/many-at-once", "hundreds of dropped calls leave a store that answers").run(
            |cx| async move {
                cx.together(8, |cx, task| async move {
                    let t = cx.table()?;
                    for i in 0..50u8 {
                        dropped(async { t.write(&format!("{task}"), "v").await }, i).await;
                        dropped(async { t.read(&format!("{task}")).await }, i).await;
                        dropped(async { t.delete(&format!("{task}")).await }, i).await;
                    }
                    Ok(())
                })
                .await?;
                let t = cx.table()?;
                t.write("k", "v").await?;
                ensure_value(&t, "k", "v").await
            },
        ),
    ]
}

/// Polls a call a few times, or for a few hundred microseconds, and drops it.
async fn dropped<F: Future>(call: F, turn: u8) {
    let mut call = pin!(call);
    match turn % 4 {
        0 => drop(futures_util::poll!(call.as_mut())),
        1 => {
            for _ in 0..3 {
                if futures_util::poll!(call.as_mut()).is_ready() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        _ => {
            let patience = Duration::from_micros(50 * u64::from(turn));
            drop(tokio::time::timeout(patience, call).await);
        }
    }
}
