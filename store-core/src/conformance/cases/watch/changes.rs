//! What a watch tells of changes.

use super::super::prelude::*;
use super::ends;

pub(super) fn cases() -> Vec<Case> {
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
                }
                cx.outlive(cx.ttl()).await;
                // Where all is slow, the first go before the last come.
                let (mut came, mut gone) = (BTreeSet::new(), BTreeSet::new());
                while gone.len() < 20 {
                    match watch.change().await? {
                        Event::Put(record) => {
                            let key = record.key().to_owned();
                            ensure!(!gone.contains(&key), "{key:?} expired before it was written");
                            ensure!(came.insert(key.clone()), "{key:?} was written twice");
                        }
                        Event::Delete { key, reason: Gone::Expired, .. } => {
                            ensure!(gone.insert(key.clone()), "{key:?} expired twice");
                        }
                        other => return Err(Failure::new(format!("saw {other:?}"))),
                    }
                }
                watch.nothing_before(&t, "end").await
            }),
        case(
            "watch/ends-once",
            "what changes while a watch of records that expire begins ends once, and not while it is there",
        )
        .needs([F::ExpiryEvents])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..300).map(|i| format!("k{i:03}")).collect();
            // Long enough that no record goes before it is changed, where all is slow.
            let ttl = 3 * cx.ttl();
            let put = |key| {
                Ok::<_, Failure>(Put::new(Key::new(key)?, "v").with_expiry(Expiry::After(ttl)))
            };
            let puts: Check<Vec<_>> = keys.iter().map(put).collect();
            for written in t.put_many(puts?).await {
                written?;
            }
            let (deleted, kept) = keys.split_at(150);
            let deleted: BTreeSet<String> = deleted.iter().cloned().collect();
            let (changing, some, others) = (t.clone(), deleted.clone(), kept.to_vec());
            let changes = aside(async move {
                let some: Vec<_> = some.into_iter().collect();
                for (some, others) in some.chunks(10).zip(others.chunks(10)) {
                    for deleted in changing.delete_many(some).await {
                        deleted?;
                    }
                    for written in changing.write_many(others.iter().map(|key| (key, "w"))).await {
                        written?;
                    }
                }
                Ok(())
            });
            let mut watch = cx.changes(&t).await?;
            changes.await?;
            cx.outlive(ttl).await;
            t.write("end", "v").await?;
            let mut ended = BTreeSet::new();
            loop {
                match watch.change().await? {
                    Event::Put(record) if record.key() == "end" => return Ok(()),
                    Event::Put(_) => {}
                    Event::Delete { key, reason, .. } => {
                        let is_deleted = deleted.contains(&key);
                        ensure!(is_deleted, "{key:?}, which is there, is said to be {reason:?}");
                        ensure!(ended.insert(key.clone()), "{key:?} ended again: {reason:?}");
                    }
                    other => return Err(Failure::new(format!("saw {other:?}"))),
                }
            }
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
