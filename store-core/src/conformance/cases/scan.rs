//! Scans: the records of a listing, each whole.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("scan/whole-records", "each record of a scan is what a read returns").run(
            |cx| async move {
                let t = cx.table()?;
                for (i, key) in ["a", "b", "c", "d"].iter().enumerate() {
                    let mut write = t.write(key, format!("value {i}"));
                    if i == 1 && cx.has(F::Metadata) {
                        write = write.metadata(Metadata::new().with("m", i)?);
                    }
                    if i == 2 && cx.has(F::Expiry) {
                        write = write.ttl(cx.long());
                    }
                    write.await?;
                }
                let scanned = cx.scan(&t).await?;
                ensure_eq!(scanned.len(), 4, "records");
                for record in scanned {
                    let read = present(&t, record.key()).await?;
                    ensure_eq!(record, read, "the record of the scan and that of the read");
                    ensure_eq!(
                        text(record.value()),
                        text(read.value()),
                        "values of {:?}",
                        record.key()
                    );
                }
                Ok(())
            },
        ),
        case("scan/own-keys", "each record of a scan by prefix has its own key, not the prefix")
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["user-1", "user-2", "user-"]).await?;
                let mut keys: Vec<_> = cx
                    .scan(&t)
                    .prefix("user-")
                    .await?
                    .iter()
                    .map(|r| (r.key().to_owned(), text(r.value())))
                    .collect();
                keys.sort_unstable();
                let want = ["user-", "user-1", "user-2"].map(|k| (k.to_owned(), k.to_owned()));
                ensure_eq!(keys, want, "keys and values");
                Ok(())
            }),
        case("scan/byte-order", "records come in the order of their keys")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["b", "a", "C", "10", "9", "aa"]).await?;
                let keys: Vec<_> = t.scan().await?.iter().map(|r| r.key().to_owned()).collect();
                ensure_eq!(keys, ["10", "9", "C", "a", "aa", "b"], "keys");
                Ok(())
            }),
        case(
            "scan/filters-and-slices",
            "prefix, suffix, start, offset and limit mean what they mean for keys",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a1", "a2", "a3", "b1", "b2", "c1"]).await?;
            let ask = |what: &'static str, listed: Vec<String>, scanned: Vec<crate::Record>| {
                let scanned: Vec<_> = scanned.iter().map(|r| r.key().to_owned()).collect();
                ensure_eq!(scanned, listed, "{what}: keys of the scan and of the listing");
                Ok::<_, Failure>(())
            };
            ask("prefix", t.list().prefix("a").await?, t.scan().prefix("a").await?)?;
            ask("suffix", t.list().suffix("1").await?, t.scan().suffix("1").await?)?;
            ask("start", t.list().start_after("a2").await?, t.scan().start_after("a2").await?)?;
            ask("offset", t.list().offset(4).await?, t.scan().offset(4).await?)?;
            ask("limit", t.list().limit(2).await?, t.scan().limit(2).await?)?;
            ask(
                "all",
                t.list().prefix("a").offset(1).limit(1).await?,
                t.scan().prefix("a").offset(1).limit(1).await?,
            )?;
            ask(
                "extremes",
                t.list().offset(usize::MAX).await?,
                t.scan().offset(usize::MAX).await?,
            )?;
            ensure_eq!(t.list().suffix("1").await?, ["a1", "b1", "c1"], "the listing itself");
            Ok(())
        }),
        case("scan/pages", "records page by page are the same records").run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..50).map(|i| format!("k{i:02}")).collect();
            fill(&t, &keys).await?;
            for size in [1, 7, 50] {
                let records: Vec<_> = cx.scan(&t).page_size(size).stream().try_collect().await?;
                let mut got: Vec<_> =
                    records.iter().map(|r: &crate::Record| r.key().to_owned()).collect();
                got.sort_unstable();
                if !cx.has(F::ByteOrder) {
                    got.dedup();
                }
                ensure_eq!(got, keys, "keys in pages of {size}");
            }
            Ok(())
        }),
        case("scan/empty-values", "records with empty values are scanned").run(|cx| async move {
            let t = cx.table()?;
            t.write("empty", "").await?;
            t.write("full", "v").await?;
            ensure_eq!(cx.scan(&t).await?.len(), 2, "records");
            Ok(())
        }),
        case("scan/large-values", "records larger than a page of memory are scanned whole").run(
            |cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(100_000, |most| most.min(100_000));
                for i in 0..12u8 {
                    t.write(&format!("k{i:02}"), vec![i; size]).await?;
                }
                let mut records = cx.scan(&t).page_size(5).await?;
                if !cx.has(F::ByteOrder) {
                    records.sort_by(|a, b| a.key().cmp(b.key()));
                    records.dedup_by(|a, b| a.key() == b.key());
                }
                ensure_eq!(records.len(), 12, "records");
                for record in records {
                    let first = record.value().first().copied().unwrap_or_default();
                    ensure!(
                        record.value().len() == size && record.value().iter().all(|b| *b == first),
                        "{:?} came back changed",
                        record.key()
                    );
                }
                Ok(())
            },
        ),
        case("scan/missing-database", "a scan of a database that does not exist finds nothing")
            .run(|cx| async move {
                ensure_eq!(cx.scan(&cx.table_at("nowhere")?).await?.len(), 0, "records");
                Ok(())
            }),
        case("scan/other-tables-stay-out", "a scan stays in its table").needs([F::Tables]).run(
            |cx| async move {
                for table in ["a", "ab", ""] {
                    fill(&cx.named(table)?, &[format!("of-{table}")]).await?;
                }
                let keys: Vec<_> =
                    cx.scan(&cx.named("a")?).await?.iter().map(|r| r.key().to_owned()).collect();
                ensure_eq!(keys, ["of-a"], "keys of `a`");
                let keys: Vec<_> =
                    cx.scan(&cx.named("")?).await?.iter().map(|r| r.key().to_owned()).collect();
                ensure_eq!(keys, ["of-"], "keys of the root");
                Ok(())
            },
        ),
        case("scan/no-faults", "a page of sound records reports no faults").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let page = cx.scan(&t).page().await?;
            ensure_eq!((page.items.len(), page.faults.len()), (2, 0), "records and faults");
            Ok(())
        }),
    ]
}
