//! Pages by a stateless `u64` cursor: what the wasi:keyvalue drafts need.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("scan-u64/complete", "pages from cursor 0 to the end hold every key")
            .proves(F::ScanU64)
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: BTreeSet<_> = (0..57).map(|i| format!("k{i:02}")).collect();
                fill(&t, &keys.iter().collect::<Vec<_>>()).await?;
                for limit in [1, 10, 57, 1000] {
                    ensure_eq!(all(&t, limit).await?, keys, "keys in pages of {limit}");
                }
                Ok(())
            }),
        case("scan-u64/empty", "an empty table and a missing database have no keys")
            .needs([F::ScanU64])
            .run(|cx| async move {
                ensure_eq!(
                    all(&cx.table_at("nowhere")?, 10).await?.len(),
                    0,
                    "keys of a missing database"
                );
                let t = cx.table()?;
                fill(&t, &["a"]).await?;
                t.delete("a").await?;
                ensure_eq!(all(&t, 10).await?.len(), 0, "keys after the last was deleted");
                Ok(())
            }),
        case("scan-u64/deleted", "deleted keys are not scanned").needs([F::ScanU64]).run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c"]).await?;
                t.delete("b").await?;
                ensure_eq!(
                    all(&t, 1).await?,
                    BTreeSet::from(["a".to_owned(), "c".to_owned()]),
                    "keys"
                );
                Ok(())
            },
        ),
        case("scan-u64/rewritten", "a rewritten key is scanned").needs([F::ScanU64]).run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c"]).await?;
                for _ in 0..20 {
                    t.write("a", "again").await?;
                }
                ensure_eq!(all(&t, 1).await?.len(), 3, "keys");
                Ok(())
            },
        ),
        case("scan-u64/other-tables-stay-out", "a numeric scan stays in its table")
            .needs([F::ScanU64, F::Tables])
            .run(|cx| async move {
                for table in ["a", "ab", ""] {
                    fill(&cx.named(table)?, &[format!("of-{table}")]).await?;
                }
                ensure_eq!(
                    all(&cx.named("a")?, 1).await?,
                    BTreeSet::from(["of-a".to_owned()]),
                    "keys of `a`"
                );
                ensure_eq!(
                    all(&cx.named("")?, 1).await?,
                    BTreeSet::from(["of-".to_owned()]),
                    "keys of the root"
                );
                Ok(())
            }),
        case("scan-u64/odd-keys", "odd keys come back exactly").needs([F::ScanU64]).run(
            |cx| async move {
                let t = cx.table()?;
                let keys: BTreeSet<_> = ["a.b", "*", ">", " ", "é", "\0", "a/b", "%2e"]
                    .iter()
                    .filter(|k| cx.target().accepts_key(k))
                    .map(|k| (*k).to_owned())
                    .collect();
                fill(&t, &keys.iter().collect::<Vec<_>>()).await?;
                ensure_eq!(all(&t, 3).await?, keys, "keys");
                Ok(())
            },
        ),
        case("scan-u64/stateless", "two scans that take turns do not disturb each other")
            .needs([F::ScanU64])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: BTreeSet<_> = (0..30).map(|i| format!("k{i:02}")).collect();
                fill(&t, &keys.iter().collect::<Vec<_>>()).await?;
                let (mut seen, mut cursors) =
                    ([BTreeSet::new(), BTreeSet::new()], [Some(0), Some(0)]);
                while cursors.iter().any(Option::is_some) {
                    for (side, limit) in [(0, 4), (1, 7)] {
                        if let Some(cursor) = cursors[side] {
                            let page = t.scan_u64(cursor, limit).await?;
                            seen[side].extend(page.keys);
                            cursors[side] = page.next;
                        }
                    }
                }
                ensure!(
                    seen.iter().all(|one| *one == keys),
                    "{} and {} of 30 keys",
                    seen[0].len(),
                    seen[1].len()
                );
                Ok(())
            }),
        case("scan-u64/changes-in-between", "keys that stay are scanned though others come and go")
            .needs([F::ScanU64])
            .run(|cx| async move {
                let t = cx.table()?;
                let standing: BTreeSet<_> = (0..40).map(|i| format!("s{i:02}")).collect();
                let passing: Vec<_> = (0..40).map(|i| format!("p{i:02}")).collect();
                fill(&t, &standing.iter().collect::<Vec<_>>()).await?;
                fill(&t, &passing).await?;
                let (mut seen, mut cursor, mut turn) = (BTreeSet::new(), 0, 0);
                loop {
                    let page = t.scan_u64(cursor, 5).await?;
                    seen.extend(page.keys);
                    let Some(next) = page.next else { break };
                    cursor = next;
                    for _ in 0..3 {
                        if let Some(key) = passing.get(turn) {
                            t.delete(key).await?;
                        }
                        if turn < 200 {
                            t.write(&format!("n{turn:03}"), "v").await?;
                        }
                        turn += 1;
                    }
                }
                let missed: Vec<_> = standing.difference(&seen).collect();
                ensure!(missed.is_empty(), "missed {missed:?}");
                Ok(())
            }),
        case(
            "scan-u64/any-cursor",
            "a cursor that nobody gave is an end, a place or an error, never a fault",
        )
        .needs([F::ScanU64])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            for cursor in [1, 2, 7, 1 << 32, u64::MAX - 1, u64::MAX] {
                match t.scan_u64(cursor, 10).await {
                    Ok(page) => ensure!(
                        page.keys.len() <= 3,
                        "{} of 3 keys from cursor {cursor}",
                        page.keys.len()
                    ),
                    Err(error) => {
                        ensure_eq!(error.kind(), ErrorKind::InvalidArgument, "kind of {error}");
                    }
                }
            }
            Ok(())
        }),
        case("scan-u64/no-limit", "the greatest limit is one").needs([F::ScanU64]).run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c"]).await?;
                ensure_eq!(all(&t, usize::MAX).await?.len(), 3, "keys");
                Ok(())
            },
        ),
        case("scan-u64/pages-are-bounded", "a page holds about as many keys as asked")
            .needs([F::ScanU64])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..3000).map(|i| format!("k{i:04}")).collect::<Vec<_>>()).await?;
                let page = t.scan_u64(0, 10).await?;
                ensure!(
                    page.keys.len() <= 1000 && page.next.is_some(),
                    "{} keys on a page of about 10",
                    page.keys.len()
                );
                Ok(())
            }),
    ]
}

async fn all(t: &Table, limit: usize) -> Check<BTreeSet<String>> {
    let (mut seen, mut cursor) = (BTreeSet::new(), 0);
    for _ in 0..100_000 {
        let page = t.scan_u64(cursor, limit).await?;
        seen.extend(page.keys);
        match page.next {
            Some(next) => {
                ensure!(next != 0, "the cursor of a next page is 0, which begins anew");
                cursor = next;
            }
            None => return Ok(seen),
        }
    }
    Err(Failure::new("the scan does not end"))
}
