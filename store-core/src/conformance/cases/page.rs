//! Pages and cursors: a key that is present throughout a scan appears, and in byte order exactly once.

use std::sync::atomic::Ordering;

use super::prelude::*;
use crate::Page;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("page/add-up", "pages of any size add up to the whole").run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..37).map(|i| format!("k{i:02}")).collect();
            fill(&t, &keys).await?;
            for size in [1, 2, 6, 36, 37, 38] {
                let mut got = Vec::new();
                walk(&cx, &t, size, |page| got.extend(page.items)).await?;
                if !cx.has(F::ByteOrder) {
                    got.sort_unstable();
                    got.dedup();
                }
                ensure_eq!(got, keys, "keys in pages of {size}");
            }
            Ok(())
        }),
        case("page/ends", "a listing whose last page is full ends all the same").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..10).map(|i| format!("k{i}")).collect::<Vec<_>>()).await?;
                let mut pages = 0;
                walk(&cx, &t, 5, |_| pages += 1).await?;
                ensure!(cx.has(F::Shared) || pages <= 3, "{pages} pages of 5 for 10 keys");
                let whole = cx.list(&t).page_size(1000).page().await?;
                ensure_eq!(
                    (whole.items.len(), whole.next),
                    (10, None),
                    "a page that holds everything"
                );
                Ok(())
            },
        ),
        case("page/cursor-is-text", "a cursor survives as text of letters, digits, `_` and `-`")
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..20).map(|i| format!("k{i:02}")).collect::<Vec<_>>()).await?;
                let Some(next) = cx.list(&t).page_size(5).page().await?.next else {
                    return Err(Failure::new("a page of 5 of 20 keys has no cursor"));
                };
                let text = next.to_string();
                ensure!(
                    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)),
                    "the cursor {text}"
                );
                let rest = cx.list(&t).cursor(text.parse()?).await?;
                ensure!(
                    rest.len() >= 15 - usize::from(!cx.has(F::ByteOrder)) * 15,
                    "{} keys after the cursor",
                    rest.len()
                );
                Ok(())
            }),
        case("page/same-cursor-twice", "a cursor can be used again").needs([F::ByteOrder]).run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..9).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                let Some(next) = t.list().page_size(3).page().await?.next else {
                    return Err(Failure::new("no cursor"));
                };
                for _ in 0..3 {
                    ensure_eq!(
                        t.list().page_size(3).cursor(next.clone()).page().await?.items,
                        keys[3..6],
                        "the second page"
                    );
                }
                Ok(())
            },
        ),
        case("page/cursor-and-another-size", "a cursor goes on with another page size")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..9).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                let first = t.list().page_size(2).page().await?;
                let Some(next) = first.next else { return Err(Failure::new("no cursor")) };
                ensure_eq!(
                    t.list().page_size(100).cursor(next).page().await?.items,
                    keys[2..],
                    "the rest"
                );
                Ok(())
            }),
        case("page/offset-counts-once", "with a cursor the offset does not count again")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..9).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                let first = t.list().offset(2).page_size(3).page().await?;
                ensure_eq!(first.items, keys[2..5], "the first page");
                let Some(next) = first.next else { return Err(Failure::new("no cursor")) };
                let second = t.list().offset(2).page_size(3).cursor(next).page().await?;
                ensure_eq!(second.items, keys[5..8], "the second page");
                Ok(())
            }),
        case("page/filters-count-on", "prefix and suffix count on every page").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..60)
                    .map(|i| format!("{}{i:02}{}", if i % 2 == 0 { "a" } else { "b" }, i % 3))
                    .collect();
                fill(&t, &keys).await?;
                let mut want: Vec<_> = keys
                    .iter()
                    .filter(|k| k.starts_with('a') && k.ends_with('1'))
                    .cloned()
                    .collect();
                want.sort_unstable();
                let mut got: Vec<String> =
                    cx.list(&t).prefix("a").suffix("1").page_size(2).stream().try_collect().await?;
                got.sort_unstable();
                if !cx.has(F::ByteOrder) {
                    got.dedup();
                }
                ensure_eq!(got, want, "keys");
                Ok(())
            },
        ),
        case("page/its-key-deleted", "a cursor goes on where its key was deleted")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..9).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                let first = t.list().page_size(3).page().await?;
                let Some(next) = first.next else { return Err(Failure::new("no cursor")) };
                for key in ["k1", "k2", "k3"] {
                    t.delete(key).await?;
                }
                ensure_eq!(t.list().cursor(next).await?, keys[4..], "the rest");
                Ok(())
            }),
        case("page/inserts", "inserts before a cursor do not shift it, those after it appear")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["b", "d", "f", "h"]).await?;
                let first = t.list().page_size(2).page().await?;
                ensure_eq!(first.items, ["b", "d"], "the first page");
                let Some(next) = first.next else { return Err(Failure::new("no cursor")) };
                fill(&t, &["a", "c", "e", "g", "i"]).await?;
                ensure_eq!(t.list().cursor(next).await?, ["e", "f", "g", "h", "i"], "the rest");
                Ok(())
            }),
        case("page/everything-deleted", "a cursor into an emptied table finds nothing").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..9).map(|i| format!("k{i}")).collect();
                fill(&t, &keys).await?;
                let first = cx.list(&t).page_size(3).page().await?;
                let Some(next) = first.next else { return Err(Failure::new("no cursor")) };
                cx.store().delete_table(t.namespace()).await?;
                ensure_eq!(cx.list(&t).cursor(next).await?, Vec::<String>::new(), "the rest");
                Ok(())
            },
        ),
        case("page/garbage", "a cursor that is garbage is an error, not a beginning").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                for text in ["AAAA", "x", "zzzzzzzzzzzzzzzzzzzz", "0", "_-_-", &"A".repeat(4000)] {
                    let cursor: Cursor = text.parse()?;
                    invalid(
                        cx.list(&t).cursor(cursor.clone()).await,
                        format_args!("list with {} bytes of garbage", text.len()),
                    )?;
                    invalid(
                        cx.scan(&t).cursor(cursor).await,
                        format_args!("scan with {} bytes of garbage", text.len()),
                    )?;
                }
                Ok(())
            },
        ),
        case(
            "page/tampered",
            "a cursor with a changed character is an error or another place, never a fault",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &(0..20).map(|i| format!("k{i:02}")).collect::<Vec<_>>()).await?;
            let Some(next) = cx.list(&t).page_size(5).page().await?.next else {
                return Err(Failure::new("no cursor"));
            };
            let text = next.to_string();
            for at in 0..text.len() {
                for with in ["A", "9", "_"] {
                    let mut changed = text.clone();
                    changed.replace_range(at..=at, with);
                    if let Err(error) = cx.list(&t).cursor(changed.parse()?).page().await {
                        ensure_eq!(error.kind(), ErrorKind::InvalidArgument, "kind of {error}");
                    }
                }
                if let Ok(cursor) = text[..at].parse::<Cursor>()
                    && let Err(error) = cx.list(&t).cursor(cursor).page().await
                {
                    ensure_eq!(error.kind(), ErrorKind::InvalidArgument, "kind of {error}");
                }
            }
            Ok(())
        }),
        case("page/of-another-table", "a cursor of another table is an error")
            .needs([F::Tables])
            .run(|cx| async move {
                let (a, b) = (cx.named("a")?, cx.named("b")?);
                for t in [&a, &b] {
                    fill(t, &["x", "y", "z"]).await?;
                }
                let Some(next) = cx.list(&a).page_size(1).page().await?.next else {
                    return Err(Failure::new("no cursor"));
                };
                invalid(cx.list(&b).cursor(next.clone()).await, "list")?;
                invalid(cx.scan(&b).cursor(next.clone()).await, "scan")?;
                invalid(cx.list(&cx.named("")?).cursor(next).await, "list of the root")?;
                Ok(())
            }),
        case("page/of-another-database", "a cursor of another database is an error")
            .needs([F::Databases])
            .run(|cx| async move {
                let (a, b) = (cx.table_at("one")?, cx.table_at("two")?);
                for t in [&a, &b] {
                    fill(t, &["x", "y", "z"]).await?;
                }
                let Some(next) = cx.list(&a).page_size(1).page().await?.next else {
                    return Err(Failure::new("no cursor"));
                };
                invalid(cx.list(&b).cursor(next).await, "list")?;
                Ok(())
            }),
        case("page/of-another-order", "a cursor of another order is an error, or goes on properly")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..12).map(|i| format!("k{i:02}")).collect();
                fill(&t, &keys).await?;
                let first = t.list().any_order().page_size(4).page().await?;
                let Some(next) = first.next else { return Ok(()) };
                match t.list().cursor(next).await {
                    Ok(rest) => {
                        let all: BTreeSet<_> = first.items.into_iter().chain(rest).collect();
                        ensure_eq!(all.len(), 12, "keys of both orders together");
                    }
                    Err(error) => {
                        ensure_eq!(error.kind(), ErrorKind::InvalidArgument, "kind of {error}");
                    }
                }
                Ok(())
            }),
        case("page/longest-keys", "a cursor has room for the longest key and table")
            .needs([F::Tables])
            .run(|cx| async move {
                let longest = cx.declared().max_key_len.unwrap_or(crate::MAX_KEY_LEN);
                let t = cx.named(
                    &"t".repeat(cx.declared().max_table_len.unwrap_or(crate::MAX_TABLE_LEN)),
                )?;
                let keys: Vec<_> =
                    (0..6).map(|i| format!("{}{i}", "k".repeat(longest - 1))).collect();
                fill(&t, &keys).await?;
                let mut got: Vec<String> = cx.list(&t).page_size(1).stream().try_collect().await?;
                got.sort_unstable();
                got.dedup();
                ensure_eq!(got, keys, "keys");
                Ok(())
            }),
        case(
            "page/churn",
            "while four writers add and remove others, each standing key appears exactly once",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            churn(&cx, |keys| {
                let unique: BTreeSet<_> = keys.iter().collect();
                ensure_eq!(unique.len(), keys.len(), "different keys among those listed");
                ensure!(keys.windows(2).all(|two| two[0] < two[1]), "the keys are out of order");
                Ok(())
            })
            .await
        }),
        case("page/churn-any-order", "in any order each standing key appears at least once")
            .run(|cx| async move { churn_in(&cx, Order::Any, |_| Ok(())).await }),
        case(
            "page/rewritten-meanwhile",
            "keys that are written again while they are listed are missed by no listing",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..1500).map(|i| format!("k{i:04}")).collect();
            let writer = Rewriting::begin(&t, &keys, Duration::ZERO).await?;
            // One that knows nothing yet of what the other writes.
            let reader = if cx.has(F::Shared) { cx.second_table().await? } else { t.clone() };
            let mut verdict = Ok(());
            for size in [2000, 700].into_iter().cycle() {
                tokio::task::yield_now().await;
                if writer.turns() > 5 {
                    break;
                }
                let mut listed = cx.list(&reader).page_size(size).await?;
                let scanned = cx.scan(&reader).page_size(size).await?;
                let mut scanned: Vec<_> = scanned.iter().map(|r| r.key().to_owned()).collect();
                for found in [&mut listed, &mut scanned] {
                    if !cx.has(F::ByteOrder) {
                        found.sort_unstable();
                        found.dedup();
                    }
                    if *found != keys {
                        let of = keys.len();
                        verdict = Err(Failure::new(format!("{} of {of} keys", found.len())));
                    }
                }
                if verdict.is_err() {
                    break;
                }
            }
            writer.end().await?;
            verdict
        }),
        case(
            "page/scan-under-deletes",
            "records that are deleted between pages do not fail a scan",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..200).map(|i| format!("k{i:03}")).collect();
            fill(&t, &keys).await?;
            let deleting = t.clone();
            let deleter = aside(async move {
                for i in (1..200).step_by(2) {
                    deleting.delete(&format!("k{i:03}")).await?;
                }
                Ok(())
            });
            let mut seen: BTreeSet<String> = BTreeSet::new();
            for _ in 0..5 {
                seen = cx.scan(&t).page_size(7).await?.iter().map(|r| r.key().to_owned()).collect();
                let survivors =
                    (0..200).step_by(2).filter(|i| seen.contains(&format!("k{i:03}"))).count();
                ensure_eq!(survivors, 100, "survivors found");
            }
            deleter.await?;
            ensure!(seen.len() >= 100, "{} records", seen.len());
            Ok(())
        }),
    ]
}

