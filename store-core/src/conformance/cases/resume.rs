//! A watch that goes on after a revision: what changed since, or the news that this is no longer known.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "resume/after-an-event",
            "a watch resumed after an event's revision sees what came after it",
        )
        .proves(F::WatchResume)
        .needs([F::Revisions, F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut watch = cx.changes(&t).await?;
            t.write("a", "1").await?;
            let seen = watch.expect_put("a", "1").await?;
            drop(watch);
            t.write("b", "2").await?;
            t.delete("a").await?;
            let mut view =
                resumed(&cx, &t, seen.revision(), &[("a", "1")], |v| v.records.len() == 1).await?;
            ensure_eq!(
                view.records.pop_first().map(|(k, r)| (k, text(r.value()))),
                Some(("b".into(), "2".into())),
                "the state"
            );
            Ok(())
        }),
        case(
            "resume/after-a-write",
            "a watch can be resumed after the revision that a write returned",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            let at = revision(t.write("a", "1").await?)?;
            t.write("a", "2").await?;
            let view =
                resumed(&cx, &t, Some(at), &[("a", "1")], |v| v.value("a").as_deref() == Some("2"))
                    .await?;
            ensure_eq!(view.resyncs, 0, "resyncs");
            Ok(())
        }),
        case(
            "resume/after-a-read",
            "a watch can be resumed after the revision of a record that was read",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("a", "1").await?;
            let at = revision_of(&t, "a").await?;
            t.write("b", "2").await?;
            resumed(&cx, &t, Some(at), &[("a", "1")], |v| v.value("b").as_deref() == Some("2"))
                .await?;
            Ok(())
        }),
        case("resume/after-synced", "a watch can be resumed after `Synced`")
            .needs([F::WatchResume])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                let mut watch = cx.watch(&t).await?;
                let (_, at) = watch.until_synced().await?;
                drop(watch);
                ensure!(at.is_some(), "`Synced` has no revision");
                t.write("c", "3").await?;
                let mut watch = cx.follow(open(&t, at).await?);
                watch.expect_put("c", "3").await?;
                Ok(())
            }),
        case(
            "resume/after-an-empty-synced",
            "a watch can be resumed after the `Synced` of an empty table",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            // The database exists, so that there is something to resume.
            t.write("k", "v").await?;
            t.delete("k").await?;
            let (_, at) = cx.watch(&t).await?.until_synced().await?;
            ensure!(at.is_some(), "`Synced` has no revision");
            t.write("k", "new").await?;
            let mut watch = cx.follow(open(&t, at).await?);
            watch.expect_put("k", "new").await?;
            Ok(())
        }),
        case(
            "resume/nothing-new",
            "a watch resumed where nothing has changed says that it has caught up",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            let at = revision(t.write("a", "1").await?)?;
            let mut watch = cx.follow(open(&t, Some(at)).await?);
            let (events, _) = watch.until_synced().await?;
            ensure!(events.is_empty(), "before `Synced` came {events:?}");
            t.write("a", "2").await?;
            watch.expect_put("a", "2").await?;
            Ok(())
        }),
        case("resume/not-twice", "the change that a watch resumes after is not seen again")
            .needs([F::WatchResume])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..20 {
                    let at = revision(t.write("k", format!("{i}")).await?)?;
                    let mut watch = cx.follow(open(&t, Some(at)).await?);
                    let next = format!("{i} next");
                    t.write("k", next.clone()).await?;
                    watch.expect_put("k", &next).await?;
                }
                Ok(())
            }),
        case("resume/after-a-delete", "a watch can be resumed after the end of a record")
            .needs([F::WatchResume])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                t.write("a", "1").await?;
                watch.put().await?;
                t.delete("a").await?;
                let at = watch.expect_gone("a", Gone::Deleted).await?;
                ensure!(at.is_some(), "the end has no revision");
                t.write("a", "2").await?;
                let mut watch = cx.follow(open(&t, at).await?);
                watch.expect_put("a", "2").await?;
                Ok(())
            }),
        case(
            "resume/sees-deletes",
            "records that were deleted in between are seen to go, or all is told anew",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            let (_, at) = cx.watch(&t).await?.until_synced().await?;
            t.delete("a").await?;
            t.delete("b").await?;
            resumed(&cx, &t, at, &[("a", "a"), ("b", "b"), ("c", "c")], |v| v.records.len() == 1)
                .await?;
            Ok(())
        }),
        case(
            "resume/sees-expiry",
            "records that expired in between are seen to go, or all is told anew",
        )
        .needs([F::WatchResume, F::ExpiryEvents])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("a", "a").ttl(cx.ttl()).await?;
            t.write("b", "b").await?;
            let (_, at) = cx.watch(&t).await?.until_synced().await?;
            cx.outlive(cx.ttl()).await;
            resumed(&cx, &t, at, &[("a", "a"), ("b", "b")], |v| v.records.len() == 1).await?;
            Ok(())
        }),
        case("resume/in-scope", "a resumed watch keeps to its key or prefix")
            .needs([F::WatchResume])
            .run(|cx| async move {
                let t = cx.table()?;
                let at = revision(t.write("start", "v").await?)?;
                fill(&t, &["a-1", "b-1", "a-2", "a"]).await?;
                let mut watch = cx.follow(t.watch().prefix("a-").after(at).await?);
                watch.expect_put("a-1", "a-1").await?;
                watch.expect_put("a-2", "a-2").await?;
                watch.nothing_before(&t, "a-3").await?;
                let mut watch = cx.follow(t.watch().key("b-1").after(at).await?);
                watch.expect_put("b-1", "b-1").await?;
                watch.nothing_before(&t, "b-1").await
            }),
        case("resume/in-its-table", "a resumed watch sees nothing of other tables")
            .needs([F::WatchResume, F::Tables])
            .run(|cx| async move {
                let (a, b) = (cx.named("a")?, cx.named("b")?);
                let at = revision(a.write("k", "1").await?)?;
                b.write("k", "of b").await?;
                let mut watch = cx.follow(open(&a, Some(at)).await?);
                watch.nothing_before(&a, "k").await
            }),
        case(
            "resume/unknown-revision",
            "a revision that the store does not know is answered with everything anew",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let mut stream = open(&t, Some(Revision::from_parts(7, 1 << 60))).await?;
            match stream.next().await {
                Some(Ok(Event::Resync)) => {}
                other => return Err(Failure::new(format!("expected a resync, saw {other:?}"))),
            }
            let snapshot = cx.follow(stream).snapshot().await?;
            ensure_eq!(snapshot.len(), 2, "records of the new snapshot");
            Ok(())
        }),
        case(
            "resume/database-recreated",
            "a revision of a database that was destroyed is answered with everything anew",
        )
        .needs([F::WatchResume, F::Databases])
        .run(|cx| async move {
            let t = cx.table_at("again")?;
            let at = revision(t.write("gone", "v").await?)?;
            cx.store().delete_database(&cx.name("again")?).await?;
            t.write("new", "v").await?;
            let view = resumed(&cx, &t, Some(at), &[("gone", "v")], |v| {
                v.records.len() == 1 && v.records.contains_key("new")
            })
            .await?;
            ensure!(
                view.resyncs > 0 || !view.records.contains_key("gone"),
                "the lost record is still there"
            );
            Ok(())
        }),
        case("resume/many-changes", "a watch resumed far behind ends up with the last state")
            .needs([F::WatchResume])
            .run(|cx| async move {
                let t = cx.table()?;
                let at = revision(t.write("k00", "start").await?)?;
                for round in 0..30 {
                    for written in t
                        .write_many((0..100).map(|i| (format!("k{i:02}"), format!("{round:02}"))))
                        .await
                    {
                        written?;
                    }
                }
                resumed(&cx, &t, Some(at), &[("k00", "start")], |v| {
                    v.records.len() == 100 && v.records.values().all(|r| r.value() == b"29")
                })
                .await?;
                Ok(())
            }),
        case(
            "resume/again-and-again",
            "a watcher that comes and goes misses nothing and sees nothing twice",
        )
        .needs([F::WatchResume])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut at = revision(t.write("k", "0").await?)?;
            for i in 1..=40 {
                let value = format!("{i}");
                t.write("k", value.clone()).await?;
                let mut watch = cx.follow(open(&t, Some(at)).await?);
                let seen = watch.expect_put("k", &value).await?;
                at = seen.revision().ok_or_else(|| Failure::new("an event without a revision"))?;
            }
            Ok(())
        }),
    ]
}

async fn open(t: &Table, at: Option<Revision>) -> Check<crate::EventStream> {
    let at = at.ok_or_else(|| Failure::new("there is no revision to resume after"))?;
    Ok(t.watch().after(at).await?)
}

/// What a resumed watch makes of what its watcher knew.
async fn resumed(
    cx: &Cx,
    t: &Table,
    at: Option<Revision>,
    knew: &[(&str, &str)],
    done: impl Fn(&View) -> bool + Send,
) -> Check<View> {
    let mut watch = cx.follow(open(t, at).await?);
    let mut view = View::default();
    for (key, value) in knew {
        let record = crate::Record::builder(Key::new(*key)?, *value).build();
        view.records.insert((*key).to_owned(), record);
    }
    watch.fold_until(&mut view, |v| v.synced > 0).await?;
    watch.fold_until(&mut view, done).await?;
    Ok(view)
}
