//! Read your writes: within one store, always.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("consistency/read-after-write", "a write is read back at once, two hundred times")
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..200 {
                    let value = format!("{i}");
                    t.write("k", value.clone()).await?;
                    ensure_value(&t, "k", &value).await?;
                }
                Ok(())
            }),
        case(
            "consistency/read-after-delete",
            "a deleted record is absent at once, a hundred times",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            for _ in 0..100 {
                t.write("k", "v").await?;
                t.delete("k").await?;
                ensure_absent(&t, "k").await?;
                ensure!(!t.exists("k").await?, "exists");
            }
            Ok(())
        }),
        case("consistency/list-after-write", "a new key is listed at once").run(|cx| async move {
            let t = cx.table()?;
            for i in 0..50 {
                t.write(&format!("k{i:02}"), "v").await?;
                ensure_eq!(cx.keys(&t).await?.len(), i + 1, "keys");
            }
            Ok(())
        }),
        case("consistency/list-after-delete", "a deleted key is not listed any more, at once").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..50).map(|i| format!("k{i:02}")).collect();
                fill(&t, &keys).await?;
                for (i, key) in keys.iter().enumerate() {
                    t.delete(key).await?;
                    ensure_eq!(cx.keys(&t).await?.len(), 49 - i, "keys");
                }
                Ok(())
            },
        ),
        case("consistency/scan-after-write", "a scan and read_many show the last value at once")
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..50 {
                    let value = format!("{i}");
                    t.write("k", value.clone()).await?;
                    ensure_eq!(
                        cx.scan(&t).await?.first().map(|r| text(r.value())),
                        Some(value.clone()),
                        "scan"
                    );
                    let many = t.read_many(&["k"]).await.remove(0)?;
                    ensure_eq!(many.map(|r| text(r.value())), Some(value), "read_many");
                }
                Ok(())
            }),
        case("consistency/after-increment", "an increment is read back at once")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 1..=100 {
                    t.increment("k", 1).await?;
                    ensure_value(&t, "k", &i.to_string()).await?;
                }
                Ok(())
            }),
        case("consistency/after-a-batch", "an atomic batch is read back at once")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..50 {
                    let value = format!("{i}");
                    t.batch().write("a", &value).write("b", &value).delete("c").commit().await?;
                    ensure_value(&t, "b", &value).await?;
                    ensure_value(&t, "a", &value).await?;
                    t.write("c", "v").await?;
                }
                Ok(())
            }),
        case("consistency/after-set-expiry", "a changed expiry is read back at once")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                for i in 0..30 {
                    let (expiry, want) = if i % 2 == 0 {
                        (Expiry::After(cx.long()), true)
                    } else {
                        (Expiry::Never, false)
                    };
                    t.set_expiry("k", expiry).await?;
                    ensure_eq!(
                        present(&t, "k").await?.expires_at().is_some(),
                        want,
                        "whether there is an expiry"
                    );
                }
                Ok(())
            }),
        case(
            "consistency/across-handles",
            "what one handle wrote another of the same store reads at once",
        )
        .run(|cx| async move {
            let (one, two) = (cx.table()?, cx.table()?);
            for i in 0..100 {
                let value = format!("{i}");
                one.write("k", value.clone()).await?;
                ensure_value(&two, "k", &value).await?;
            }
            Ok(())
        }),
        case("consistency/each-task-its-own", "eight tasks at once each read what they wrote").run(
            |cx| async move {
                cx.together(8, |cx, task| async move {
                    let (t, key) = (cx.table()?, format!("k{task}"));
                    for i in 0..40 {
                        let value = format!("{task} {i}");
                        t.write(&key, value.clone()).await?;
                        ensure_value(&t, &key, &value).await?;
                        if i % 10 == 9 {
                            t.delete(&key).await?;
                            ensure_absent(&t, &key).await?;
                        }
                    }
                    Ok(())
                })
                .await?;
                Ok(())
            },
        ),
        case("consistency/monotonic-reads", "a reader never sees a value go back").run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "0000").await?;
                let writing = t.clone();
                let writer = aside(async move {
                    for i in 1..300 {
                        writing.write("k", format!("{i:04}")).await?;
                        tokio::task::yield_now().await;
                    }
                    Ok(())
                });
                let mut last = String::new();
                for _ in 0..300 {
                    let value = text(present(&t, "k").await?.value());
                    ensure!(value >= last, "{value} after {last}");
                    last = value;
                    tokio::task::yield_now().await;
                }
                writer.await
            },
        ),
    ]
}
