//! What happens to a watch: lag, many of them, the end.

use super::super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "watch/lags",
            "a watcher that looked away for two thousand changes ends up with the last state",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.watch(&t).await?;
            for round in 0..20 {
                let pairs = (0..100).map(|i| (format!("k{i:02}"), format!("{round}")));
                for written in t.write_many(pairs).await {
                    written?;
                }
            }
            t.delete("k00").await?;
            t.write("end", "v").await?;
            let mut view = View::default();
            watch.fold_until(&mut view, |v| v.records.contains_key("end")).await?;
            // What lags may tell the end of the table in another order: the rest follows at once.
            watch
                .fold_until(&mut view, |v| {
                    !v.records.contains_key("k00")
                        && v.records.len() == 100
                        && v.records.iter().all(|(k, r)| k == "end" || r.value() == b"19")
                })
                .await
        }),
        case(
            "watch/hot",
            "a watch of a key that never rests ends up with what was done last, whatever was done while it looked",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.watch(&t).await?;
            let mut view = View::default();
            for round in 0..12 {
                for i in 0..3 {
                    // Of one key, but for the last: changes come faster than a watcher that reads can follow.
                    let pairs = (0..40).map(|step| ("k", format!("{round}-{i}-{step}")));
                    for written in t.write_many(pairs).await {
                        written?;
                    }
                }
                let last = format!("{round}");
                if round % 2 == 0 {
                    t.delete("k").await?;
                } else {
                    t.write("k", &*last).await?;
                }
                t.write("end", &*last).await?;
                watch.fold_until(&mut view, |v| v.value("end").as_ref() == Some(&last)).await?;
                let want = (round % 2 == 1).then_some(last);
                watch.fold_until(&mut view, |v| v.value("k") == want).await?;
            }
            Ok(())
        }),
        case(
            "watch/order-under-lag",
            "a watcher that lags never sees an older state after a newer one",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            for i in 0..3000 {
                t.write("k", format!("{i:04}")).await?;
            }
            let mut last = String::new();
            while last != "2999" {
                if let Event::Put(record) = watch.change().await? {
                    let value = text(record.value());
                    ensure!(value > last, "{value} came after {last}");
                    last = value;
                }
            }
            Ok(())
        }),
        case("watch/dropped", "dropped watches leave nothing that disturbs the store")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..100 {
                    let watch = cx.watch(&t).await?;
                    t.write("k", format!("{i}")).await?;
                    drop(watch);
                }
                ensure_value(&t, "k", "99").await?;
                let mut watch = cx.watch(&t).await?;
                ensure_eq!(watch.snapshot().await?.len(), 1, "records in a new snapshot");
                Ok(())
            }),
        case("watch/many-watchers", "fifty watchers see each change").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                let mut watches = Vec::new();
                for _ in 0..50 {
                    watches.push(cx.changes(&t).await?);
                }
                for i in 0..10 {
                    t.write("k", format!("{i}")).await?;
                    // One after the other, so that each of them keeps up.
                    for watch in &mut watches {
                        watch.expect_put("k", &format!("{i}")).await?;
                    }
                }
                Ok(())
            },
        ),
        case(
            "watch/concurrent-writers",
            "with four writers at work, a watch ends up with what is there",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.watch(&t).await?;
            let writers = {
                let cx = cx.clone();
                aside(async move {
                    cx.together(4, |cx, writer| async move {
                        let t = cx.table()?;
                        for i in 0..100 {
                            let key = format!("k{}", (i + writer) % 7);
                            if i % 5 == 4 {
                                t.delete(&key).await.map(drop)?;
                            } else {
                                t.write(&key, format!("{writer}-{i}")).await.map(drop)?;
                            }
                        }
                        Ok(())
                    })
                    .await
                })
            };
            let mut view = View::default();
            writers.await?;
            t.write("end", "v").await?;
            let mut want = BTreeMap::new();
            for record in cx.scan(&t).await? {
                want.insert(record.key().to_owned(), text(record.value()));
            }
            watch
                .fold_until(&mut view, |v| {
                    v.records.len() == want.len()
                        && want.iter().all(|(key, value)| v.value(key).as_ref() == Some(value))
                })
                .await
        }),
        case(
            "watch/no-gap-after-the-snapshot",
            "nothing is lost between snapshot and changes while a writer writes",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let writing = t.clone();
            let writer = aside(async move {
                for i in 0..300 {
                    writing.write(&format!("k{i:03}"), "v").await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            });
            let mut watches = Vec::new();
            for _ in 0..5 {
                watches.push(cx.watch(&t).await?);
                tokio::task::yield_now().await;
            }
            writer.await?;
            for mut watch in watches {
                watch.fold_until(&mut View::default(), |v| v.records.len() == 300).await?;
            }
            Ok(())
        }),
        case("watch/no-duplicates", "no version of a record is seen twice while a writer writes")
            .needs([F::Watch, F::Revisions])
            .run(|cx| async move {
                let t = cx.table()?;
                let writing = t.clone();
                let writer = aside(async move {
                    for i in 0..300 {
                        writing.write(&format!("k{}", i % 5), format!("{i:03}")).await?;
                        tokio::task::yield_now().await;
                    }
                    Ok(writing.write("end", "v").await?)
                });
                let mut watch = cx.watch(&t).await?;
                let mut seen = HashSet::new();
                loop {
                    if let Event::Put(record) = watch.next().await? {
                        ensure!(
                            seen.insert((record.key().to_owned(), record.revision())),
                            "{record:?} was seen twice"
                        );
                        if record.key() == "end" {
                            break;
                        }
                    }
                }
                writer.await?;
                Ok(())
            }),
        case("watch/before-the-database", "a watch may be opened before the database exists")
            .needs([F::Watch, F::Databases])
            .run(|cx| async move {
                let t = cx.table_at("later")?;
                let mut watch = cx.changes(&t).await?;
                t.write("k", "v").await?;
                watch.expect_put("k", "v").await?;
                Ok(())
            }),
        case(
            "watch/slow-start",
            "a watch that is polled late begins with its snapshot all the same",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let mut watch = cx.watch(&t).await?;
            t.write("a", "new").await?;
            t.delete("b").await?;
            let mut view = View::default();
            watch
                .fold_until(&mut view, |v| {
                    v.value("a").as_deref() == Some("new")
                        && !v.records.contains_key("b")
                        && v.synced == 1
                })
                .await
        }),
    ]
}
