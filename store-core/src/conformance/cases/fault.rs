//! When the way to the backend is cut: never a conflict, never a made-up answer, and an honest outcome.

use std::future::IntoFuture as _;

use super::prelude::*;
use crate::Error;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("fault/no-conflict", "what does not reach the backend is no conflict")
            .needs([F::Create, F::IfRevision])
            .run(|cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                let held = revision(t.write("k", "v").await?)?;
                faults.cut().await;
                let (create, write, delete, atomic) = futures_util::join!(
                    t.write("new", "w").if_absent().into_future(),
                    t.write("k", "w").if_revision(held).into_future(),
                    t.delete("k").if_revision(held).into_future(),
                    t.batch().check("k", Condition::Revision(held)).write("x", "v").commit(),
                );
                faults.heal().await;
                for (result, what) in [
                    (create.map(drop), "create"),
                    (write.map(drop), "write"),
                    (delete.map(drop), "delete"),
                    (atomic.map(drop), "atomic"),
                ] {
                    if what != "atomic" || cx.has(F::AtomicBatch) {
                        lost(result, what)?;
                    }
                }
                Ok(())
            }),
        case(
            "fault/no-conflict-with-oneself",
            "a conditional write whose answer is lost is no conflict with itself",
        )
        .needs([F::Create, F::IfRevision])
        .run(|cx| async move {
            let (t, faults) = (cx.table()?, cx.faults()?);
            let held = revision(t.write("k", "v").await?)?;
            faults.cut_replies().await;
            let (a, b) = futures_util::join!(
                t.write("new", "w").if_absent().into_future(),
                t.write("k", "w").if_revision(held).into_future(),
            );
            faults.heal().await;
            for (result, what) in [(a, "create"), (b, "write")] {
                if let Err(error) = result {
                    ensure!(error.kind() != ErrorKind::Conflict, "{what}: {error}");
                }
            }
            Ok(())
        }),
        case("fault/honest-outcome", "a write that is said not to have happened has not happened")
            .run(|cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                t.write("k", "before").await?;
                for replies_only in [false, true] {
                    if replies_only {
                        faults.cut_replies().await;
                    } else {
                        faults.cut().await;
                    }
                    let (write, new) = futures_util::join!(
                        t.write("k", "after").into_future(),
                        t.write("new", "after").into_future()
                    );
                    faults.heal().await;
                    // What was under way may still arrive.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    for (result, key, was) in [(write, "k", Some("before")), (new, "new", None)] {
                        if result
                            .as_ref()
                            .is_err_and(|error| error.outcome() == Outcome::NotApplied)
                        {
                            let held = back(&t, key).await?;
                            ensure_eq!(
                                held.as_deref(),
                                was,
                                "{key:?}, whose write is said not to have happened"
                            );
                        }
                    }
                    for key in ["k", "new"] {
                        recovered(&t.clone(), key).await?;
                    }
                    t.write("k", "before").await?;
                    t.delete("new").await?;
                }
                Ok(())
            }),
        case(
            "fault/increments-count-once",
            "an increment whose answer is lost counts once or not at all",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let (t, faults) = (cx.table()?, cx.faults()?);
            t.increment("k", 10).await?;
            faults.cut_replies().await;
            let result = t.increment("k", 1).await;
            faults.heal().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let held = back(&t, "k").await?;
            let known: &[&str] = match &result {
                Ok(_) => &["11"],
                Err(error) if error.outcome() == Outcome::NotApplied => &["10"],
                Err(_) => &["10", "11"],
            };
            ensure!(
                held.as_deref().is_some_and(|held| known.contains(&held)),
                "{held:?} after {result:?}"
            );
            if let Err(error) = result {
                ensure!(
                    error.outcome() == Outcome::NotApplied || !error.is_retryable(),
                    "an increment of unknown outcome is said to be retryable"
                );
            }
            Ok(())
        }),
        case("fault/reads-are-not-empty", "what cannot be read is an error, not absent").run(
            |cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                t.write("k", "v").await?;
                faults.cut().await;
                let asked = ["k"];
                let admin = cx.admin();
                let (read, value, exists, many, list, scan, tables) = futures_util::join!(
                    t.read("k").into_future(),
                    t.value("k"),
                    t.exists("k"),
                    t.read_many(&asked),
                    cx.list(&t).into_future(),
                    cx.scan(&t).into_future(),
                    admin.tables(cx.name("main")?),
                );
                faults.heal().await;
                lost(read.map(drop), "read")?;
                lost(value.map(drop), "value")?;
                lost(exists.map(drop), "exists")?;
                lost(
                    many.into_iter()
                        .next()
                        .unwrap_or_else(|| Err(Error::invalid("no answer")))
                        .map(drop),
                    "read_many",
                )?;
                lost(list.map(drop), "list")?;
                lost(scan.map(drop), "scan")?;
                lost(tables.map(drop), "tables")?;
                Ok(())
            },
        ),
        case("fault/reads-may-be-repeated", "a read that was cut off is worth repeating").run(
            |cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                t.write("k", "v").await?;
                faults.cut().await;
                let result = t.read("k").await;
                faults.heal().await;
                let error = lost(result.map(drop), "read")?;
                ensure!(error.is_retryable(), "{error} is said not to be retryable");
                Ok(())
            },
        ),
        case("fault/heals", "when the way is open again the store works by itself").run(
            |cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                for round in 0..3 {
                    faults.cut().await;
                    let _ = t.read("k").await;
                    faults.heal().await;
                    recovered(&t, "k").await?;
                    let value = format!("{round}");
                    t.write("k", value.clone()).await?;
                    ensure_value(&t, "k", &value).await?;
                }
                Ok(())
            },
        ),
        case(
            "fault/batches-are-whole",
            "an atomic batch whose answer is lost has happened as a whole or not at all",
        )
        .needs([F::AtomicBatch])
        .run(|cx| async move {
            let (t, faults) = (cx.table()?, cx.faults()?);
            faults.cut_replies().await;
            let result = t.batch().write("a", "1").write("b", "1").commit().await;
            faults.heal().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (a, b) = (back(&t, "a").await?, back(&t, "b").await?);
            ensure_eq!(a, b, "both halves, after {result:?}");
            ensure!(
                result.is_err_and(|e| e.outcome() == Outcome::Unknown)
                    || a.is_some()
                    || b.is_none(),
                "outcome"
            );
            Ok(())
        }),
        case(
            "fault/changes-while-a-watch-is-cut-off",
            "a watch that has seen nothing yet is told what was written while it was cut off",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let (t, faults) = (cx.table()?, cx.faults()?);
            t.write("before", "v").await?;
            let mut watch = cx.changes(&t).await?.with_patience(Duration::from_secs(30));
            // The write happens, or may; the watch hears nothing of it.
            faults.cut_replies().await;
            lost(t.write("k", "v").await.map(drop), "a write without an answer")?;
            faults.heal().await;
            recovered(&t, "k").await?;
            if t.read("k").await?.is_none() {
                t.write("k", "v").await?;
            }
            let mut view = View::default();
            watch.fold_until(&mut view, |v| v.value("k").as_deref() == Some("v")).await
        }),
        case("fault/watches-go-on", "a watch outlives a cut and ends up with the last state")
            .needs([F::Watch])
            .run(|cx| async move {
                let (t, faults) = (cx.table()?, cx.faults()?);
                t.write("a", "1").await?;
                let mut watch = cx.watch(&t).await?.with_patience(Duration::from_secs(30));
                let mut view = View::default();
                watch.fold_until(&mut view, |v| v.synced > 0).await?;
                faults.cut().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                faults.heal().await;
                recovered(&t, "a").await?;
                t.write("a", "2").await?;
                t.write("b", "3").await?;
                watch
                    .fold_until(&mut view, |v| {
                        v.value("a").as_deref() == Some("2") && v.value("b").as_deref() == Some("3")
                    })
                    .await
            }),
    ]
}

/// A call that could not get through says just that.
fn lost(result: crate::Result<()>, what: &str) -> Check<Error> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
            Ok(error)
        }
        other => {
            Err(Failure::new(format!("{what}: expected `unavailable` or `timeout`, got {other:?}")))
        }
    }
}

/// Waits until reads work again.
async fn recovered(t: &Table, key: &str) -> Check {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match t.read(key).await {
            Ok(_) => return Ok(()),
            Err(error) => ensure!(Instant::now() < end, "20 seconds after the cut: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a key holds when reads work again.
async fn back(t: &Table, key: &str) -> Check<Option<String>> {
    recovered(t, key).await?;
    Ok(t.read(key).await?.map(|r| text(r.value())))
}
