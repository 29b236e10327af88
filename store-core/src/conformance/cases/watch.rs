//! Watches: per key never an older state after a newer one, no duplicate, never a last change missed.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    let mut all = starts();
    all.extend(scopes());
    all.extend(changes());
    all.extend(lives());
    all
}

fn starts() -> Vec<Case> {
    vec![
        case(
            "watch/snapshot-then-changes",
            "a watch begins with the records there are, says so, and goes on with changes",
        )
        .proves(F::Watch)
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let mut watch = cx.watch(&t).await?;
            let mut keys: Vec<_> =
                watch.snapshot().await?.iter().map(|r| r.key().to_owned()).collect();
            keys.sort_unstable();
            ensure_eq!(keys, ["a", "b"], "keys of the snapshot");
            t.write("c", "3").await?;
            watch.expect_put("c", "3").await?;
            t.delete("a").await?;
            watch.expect_gone("a", Gone::Deleted).await?;
            Ok(())
        }),
        case("watch/synced-on-empty", "an empty snapshot is complete too").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                let mut watch = cx.watch(&t).await?;
                ensure_eq!(
                    watch.snapshot().await?.len(),
                    0,
                    "records in the snapshot of a missing database"
                );
                t.write("k", "v").await?;
                watch.expect_put("k", "v").await?;
                t.delete("k").await?;
                ensure_eq!(
                    cx.watch(&t).await?.snapshot().await?.len(),
                    0,
                    "records in the snapshot of an emptied table"
                );
                Ok(())
            },
        ),
        case("watch/synced-once", "a snapshot is completed once").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a"]).await?;
                let mut watch = cx.watch(&t).await?;
                watch.snapshot().await?;
                t.write("b", "v").await?;
                let next = watch.next().await?;
                ensure!(
                    matches!(&next, Event::Put(r) if r.key() == "b"),
                    "after the snapshot came {next:?}"
                );
                Ok(())
            },
        ),
        case("watch/snapshot-of-latest", "a snapshot has each key once, as it is now")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..10 {
                    t.write("k", format!("{i}")).await?;
                    t.write(&format!("other{i}"), "v").await?;
                }
                t.delete("other3").await?;
                let snapshot = cx.watch(&t).await?.snapshot().await?;
                let keys: BTreeSet<_> = snapshot.iter().map(crate::Record::key).collect();
                ensure_eq!((snapshot.len(), keys.len()), (10, 10), "records and different keys");
                ensure!(!keys.contains("other3"), "a deleted record is in the snapshot");
                let k = snapshot.iter().find(|r| r.key() == "k").map(|r| text(r.value()));
                ensure_eq!(k, Some("9".to_owned()), "value of the rewritten key");
                Ok(())
            }),
        case("watch/snapshot-of-many", "a snapshot of more records than a page holds is complete")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..2500).map(|i| format!("k{i:04}")).collect();
                fill(&t, &keys).await?;
                let snapshot = cx.watch(&t).await?.snapshot().await?;
                let got: BTreeSet<_> = snapshot.iter().map(|r| r.key().to_owned()).collect();
                ensure_eq!((snapshot.len(), got.len()), (2500, 2500), "records and different keys");
                Ok(())
            }),
        case("watch/changes-only", "a watch of changes does not tell what was there")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                t.delete("a").await?;
                let mut watch = cx.changes(&t).await?;
                watch.nothing_before(&t, "c").await
            }),
        case(
            "watch/exists-when-it-returns",
            "a change made right after the watch was opened is seen, without polling it first",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            for i in 0..50 {
                let mut watch = cx.changes(&t).await?;
                let value = format!("{i}");
                t.write("k", value.clone()).await?;
                watch.expect_put("k", &value).await?;
            }
            Ok(())
        }),
        case("watch/whole-records", "a change carries the whole record").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                let mut write = t.write("k", "v");
                if cx.has(F::Metadata) {
                    write = write.metadata(Metadata::new().with("m", 1)?);
                }
                if cx.has(F::Expiry) {
                    write = write.ttl(cx.long());
                }
                write.await?;
                let seen = watch.expect_put("k", "v").await?;
                ensure_eq!(
                    seen,
                    present(&t, "k").await?,
                    "the record that was seen and the one that is read"
                );
                Ok(())
            },
        ),
        case("watch/snapshot-has-whole-records", "a snapshot carries whole records")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut write = t.write("k", "v");
                if cx.has(F::Metadata) {
                    write = write.metadata(Metadata::new().with("m", 1)?);
                }
                if cx.has(F::Expiry) {
                    write = write.ttl(cx.long());
                }
                write.await?;
                let seen = cx.watch(&t).await?.snapshot().await?;
                ensure_eq!(seen, [present(&t, "k").await?], "the snapshot");
                Ok(())
            }),
    ]
}

