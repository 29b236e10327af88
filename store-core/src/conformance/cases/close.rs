//! After `close` every call says so.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("close/reads", "a closed store refuses to read").run(|cx| async move {
            let t = closed(&cx).await?;
            shut(t.read("k").await, "read")?;
            shut(t.value("k").await, "value")?;
            shut(t.exists("k").await, "exists")?;
            for one in t.values(&["k", "l"]).await {
                shut(one, "values")?;
            }
            for one in t.read_many(&["k", "l"]).await {
                shut(one, "read_many")?;
            }
            shut(cx.list(&t).await, "list")?;
            shut(cx.scan(&t).await, "scan")?;
            shut(t.list().any_order().await, "list in any order")
        }),
        case("close/writes", "a closed store refuses to write").run(|cx| async move {
            let t = closed(&cx).await?;
            shut(t.write("k", "v").await, "write")?;
            shut(t.delete("k").await, "delete")?;
            for one in t.write_many([("k", "v")]).await {
                shut(one, "write_many")?;
            }
            for one in t.delete_many(&["k"]).await {
                shut(one, "delete_many")?;
            }
            Ok(())
        }),
        case(
            "close/conditional-writes",
            "a closed store says that it is closed, not that a condition failed",
        )
        .needs([F::Create, F::IfRevision])
        .run(|cx| async move {
            let t = closed(&cx).await?;
            shut(t.write("k", "v").if_absent().await, "create")?;
            shut(t.write("k", "v").if_revision(Revision::from_parts(1, 1)).await, "write")?;
            shut(t.delete("k").if_revision(Revision::from_parts(1, 1)).await, "delete")
        }),
        case(
            "close/counters-and-batches",
            "a closed store refuses increments, batches and changes of expiry",
        )
        .needs([F::Increment, F::AtomicBatch, F::SetExpiry])
        .run(|cx| async move {
            let t = closed(&cx).await?;
            shut(t.increment("k", 1).await, "increment")?;
            shut(t.batch().write("k", "v").commit().await, "atomic")?;
            shut(t.set_expiry("k", Expiry::Never).await, "set_expiry")
        }),
        case("close/scan-u64", "a closed store refuses numeric scans")
            .needs([F::ScanU64])
            .run(|cx| async move { shut(closed(&cx).await?.scan_u64(0, 10).await, "scan_u64") }),
        case("close/watches", "a closed store refuses watches")
            .needs([F::Watch])
            .run(|cx| async move { shut(closed(&cx).await?.watch().await.map(drop), "watch") }),
        case("close/admin", "a closed store refuses administration").needs([F::Databases]).run(
            |cx| async move {
                let name = cx.name("main")?;
                closed(&cx).await?;
                let admin = cx.admin();
                shut(admin.list().await, "list")?;
                shut(admin.tables(&name).await, "tables")?;
                shut(admin.create(&name, &DatabaseConfig::new()).await, "create")?;
                shut(admin.update(&name, &DatabaseConfig::new()).await, "update")?;
                shut(admin.delete(&name).await, "delete")?;
                shut(admin.empty(&name).await, "empty")?;
                shut(admin.status(&name).await, "status")?;
                shut(admin.delete_table(&name, cx.table()?.name()).await, "delete_table")
            },
        ),
        case("close/ping", "a closed store does not answer a ping").run(|cx| async move {
            closed(&cx).await?;
            shut(cx.store().ping().await, "ping")
        }),
        case("close/twice", "to close again is fine").run(|cx| async move {
            cx.table()?.write("k", "v").await?;
            for _ in 0..3 {
                cx.store().close().await?;
            }
            Ok(())
        }),
        case("close/unused", "a store that was never used can be closed").run(|cx| async move {
            cx.store().close().await?;
            shut(cx.table()?.read("k").await, "read")
        }),
        case("close/every-handle", "handles made before and after the close are closed alike").run(
            |cx| async move {
                let before = cx.table()?;
                before.write("k", "v").await?;
                cx.store().close().await?;
                shut(before.read("k").await, "an old handle")?;
                shut(cx.table()?.read("k").await, "a new handle")?;
                shut(cx.table_at("other")?.write("k", "v").await, "a new database")
            },
        ),
        case("close/ends-watches", "open watches end with `Closed`").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let mut watches = [
                    cx.watch(&t).await?,
                    cx.changes(&t).await?,
                    cx.follow(t.watch().key("k").await?),
                ];
                watches[0].snapshot().await?;
                cx.store().close().await?;
                for watch in &mut watches {
                    ended(watch).await?;
                }
                Ok(())
            },
        ),
        case("close/wakes-watchers", "a watcher that waits is woken by the close")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                let waiting = aside(async move { ended(&mut watch).await });
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                cx.store().close().await?;
                waiting.await
            }),
        case("close/under-load", "calls under way during a close succeed or say that it is closed")
            .run(|cx| async move {
                let closing = cx.clone();
                let closer = aside(async move {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    Ok(closing.store().close().await?)
                });
                cx.together(8, |cx, task| async move {
                    let t = cx.table()?;
                    for i in 0..100_000 {
                        match t.write(&format!("{task}"), format!("{i}")).await {
                            Ok(_) => tokio::task::yield_now().await,
                            Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Err(Failure::new("the store was never closed"))
                })
                .await?;
                closer.await
            }),
        case("close/not-by-a-handle", "dropping handles closes nothing").run(|cx| async move {
            for _ in 0..10 {
                drop(cx.table()?);
                drop(cx.admin());
            }
            cx.table()?.write("k", "v").await?;
            ensure_value(&cx.table()?, "k", "v").await
        }),
    ]
}

/// A table with a record, of a store that was closed.
async fn closed(cx: &Cx) -> Check<Table> {
    let t = cx.table()?;
    t.write("k", "1").await?;
    cx.store().close().await?;
    Ok(t)
}

fn shut<T>(result: crate::Result<T>, what: &str) -> Check {
    refused(result, ErrorKind::Closed, what).map(drop)
}

/// The watch ends, after the error that says why.
async fn ended(watch: &mut Watcher) -> Check {
    for _ in 0..10_000 {
        match watch.raw().await? {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error}");
                ensure!(watch.raw().await?.is_none(), "the watch goes on after its error");
                return Ok(());
            }
            None => return Err(Failure::new("the watch ended without saying why")),
        }
    }
    Err(Failure::new("the watch does not end"))
}
