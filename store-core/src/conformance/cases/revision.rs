//! Revisions never repeat for a key, so a stale one always conflicts.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "revision/new-with-each-write",
            "each write gives a new revision, also of the same value",
        )
        .proves(F::Revisions)
        .run(|cx| async move {
            let t = cx.table()?;
            let mut seen = HashSet::new();
            for _ in 0..100 {
                ensure!(
                    seen.insert(revision(t.write("k", "same").await?)?),
                    "a revision was given twice"
                );
            }
            Ok(())
        }),
        case(
            "revision/returned-is-read",
            "the revision that a write returns is the one that is read",
        )
        .needs([F::Revisions])
        .run(|cx| async move {
            let t = cx.table()?;
            for value in ["1", "2"] {
                let written = revision(t.write("k", value).await?)?;
                ensure_eq!(revision_of(&t, "k").await?, written, "revision read");
            }
            Ok(())
        }),
        case("revision/same-in-every-view", "read, read_many and scan tell the same revision")
            .needs([F::Revisions])
            .run(|cx| async move {
                let t = cx.table()?;
                let written = revision(t.write("k", "v").await?)?;
                let many = t.read_many(&["k"]).await.remove(0)?;
                ensure_eq!(many.and_then(|r| r.revision()), Some(written), "read_many");
                let scanned = cx.scan(&t).await?;
                ensure_eq!(
                    scanned.first().and_then(crate::record::Record::revision),
                    Some(written),
                    "scan"
                );
                Ok(())
            }),
        case(
            "revision/stays-while-nothing-changes",
            "reading does not change a revision, nor do other keys",
        )
        .needs([F::Revisions])
        .run(|cx| async move {
            let t = cx.table()?;
            let written = revision(t.write("k", "v").await?)?;
            fill(&t, &["a", "z", "kk"]).await?;
            t.delete("a").await?;
            cx.keys(&t).await?;
            ensure_eq!(revision_of(&t, "k").await?, written, "revision");
            Ok(())
        }),
        case("revision/text", "the text of a revision is as good as the revision")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let written = revision(t.write("k", "1").await?)?;
                let parsed: Revision = written.to_string().parse()?;
                t.write("k", "2").if_revision(parsed).await?;
                Ok(())
            }),
        case("revision/a-b-a", "a value that was changed and changed back is not the same version")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let first = revision(t.write("k", "A").await?)?;
                t.write("k", "B").await?;
                let third = revision(t.write("k", "A").await?)?;
                ensure!(first != third, "the revision came back with the value");
                conflict(t.write("k", "C").if_revision(first).await, "the first revision")?;
                ensure_value(&t, "k", "A").await?;
                t.write("k", "C").if_revision(third).await?;
                Ok(())
            }),
        case(
            "revision/delete-and-recreate",
            "a revision from before a delete stays stale after the record is written again",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut stale = Vec::new();
            for round in 0..5 {
                for old in &stale {
                    conflict(
                        t.write("k", "lost").if_revision(*old).await,
                        format_args!("round {round}, revision {old}"),
                    )?;
                    conflict(
                        t.delete("k").if_revision(*old).await,
                        format_args!("round {round}, delete at {old}"),
                    )?;
                }
                stale.push(revision(t.write("k", "v").await?)?);
                t.delete("k").await?;
            }
            t.write("k", "v").await?;
            for old in stale {
                conflict(
                    t.write("k", "lost").if_revision(old).await,
                    format_args!("revision {old} over the new record"),
                )?;
            }
            ensure_value(&t, "k", "v").await
        }),
        case("revision/many-lives", "over many lives of a record no revision comes twice")
            .needs([F::Revisions])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut seen = HashSet::new();
                for _ in 0..50 {
                    ensure!(
                        seen.insert(revision(t.write("k", "v").await?)?),
                        "a revision was given twice"
                    );
                    t.delete("k").await?;
                }
                Ok(())
            }),
        case(
            "revision/create-and-recreate",
            "a revision from before a delete is stale for a record that was created",
        )
        .needs([F::IfRevision, F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            let old = revision(t.write("k", "v").if_absent().await?)?;
            t.delete("k").if_revision(old).await?;
            let new = revision(t.write("k", "v").if_absent().await?)?;
            ensure!(old != new, "the created record has the old revision");
            conflict(t.write("k", "lost").if_revision(old).await, "the old revision")?;
            Ok(())
        }),
        case(
            "revision/database-recreated",
            "a revision from before the database was destroyed stays stale in its successor",
        )
        .needs([F::IfRevision, F::Databases])
        .run(|cx| async move {
            let t = cx.table_at("again")?;
            let mut stale = HashSet::new();
            for round in 0..3 {
                let new = revision(t.write("k", "v").await?)?;
                ensure!(
                    !stale.contains(&new),
                    "round {round}: the revision {new} came back with the database"
                );
                for old in &stale {
                    conflict(
                        t.write("k", "lost").if_revision(*old).await,
                        format_args!("round {round}, revision {old}"),
                    )?;
                }
                stale.insert(new);
                cx.store().delete_database(&cx.name("again")?).await?;
            }
            Ok(())
        }),
        case(
            "revision/database-emptied",
            "a revision from before the database was emptied stays stale",
        )
        .needs([F::IfRevision, F::Databases])
        .run(|cx| async move {
            let t = cx.table()?;
            let old = revision(t.write("k", "v").await?)?;
            cx.store().empty_database(&cx.name("main")?).await?;
            conflict(t.write("k", "lost").if_revision(old).await, "while it is empty")?;
            let new = revision(t.write("k", "v").await?)?;
            ensure!(old != new, "the revision came back");
            conflict(t.write("k", "lost").if_revision(old).await, "after it was written again")?;
            Ok(())
        }),
        case("revision/table-deleted", "a revision from before the table was deleted stays stale")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let old = revision(t.write("k", "v").await?)?;
                cx.store().delete_table(t.namespace()).await?;
                conflict(t.write("k", "lost").if_revision(old).await, "while it is gone")?;
                let new = revision(t.write("k", "v").await?)?;
                ensure!(old != new, "the revision came back");
                conflict(
                    t.write("k", "lost").if_revision(old).await,
                    "after it was written again",
                )?;
                Ok(())
            }),
        case(
            "revision/expired-and-recreated",
            "a revision from before the record expired stays stale",
        )
        .needs([F::IfRevision, F::Expiry])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            let old = revision(t.write("k", "v").ttl(cx.ttl()).await?)?;
            cx.outlive(cx.ttl()).await;
            let new = revision(t.write("k", "v").await?)?;
            ensure!(old != new, "the revision came back");
            conflict(t.write("k", "lost").if_revision(old).await, "the old revision")?;
            Ok(())
        }),
        case("revision/increment", "an increment gives a new revision, which can be used")
            .needs([F::IfRevision, F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                let first = t.increment("k", 1).await?;
                let second = t.increment("k", 1).await?;
                ensure!(
                    first.revision.is_some() && first.revision != second.revision,
                    "{first:?}, then {second:?}"
                );
                ensure_eq!(Some(revision_of(&t, "k").await?), second.revision, "revision read");
                let Some(old) = first.revision else { return Ok(()) };
                conflict(
                    t.write("k", "0").if_revision(old).await,
                    "from before the second increment",
                )?;
                t.write("k", "0").if_revision(revision_of(&t, "k").await?).await?;
                Ok(())
            }),
        case("revision/batch-items", "each item of write_many has its own record's revision")
            .needs([F::Revisions])
            .run(|cx| async move {
                let t = cx.table()?;
                let written = t.write_many([("a", "1"), ("b", "2"), ("a", "3")]).await;
                let revisions =
                    written.into_iter().map(|w| revision(w?)).collect::<Check<Vec<_>>>()?;
                ensure!(
                    revisions[0] != revisions[2],
                    "two writes of one key have the same revision"
                );
                ensure_eq!(revision_of(&t, "b").await?, revisions[1], "revision of b");
                ensure_eq!(revision_of(&t, "a").await?, revisions[2], "revision of a");
                Ok(())
            }),
        case("revision/atomic-items", "each write of an atomic batch has its record's revision")
            .needs([F::Revisions, F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                let before = revision(t.write("a", "0").await?)?;
                let written = t.batch().write("a", "1").write("b", "2").commit().await?;
                let (a, b) = (revision(written[0])?, revision(written[1])?);
                ensure!(a != before, "the old revision");
                ensure_eq!(
                    (revision_of(&t, "a").await?, revision_of(&t, "b").await?),
                    (a, b),
                    "revisions read"
                );
                Ok(())
            }),
    ]
}