fn scopes() -> Vec<Case> {
    vec![
        scoped(
            "watch/key",
            "a watch of a key sees that key only",
            |w| w.key("b"),
            &["a", "b", "bb", "b-", "c", "b"],
            &["b", "b"],
        ),
        scoped(
            "watch/prefix",
            "a watch of a prefix sees the keys that begin so, the prefix itself too",
            |w| w.prefix("b-"),
            &["a", "b", "b-", "b-1", "ba", "b-1"],
            &["b-", "b-1", "b-1"],
        ),
        scoped(
            "watch/prefix-is-no-pattern",
            "wildcards in a prefix are plain characters",
            |w| w.prefix("a*"),
            &["ab", "a*", "a*b", "axb", "a"],
            &["a*", "a*b"],
        ),
        scoped(
            "watch/prefix-inside-a-token",
            "a prefix may end anywhere in a dotted key",
            |w| w.prefix("a.b"),
            &["a.b", "a.bc", "a.b.c", "a.c", "a", "ab"],
            &["a.b", "a.bc", "a.b.c"],
        ),
        scoped(
            "watch/empty-prefix",
            "an empty prefix is the whole table",
            |w| w.prefix(""),
            &["a", "b"],
            &["a", "b"],
        ),
        scoped(
            "watch/table",
            "a watch of a table sees every key",
            |w| w,
            &["a", "b.c", "d/e"],
            &["a", "b.c", "d/e"],
        ),
        case("watch/key-snapshot", "the snapshot of a key is that key, or nothing")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "ab", "b"]).await?;
                let snapshot = Watcher::new(t.watch().key("a").await?).snapshot().await?;
                ensure_eq!(
                    snapshot.iter().map(crate::Record::key).collect::<Vec<_>>(),
                    ["a"],
                    "keys"
                );
                let snapshot = Watcher::new(t.watch().key("none").await?).snapshot().await?;
                ensure_eq!(snapshot.len(), 0, "records for an absent key");
                Ok(())
            }),
        case("watch/prefix-snapshot", "the snapshot of a prefix is what begins so")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "ab", "b", "a-", "A"]).await?;
                let snapshot = Watcher::new(t.watch().prefix("a").await?).snapshot().await?;
                let keys: BTreeSet<_> = snapshot.iter().map(crate::Record::key).collect();
                ensure_eq!(keys, BTreeSet::from(["a", "a-", "ab"]), "keys");
                Ok(())
            }),
        case(
            "watch/two-tables-never-mix",
            "the same key in another table is another key, in snapshots and changes",
        )
        .needs([F::Watch, F::Tables])
        .run(|cx| async move {
            let (a, b, root) = (cx.named("a")?, cx.named("ab")?, cx.named("")?);
            for t in [&a, &b, &root] {
                t.write("k", "old").await?;
            }
            let mut watch = cx.watch(&a).await?;
            ensure_eq!(watch.snapshot().await?.len(), 1, "records in the snapshot");
            b.write("k", "of b").await?;
            root.write("k", "of the root").await?;
            b.delete("k").await?;
            watch.nothing_before(&a, "k").await?;
            let mut watch = cx.watch(&root).await?;
            ensure_eq!(watch.snapshot().await?.len(), 1, "records in the snapshot of the root");
            a.write("k", "of a").await?;
            a.write("b", "of a").await?;
            watch.nothing_before(&root, "k").await
        }),
        case("watch/two-databases-never-mix", "another database is another place")
            .needs([F::Watch, F::Databases])
            .run(|cx| async move {
                let (a, b) = (cx.table_at("one")?, cx.table_at("two")?);
                b.write("k", "old").await?;
                let mut watch = cx.watch(&a).await?;
                ensure_eq!(watch.snapshot().await?.len(), 0, "records in the snapshot");
                b.write("k", "new").await?;
                watch.nothing_before(&a, "k").await
            }),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        case(
            "watch/every-change-in-order",
            "a watcher that keeps up sees every change of a key, in order, each once",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            for i in 0..200 {
                t.write("k", format!("{i}")).await?;
                watch.expect_put("k", &format!("{i}")).await?;
            }
            Ok(())
        }),
        case("watch/order-across-keys", "changes of one writer to several keys are each in order")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                for i in 0..60 {
                    t.write(&format!("k{}", i % 3), format!("{i:03}")).await?;
                }
                // Nobody looked meanwhile: states in between may be left out, the last of each key may not.
                let mut last: BTreeMap<String, String> = BTreeMap::new();
                let ends = ["057", "058", "059"];
                while !last.values().eq(ends) {
                    let record = watch.put().await?;
                    let value = text(record.value());
                    let before = last.insert(record.key().to_owned(), value.clone());
                    ensure!(
                        before.as_ref() < Some(&value),
                        "{:?}: {value} came after {before:?}",
                        record.key()
                    );
                }
                Ok(())
            }),
        case(
            "watch/delete-has-a-revision",
            "the end of a record has a revision of its own, where there are revisions",
        )
        .needs([F::Watch, F::Revisions, F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            let written = revision(t.write("k", "v").await?)?;
            ensure_eq!(
                watch.expect_put("k", "v").await?.revision(),
                Some(written),
                "revision of the write"
            );
            t.delete("k").await?;
            let end = watch.expect_gone("k", Gone::Deleted).await?;
            ensure!(end.is_some() && end != Some(written), "revision of the end: {end:?}");
            Ok(())
        }),
        case("watch/no-event-for-nothing", "what changes nothing is no event")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let mut watch = cx.changes(&t).await?;
                t.delete("absent").await?;
                if cx.has(F::Create) {
                    conflict(t.write("k", "w").if_absent().await, "create")?;
                }
                if cx.has(F::IfValue) {
                    conflict(t.delete("k").if_value(&b"x"[..]).await, "delete")?;
                }
                if cx.has(F::Increment) {
                    refused(t.increment("k", 1).await, ErrorKind::NotACounter, "increment")?;
                }
                if cx.has(F::AtomicBatch) && cx.has(F::Create) {
                    conflict(t.batch().write("n", "v").create("k", "w").commit().await, "batch")?;
                }
                if cx.has(F::Expiry) {
                    invalid(t.write("k", "w").ttl(Duration::ZERO).await, "write")?;
                }
                watch.nothing_before(&t, "end").await
            }),
        case(
            "watch/delete-and-write-again",
            "a record that is deleted and written again is seen to go and come",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            for i in 0..20 {
                t.write("k", format!("{i}")).await?;
                watch.expect_put("k", &format!("{i}")).await?;
                t.delete("k").await?;
                watch.expect_gone("k", Gone::Deleted).await?;
            }
            Ok(())
        }),
        case("watch/set-expiry", "a changed expiry is a change, with the whole record")
            .needs([F::Watch, F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let mut watch = cx.changes(&t).await?;
                t.set_expiry("k", Expiry::After(cx.long())).await?;
                let seen = watch.expect_put("k", "v").await?;
                ensure_eq!(seen, present(&t, "k").await?, "the record that was seen");
                Ok(())
            }),
        case("watch/increment", "increments are changes, in order")
            .needs([F::Watch, F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                for i in 1..=10 {
                    t.increment("k", 1).await?;
                    watch.expect_put("k", &i.to_string()).await?;
                }
                Ok(())
            }),
        case("watch/batches", "the items of batches are changes").needs([F::Watch]).run(
            |cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                let mut view = View::default();
                fill(&t, &["a", "b", "c"]).await?;
                for deleted in t.delete_many(&["b"]).await {
                    deleted?;
                }
                watch
                    .fold_until(&mut view, |v| v.records.len() == 2 && v.records.contains_key("c"))
                    .await?;
                ensure!(!view.records.contains_key("b"), "the deleted item is there");
                Ok(())
            },
        ),
        case("watch/atomic", "an atomic batch is seen whole")
            .needs([F::Watch, F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("old", "v").await?;
                let mut watch = cx.watch(&t).await?;
                let mut view = View::default();
                t.batch().write("a", "1").write("b", "2").delete("old").commit().await?;
                watch
                    .fold_until(&mut view, |v| {
                        v.records.len() == 2
                            && v.records.contains_key("a")
                            && v.records.contains_key("b")
                    })
                    .await?;
                ensure_eq!(
                    (view.value("a"), view.value("b")),
                    (Some("1".into()), Some("2".into())),
                    "values"
                );
                Ok(())
            }),
        case("watch/expiry", "expiry is an event, once, with its reason")
            .proves(F::ExpiryEvents)
            .needs([F::Watch, F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?.with_patience(
                    cx.declared().expiry_lateness + cx.ttl() * 4 + Duration::from_secs(3),
                );
                t.write("k", "v").ttl(cx.ttl()).await?;
                watch.expect_put("k", "v").await?;
                cx.outlive(cx.ttl()).await;
                watch.expect_gone("k", Gone::Expired).await?;
                ensure_absent(&t, "k").await?;
                watch.nothing_before(&t, "end").await
            }),
        case("watch/expiry-of-many", "every record that expires is an event")
            .needs([F::ExpiryEvents])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                for i in 0..20 {
                    t.write(&format!("k{i:02}"), "v").ttl(cx.ttl()).await?;
                    watch.put().await?;
                }
                cx.outlive(cx.ttl()).await;
                let mut gone = BTreeSet::new();
                for _ in 0..20 {
                    match watch.change().await? {
                        Event::Delete { key, reason: Gone::Expired, .. } => {
                            ensure!(gone.insert(key.clone()), "{key:?} expired twice");
                        }
                        other => {
                            return Err(Failure::new(format!("expected an expiry, saw {other:?}")));
                        }
                    }
                }
                watch.nothing_before(&t, "end").await
            }),
        case(
            "watch/no-expiry-of-the-renewed",
            "a record that was renewed in time does not expire for watchers",
        )
        .needs([F::ExpiryEvents])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("rewritten", "v").ttl(cx.ttl()).await?;
            t.write("persisted", "v").ttl(cx.ttl()).await?;
            t.write("deleted", "v").ttl(cx.ttl()).await?;
            let mut watch = cx.changes(&t).await?;
            t.write("rewritten", "w").await?;
            watch.expect_put("rewritten", "w").await?;
            if cx.has(F::SetExpiry) {
                t.set_expiry("persisted", Expiry::Never).await?;
            } else {
                t.write("persisted", "v").await?;
            }
            watch.expect_put("persisted", "v").await?;
            t.delete("deleted").await?;
            watch.expect_gone("deleted", Gone::Deleted).await?;
            cx.outlive(cx.ttl()).await;
            watch.nothing_before(&t, "end").await
        }),
        case(
            "watch/expiry-then-write",
            "a record written where another expired is seen to go and come",
        )
        .needs([F::ExpiryEvents])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            t.write("k", "1").ttl(cx.ttl()).await?;
            watch.expect_put("k", "1").await?;
            cx.outlive(cx.ttl()).await;
            t.write("k", "2").await?;
            watch.expect_gone("k", Gone::Expired).await?;
            watch.expect_put("k", "2").await?;
            watch.nothing_before(&t, "end").await
        }),
        ends("watch/delete-table", "records of a deleted table are seen to go", |cx, t| {
            Box::pin(async move { Ok(cx.store().delete_table(t.namespace()).await?) })
        }),
        ends("watch/empty-database", "records of an emptied database are seen to go", |cx, _| {
            Box::pin(async move { Ok(cx.store().empty_database(&cx.name("main")?).await?) })
        }),
        ends(
            "watch/delete-database",
            "records of a destroyed database are seen to go, and those of its successor to come",
            |cx, _| {
                Box::pin(async move { Ok(cx.store().delete_database(&cx.name("main")?).await?) })
            },
        ),
    ]
}

