//! The versions of a record that are still kept.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "history/versions",
            "a history tells the versions, oldest first, the present one last",
        )
        .proves(F::History)
        .run(|cx| async move {
            let t = keeping(&cx, 5).await?;
            for value in ["1", "2", "3"] {
                t.write("k", value).await?;
            }
            ensure_eq!(versions(&t, "k").await?, ["1", "2", "3"], "versions");
            Ok(())
        }),
        case("history/bounded", "no more versions are kept than the database says")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 3).await?;
                for i in 0..10 {
                    t.write("k", format!("{i}")).await?;
                }
                ensure_eq!(versions(&t, "k").await?, ["7", "8", "9"], "versions");
                Ok(())
            }),
        case("history/of-one", "a database that says nothing keeps the present version")
            .needs([F::History])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").await?;
                t.write("k", "2").await?;
                ensure_eq!(
                    versions(&t, "k").await?.last().map(String::as_str),
                    Some("2"),
                    "the present version"
                );
                Ok(())
            }),
        case("history/absent", "what never was has no history").needs([F::History]).run(
            |cx| async move {
                let t = keeping(&cx, 3).await?;
                ensure_eq!(versions(&t, "k").await?, Vec::<String>::new(), "versions");
                ensure_eq!(
                    versions(&cx.table_at("nowhere")?, "k").await?,
                    Vec::<String>::new(),
                    "versions in a missing database"
                );
                Ok(())
            },
        ),
        case("history/own-key", "a history is of one key of one table").needs([F::History]).run(
            |cx| async move {
                let t = keeping(&cx, 5).await?;
                for key in ["k", "kk", "k-1"] {
                    t.write(key, key).await?;
                    t.write(key, key).await?;
                }
                ensure_eq!(versions(&t, "k").await?, ["k", "k"], "versions");
                Ok(())
            },
        ),
        case("history/read-at-revision", "a past version can be read by its revision")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                let mut revisions = Vec::new();
                for value in ["1", "2", "3"] {
                    revisions.push(revision(t.write("k", value).await?)?);
                }
                for (value, revision) in ["1", "2", "3"].iter().zip(&revisions) {
                    let record = t.read("k").at_revision(*revision).await?;
                    let Some(record) = record else {
                        return Err(Failure::new(format!("version {value} is not found")));
                    };
                    ensure_eq!(
                        (text(record.value()), record.revision()),
                        ((*value).to_owned(), Some(*revision)),
                        "the version"
                    );
                }
                Ok(())
            }),
        case("history/no-longer-kept", "a version that is no longer kept is absent")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 2).await?;
                let first = revision(t.write("k", "1").await?)?;
                t.write("k", "2").await?;
                t.write("k", "3").await?;
                ensure!(t.read("k").at_revision(first).await?.is_none(), "it is found");
                ensure!(
                    t.read("k").at_revision(Revision::from_parts(u64::MAX, 7)).await?.is_none(),
                    "a revision that never was is found"
                );
                Ok(())
            }),
        case("history/revision-of-another-key", "a version of another key is absent")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                let other = revision(t.write("other", "o").await?)?;
                t.write("k", "1").await?;
                let found = t.read("k").at_revision(other).await?;
                ensure!(
                    found.is_none_or(|r| r.value() == b"1"),
                    "the value of another key is read"
                );
                Ok(())
            }),
        case("history/metadata", "past versions have their own metadata")
            .needs([F::History, F::Metadata])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                for n in 0..3 {
                    t.write("k", "v").metadata(Metadata::new().with("n", n)?).await?;
                }
                let ns: Vec<_> =
                    t.history("k").await?.iter().map(|r| r.metadata().get("n").cloned()).collect();
                ensure_eq!(
                    ns,
                    [Some(json!(0)), Some(json!(1)), Some(json!(2))],
                    "metadata of the versions"
                );
                Ok(())
            }),
        case("history/revisions", "each version has its revision, the last the present one")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                let mut want = Vec::new();
                for i in 0..4 {
                    want.push(t.write("k", format!("{i}")).await?.revision);
                }
                let got: Vec<_> =
                    t.history("k").await?.iter().map(crate::Record::revision).collect();
                ensure_eq!(got, want, "revisions");
                Ok(())
            }),
        case(
            "history/a-past-revision-is-stale",
            "a kept version is no present one for a condition",
        )
        .needs([F::History, F::IfRevision])
        .run(|cx| async move {
            let t = keeping(&cx, 5).await?;
            let first = revision(t.write("k", "1").await?)?;
            t.write("k", "2").await?;
            conflict(t.write("k", "3").if_revision(first).await, "a kept version")?;
            Ok(())
        }),
        case("history/listed-once", "a record with many versions is listed and scanned once")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                for i in 0..5 {
                    t.write("k", format!("{i}")).await?;
                }
                ensure_eq!(cx.keys(&t).await?, ["k"], "keys");
                ensure_eq!(cx.scan(&t).await?.len(), 1, "records");
                Ok(())
            }),
        case("history/deleted-is-absent", "a deleted record is absent, whatever is kept of it")
            .needs([F::History])
            .run(|cx| async move {
                let t = keeping(&cx, 5).await?;
                t.write("k", "1").await?;
                t.write("k", "2").await?;
                t.delete("k").await?;
                ensure_absent(&t, "k").await?;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                t.write("k", "3").await?;
                ensure_eq!(
                    versions(&t, "k").await?.last().map(String::as_str),
                    Some("3"),
                    "the present version"
                );
                Ok(())
            }),
    ]
}

async fn keeping(cx: &Cx, versions: u32) -> Check<Table> {
    cx.admin().create(cx.name("kept")?, &DatabaseConfig::new().with_history(versions)).await?;
    cx.table_at("kept")
}

async fn versions(t: &Table, key: &str) -> Check<Vec<String>> {
    Ok(t.history(key).await?.iter().map(|r| text(r.value())).collect())
}
