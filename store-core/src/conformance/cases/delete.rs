use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("delete/gone-everywhere", "a deleted record is absent in reads, listings and scans")
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c"]).await?;
                t.delete("b").await?;
                ensure_absent(&t, "b").await?;
                ensure!(!t.exists("b").await?, "exists");
                ensure_eq!(cx.keys(&t).await?, ["a", "c"], "keys");
                let scanned: Vec<_> =
                    cx.scan(&t).await?.iter().map(|r| r.key().to_owned()).collect();
                ensure!(!scanned.contains(&"b".to_owned()), "scanned: {scanned:?}");
                ensure!(matches!(&t.read_many(&["b"]).await[..], [Ok(None)]), "read_many finds it");
                Ok(())
            }),
        case("delete/absent-is-ok", "deleting what is absent is fine").run(|cx| async move {
            let t = cx.table()?;
            t.delete("never").await?;
            t.write("k", "v").await?;
            t.delete("never").await?;
            t.delete("k").await?;
            t.delete("k").await?;
            ensure_absent(&t, "k").await
        }),
        case("delete/in-a-missing-database", "deleting in a database that does not exist is fine")
            .run(|cx| async move {
                let t = cx.table_at("nowhere")?;
                t.delete("k").await?;
                for result in t.delete_many(&["a", "b"]).await {
                    result?;
                }
                Ok(())
            }),
        case(
            "delete/tells-whether-it-existed",
            "where a driver tells whether there was a record, it is right",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").await?;
            let existed = t.delete("k").await?.existed;
            ensure!(existed != Some(false), "a record was deleted and is said not to have existed");
            let again = t.delete("k").await?.existed;
            ensure!(again != Some(true), "nothing was deleted and is said to have existed");
            Ok(())
        }),
        case("delete/only-that-key", "a delete leaves keys that begin with the deleted one").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "a-", "a-b", "ab", "A"]).await?;
                t.delete("a").await?;
                ensure_eq!(cx.keys(&t).await?, ["A", "a-", "a-b", "ab"], "keys");
                Ok(())
            },
        ),
        case(
            "delete/leaves-nothing-behind",
            "a record written again after a delete has nothing of the old one",
        )
        .needs([F::Metadata, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "old").ttl(cx.long()).metadata(Metadata::new().with("m", 1)?).await?;
            t.delete("k").await?;
            t.write("k", "new").await?;
            let record = present(&t, "k").await?;
            ensure!(record.metadata().is_empty(), "metadata: {:?}", record.metadata());
            ensure_eq!(record.expires_at(), None, "expiry");
            Ok(())
        }),
        case("delete/all-of-them", "a table whose records are all deleted is empty").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..50).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                for key in &keys {
                    t.delete(key).await?;
                }
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                Ok(())
            },
        ),
        case(
            "delete/with-expiry",
            "a record with an expiry can be deleted and does not come back when the time is up",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").ttl(cx.ttl()).await?;
            t.delete("k").await?;
            t.write("k", "stays").await?;
            cx.outlive(cx.ttl()).await;
            ensure_value(&t, "k", "stays").await
        }),
    ]
}