fn lives() -> Vec<Case> {
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

type Watching<'a> = crate::handle::Watch<'a>;

/// Keys written under a watch, and those that it must see.
fn scoped(
    id: &'static str,
    title: &'static str,
    scope: for<'a> fn(Watching<'a>) -> Watching<'a>,
    writes: &'static [&'static str],
    sees: &'static [&'static str],
) -> Case {
    case(id, title).needs([F::Watch]).run(move |cx| async move {
        let t = cx.table()?;
        let accepted = |key: &&&str| cx.target().accepts_key(key);
        let mut watch = Watcher::new(scope(t.watch().changes_only()).await?);
        for (i, key) in writes.iter().filter(accepted).enumerate() {
            t.write(key, format!("{i}")).await?;
        }
        for key in writes.iter().filter(accepted) {
            t.delete(key).await?;
        }
        for key in sees.iter().filter(accepted) {
            let record = watch.put().await?;
            ensure_eq!(record.key(), *key, "key of the change");
        }
        // Each key that is seen goes once.
        let gone: BTreeSet<_> = sees.iter().filter(accepted).collect();
        for _ in 0..gone.len() {
            let event = watch.change().await?;
            ensure!(
                matches!(&event, Event::Delete { key, .. } if gone.contains(&&key.as_str())),
                "expected an end, saw {event:?}"
            );
        }
        match sees.iter().find(accepted) {
            Some(key) => watch.nothing_before(&t, key).await,
            None => Ok(()),
        }
    })
}

type End = for<'a> fn(&'a Cx, &'a Table) -> futures_util::future::BoxFuture<'a, Check>;

/// A watch over something that ends many records at once, and what is written after.
fn ends(id: &'static str, title: &'static str, end: End) -> Case {
    case(id, title).needs([F::Watch, F::Databases]).run(move |cx| async move {
        let t = cx.table()?;
        fill(&t, &["a", "b", "c"]).await?;
        let mut watch = cx.watch(&t).await?;
        let mut view = View::default();
        watch.fold_until(&mut view, |v| v.synced > 0).await?;
        ensure_eq!(view.records.len(), 3, "records in the snapshot");
        end(&cx, &t).await?;
        watch.fold_until(&mut view, |v| v.records.is_empty()).await?;
        t.write("b", "new").await?;
        watch.fold_until(&mut view, |v| v.value("b").as_deref() == Some("new")).await?;
        ensure_eq!(view.records.len(), 1, "records in the end");
        Ok(())
    })
}
