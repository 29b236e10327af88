//! Defects found in other stores and abstractions, so that they are not found here.

use std::future::IntoFuture as _;

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "peers/create-does-not-lock",
            "a record that was created can be overwritten without a condition",
        )
        .needs([F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "1").if_absent().await?;
            t.write("k", "2").await?;
            ensure_value(&t, "k", "2").await
        }),
        case(
            "peers/half-committed-transaction",
            "a transaction with one stale condition writes nothing, whatever comes first",
        )
        .needs([F::AtomicBatch, F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            for first in ["x", "y"] {
                t.write("x", "x0").await?;
                let stale = revision(t.write("y", "y0").await?)?;
                t.write("y", "y1").await?;
                let bad = || {
                    Ok::<_, Failure>(Op::Put(
                        Put::new(Key::new("y")?, "lost").with_condition(Condition::Revision(stale)),
                    ))
                };
                let batch = if first == "x" {
                    t.batch().write("x", "lost").op(bad()?)
                } else {
                    t.batch().op(bad()?).write("x", "lost")
                };
                conflict(batch.commit().await, "the transaction")?;
                ensure_value(&t, "x", "x0").await?;
                ensure_value(&t, "y", "y1").await?;
            }
            Ok(())
        }),
        case(
            "peers/swap-says-what-it-did",
            "a swap that succeeds says so, and one that fails writes nothing",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut held = revision(t.write("k", "0").await?)?;
            for i in 1..20 {
                let next = revision(t.write("k", format!("{i}")).if_revision(held).await?)?;
                ensure_value(&t, "k", &format!("{i}")).await?;
                conflict(t.write("k", "lost").if_revision(held).await, "the revision before")?;
                ensure_value(&t, "k", &format!("{i}")).await?;
                held = next;
            }
            Ok(())
        }),
        case(
            "peers/swap-of-any-bytes",
            "a conditional write works over values that are no JSON and no UTF-8",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            for value in [&b"plain"[..], b"\xff\xfe", b"", b"{", b"\0"] {
                let held = revision(t.write("k", value).await?)?;
                t.write("k", "swapped").if_revision(held).await?;
                let held = revision(t.write("k", value).await?)?;
                t.delete("k").if_revision(held).await?;
            }
            Ok(())
        }),
        case(
            "peers/no-clock-in-revisions",
            "two writes within one tick of any clock have different revisions",
        )
        .needs([F::Revisions])
        .run(|cx| async move {
            let t = cx.table()?;
            let writes = (0..50).map(|i| t.write("k", format!("{i}")).into_future());
            let mut seen = HashSet::new();
            for written in futures_util::future::join_all(writes).await {
                ensure!(seen.insert(revision(written?)?), "a revision came twice");
            }
            Ok(())
        }),
        case(
            "peers/side-index-is-cleaned",
            "what expired leaves nothing in listings, tables or counts",
        )
        .needs([F::Expiry, F::Databases])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            for i in 0..100 {
                t.write(&format!("k{i}"), "v").ttl(cx.ttl() * 3).await?;
            }
            cx.outlive(cx.ttl() * 3).await;
            ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
            ensure_eq!(cx.admin().tables(cx.name("main")?).await?, Vec::<String>::new(), "tables");
            ensure!(
                cx.admin().status(cx.name("main")?).await?.records.is_none_or(|n| n == 0),
                "expired records are counted"
            );
            t.write("k", "v").await?;
            ensure_eq!(cx.keys(&t).await?, ["k"], "keys");
            Ok(())
        }),
        case("peers/no-internal-keys", "nothing but the user's keys is ever listed").run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                if cx.has(F::Increment) {
                    t.increment("c", 1).await?;
                }
                if cx.has(F::Expiry) {
                    t.write("e", "v").ttl(cx.long()).await?;
                }
                if cx.has(F::AtomicBatch) {
                    t.batch().write("b", "v").commit().await?;
                }
                t.delete("k").await?;
                for key in cx.keys(&t).await? {
                    ensure!(["b", "c", "e"].contains(&key.as_str()), "{key:?} is listed");
                }
                let tables = cx.admin().tables(cx.name("main")?).await?;
                ensure!(tables.iter().all(|table| table == t.name()), "tables: {tables:?}");
                Ok(())
            },
        ),
        case(
            "peers/remove-all-under-a-key",
            "records under a prefix that is itself a key can be removed without it",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["dir", "dir/a", "dir/b", "dirt"]).await?;
            let under = cx.list(&t).prefix("dir/").await?;
            for deleted in t.delete_many(&under).await {
                deleted?;
            }
            ensure_eq!(cx.keys(&t).await?, ["dir", "dirt"], "keys");
            Ok(())
        }),
        case(
            "peers/every-page-of-many",
            "three thousand keys come page by page, each once, whatever the cursor",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..3000).map(|i| format!("{:04x}", i * 7919 % 65_536)).collect();
            fill(&t, &keys).await?;
            let mut got: Vec<String> = cx.list(&t).page_size(101).stream().try_collect().await?;
            got.sort_unstable();
            if !cx.has(F::ByteOrder) {
                got.dedup();
            }
            let want: BTreeSet<_> = keys.into_iter().collect();
            ensure_eq!(got.len(), want.len(), "keys");
            ensure!(got.iter().eq(want.iter()), "other keys than were written");
            Ok(())
        }),
        case("peers/a-cut-stream-is-no-end", "a stream of pages of one is as long as the table")
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..25).map(|i| format!("k{i:02}")).collect::<Vec<_>>()).await?;
                let (mut stream, mut n) = (cx.scan(&t).page_size(1).stream(), 0);
                while let Some(record) = stream.next().await {
                    record?;
                    n += 1;
                }
                ensure!(n >= 25, "{n} of 25 records");
                Ok(())
            }),
        case("peers/private-handles", "a second handle of one name is no store of its own").run(
            |cx| async move {
                for i in 0..5 {
                    let value = format!("{i}");
                    cx.table()?.write("k", value.clone()).await?;
                    ensure_value(&cx.table()?, "k", &value).await?;
                }
                Ok(())
            },
        ),
        case(
            "peers/unchanged-write-is-a-write",
            "writing what is there already is a change: of the revision and for watchers",
        )
        .needs([F::Revisions, F::Watch])
        .run(|cx| async move {
            let t = cx.table()?;
            let first = revision(t.write("k", "same").await?)?;
            let mut watch = cx.changes(&t).await?;
            let second = revision(t.write("k", "same").await?)?;
            ensure!(first != second, "the revision did not change");
            watch.expect_put("k", "same").await?;
            Ok(())
        }),
        case(
            "peers/set-and-clear-race",
            "a record written right after its table was deleted stays",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            for i in 0..20 {
                let key = format!("k{i}");
                fill(&t, &["a", "b"]).await?;
                cx.store().delete_table(t.namespace()).await?;
                t.write(&key, "v").await?;
                ensure_eq!(cx.keys(&t).await?, [key], "keys");
            }
            Ok(())
        }),
        case(
            "peers/quotes-in-everything",
            "quotes and braces in key, value and metadata stay what they are",
        )
        .needs([F::Metadata])
        .run(|cx| async move {
            let t = cx.table()?;
            let odd = r#"{"a":'b'}"\n}"#;
            if !cx.target().accepts_key(odd) {
                return Err(Failure::NotApplicable("not in this layout's alphabet"));
            }
            t.write(odd, odd).metadata(Metadata::new().with(odd, odd)?).await?;
            ensure_value(&t, odd, odd).await?;
            ensure_eq!(present(&t, odd).await?.metadata().get(odd), Some(&json!(odd)), "metadata");
            Ok(())
        }),
        case(
            "peers/offset-beyond-limit",
            "an offset beyond the limit or the table is an empty page, never a fault",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            for (offset, limit) in
                [(3, usize::MAX), (2, 1), (10, 5), (usize::MAX, usize::MAX), (usize::MAX, 1)]
            {
                let got = cx.list(&t).page_size(limit).offset(offset).page().await?.items.len();
                ensure_eq!(
                    got,
                    3usize.saturating_sub(offset).min(limit),
                    "items from {offset}, at most {limit}"
                );
                let got = cx.scan(&t).page_size(limit).offset(offset).page().await?.items.len();
                ensure_eq!(
                    got,
                    3usize.saturating_sub(offset).min(limit),
                    "records from {offset}, at most {limit}"
                );
            }
            Ok(())
        }),
    ]
}