/// Follows the cursors of a listing to its end.
async fn walk(
    cx: &Cx,
    t: &Table,
    size: usize,
    mut visit: impl FnMut(Page<String>) + Send,
) -> Check {
    let mut cursor: Option<Cursor> = None;
    for _ in 0..10_000 {
        let mut listing = cx.list(t).page_size(size);
        if let Some(cursor) = cursor {
            listing = listing.cursor(cursor);
        }
        let mut page = listing.page().await?;
        ensure!(page.items.len() <= size, "{} items on a page of {size}", page.items.len());
        cursor = page.next.take();
        visit(page);
        if cursor.is_none() {
            return Ok(());
        }
    }
    Err(Failure::new("the listing does not end"))
}

async fn churn(cx: &Cx, judge: impl Fn(&[String]) -> Check + Send) -> Check {
    churn_in(cx, Order::Bytes, judge).await
}

/// Lists again and again while others write and delete.
async fn churn_in(cx: &Cx, order: Order, judge: impl Fn(&[String]) -> Check + Send) -> Check {
    let t = cx.table()?;
    let standing: Vec<_> = (0..60).map(|i| format!("k{i:02}-stands")).collect();
    fill(&t, &standing).await?;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (t, stop) = (t.clone(), Arc::clone(&stop));
            aside(async move {
                for i in 0..100_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("k{:02}-{writer}", (i * 7 + writer) % 60);
                    if i % 3 == 2 {
                        t.delete(&key).await.map(drop)?;
                    } else {
                        t.write(&key, "v").await.map(drop)?;
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
        })
        .collect();
    let mut verdict = Ok(());
    for _ in 0..10 {
        let mut listing = t.list().page_size(9);
        if order == Order::Any {
            listing = listing.any_order();
        }
        let keys = listing.await?;
        let found = standing.iter().filter(|key| keys.contains(key)).count();
        verdict = if found == standing.len() {
            judge(&keys)
        } else {
            Err(Failure::new(format!("{found} of {} standing keys were listed", standing.len())))
        };
        if verdict.is_err() {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await?;
    }
    verdict
}
