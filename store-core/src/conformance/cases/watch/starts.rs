//! How a watch begins: snapshot, resume, updates only.

use super::super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
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
        case(
            "watch/snapshot-beside-writers",
            "records that are written again while a snapshot is taken are in it",
        )
        .needs([F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..1500).map(|i| format!("k{i:04}")).collect();
            // No faster than a watcher can follow.
            let pause = Duration::from_millis(100);
            let writer = Rewriting::begin(&t, &keys, pause).await?;
            let reader = if cx.has(F::Shared) { cx.second_table().await? } else { t.clone() };
            let mut verdict = Ok(());
            while verdict.is_ok() && writer.turns() <= 5 {
                tokio::task::yield_now().await;
                let (mut watch, mut view) = (cx.watch(&reader).await?, View::default());
                watch.fold_until(&mut view, |view| view.synced > 0).await?;
                let (found, of) = (view.records.len(), keys.len());
                if !view.records.keys().eq(&keys) {
                    verdict = Err(Failure::new(format!("{found} of {of} keys")));
                }
            }
            writer.end().await?;
            verdict
        }),
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
