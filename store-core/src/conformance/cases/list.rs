//! Listings: filters first, then offset and limit, in byte order.

use super::prelude::*;
use crate::MAX_KEY_LEN;

pub(super) fn cases() -> Vec<Case> {
    let mut all = order();
    all.extend(filters());
    all.extend(slices());
    all
}

fn order() -> Vec<Case> {
    vec![
        case("list/byte-order", "keys are listed in the order of their bytes")
            .proves(F::ByteOrder)
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["b", "B", "a", "10", "9", "a-b", "ab", "a", "_", "Z", "zz", "z"])
                    .await?;
                ensure_eq!(
                    t.list().await?,
                    ["10", "9", "B", "Z", "_", "a", "a-b", "ab", "b", "z", "zz"],
                    "keys"
                );
                Ok(())
            }),
        case(
            "list/byte-order-of-utf8",
            "the order is of bytes, not of letters, UTF-16 or a language",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut keys = vec![
                "é",
                "z",
                "e\u{301}",
                "Z",
                "ä",
                "\u{ffff}",
                "\u{10000}",
                "я",
                "\u{7f}",
                "\u{80}",
            ];
            keys.retain(|key| cx.target().accepts_key(key));
            fill(&t, &keys).await?;
            keys.sort_unstable();
            ensure_eq!(t.list().await?, keys, "keys");
            Ok(())
        }),
        case(
            "list/byte-order-of-what-is-escaped",
            "characters that a layout escapes keep their place in the order",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            let t = cx.table()?;
            let mut keys: Vec<String> = (1..=126u8)
                .map(|b| format!("k{}x", char::from(b)))
                .filter(|key| cx.target().accepts_key(key))
                .collect();
            fill(&t, &keys).await?;
            keys.sort_unstable();
            ensure_eq!(t.list().await?, keys, "keys");
            Ok(())
        }),
        case("list/order-ignores-history", "rewriting a record does not move it")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["c", "a", "b"]).await?;
                t.write("a", "again").await?;
                t.delete("b").await?;
                t.write("b", "again").await?;
                ensure_eq!(t.list().await?, ["a", "b", "c"], "keys");
                Ok(())
            }),
        case("list/any-order", "in any order, every key is listed").run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..300).map(|i| format!("k{i:03}")).collect();
            fill(&t, &keys).await?;
            let got: BTreeSet<_> = t.list().any_order().page_size(50).await?.into_iter().collect();
            ensure_eq!(got, keys.into_iter().collect(), "keys");
            Ok(())
        }),
        case("list/any-order-filters", "in any order, filters and limit count too").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a1", "b1", "a2", "b2"]).await?;
                let got: BTreeSet<_> =
                    t.list().any_order().prefix("a").await?.into_iter().collect();
                ensure_eq!(
                    got,
                    BTreeSet::from(["a1".to_owned(), "a2".to_owned()]),
                    "keys with the prefix"
                );
                let got: BTreeSet<_> =
                    t.list().any_order().suffix("1").await?.into_iter().collect();
                ensure_eq!(
                    got,
                    BTreeSet::from(["a1".to_owned(), "b1".to_owned()]),
                    "keys with the suffix"
                );
                ensure_eq!(t.list().any_order().limit(3).await?.len(), 3, "keys under a limit");
                Ok(())
            },
        ),
        case("list/empty", "a table that never had records lists nothing").run(|cx| async move {
            ensure_eq!(
                cx.keys(&cx.table()?).await?,
                Vec::<String>::new(),
                "keys in a missing database"
            );
            cx.table()?.write("k", "v").await?;
            cx.table()?.delete("k").await?;
            ensure_eq!(
                cx.keys(&cx.table()?).await?,
                Vec::<String>::new(),
                "keys after the last was deleted"
            );
            ensure_eq!(
                cx.list(&cx.table()?).prefix("x").await?,
                Vec::<String>::new(),
                "keys with a prefix"
            );
            Ok(())
        }),
        case("list/no-match", "filters that match nothing give nothing").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            for listing in [
                cx.list(&t).prefix("c"),
                cx.list(&t).suffix("c"),
                cx.list(&t).start_after("z"),
                cx.list(&t).prefix("aa"),
                cx.list(&t).prefix("a").suffix("b"),
            ] {
                ensure_eq!(listing.await?, Vec::<String>::new(), "keys");
            }
            Ok(())
        }),
        case("list/more-than-a-page", "a listing of more keys than a page holds is complete").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..2500).map(|i| format!("k{i:04}")).collect();
                fill(&t, &keys).await?;
                ensure_eq!(cx.keys(&t).await?, keys, "keys");
                let listing = cx.list(&t).page_size(333);
                let streamed: BTreeSet<String> = listing.stream().try_collect().await?;
                ensure_eq!(streamed.len(), 2500, "keys of the stream");
                Ok(())
            },
        ),
    ]
}

fn filters() -> Vec<Case> {
    vec![
        filter(
            "list/prefix",
            "a prefix filters, and the key that is the prefix is one of them",
            &["a", "ab", "abc", "b", "ba", "A"],
            |l| l.prefix("ab"),
            &["ab", "abc"],
        ),
        filter(
            "list/empty-prefix",
            "an empty prefix and suffix filter nothing",
            &["a", "b"],
            |l| l.prefix("").suffix(""),
            &["a", "b"],
        ),
        filter(
            "list/prefix-is-no-pattern",
            "wildcards in a prefix are plain characters",
            &["a*", "a*b", "ab", "a?c", "a[b]", "abc"],
            |l| l.prefix("a*"),
            &["a*", "a*b"],
        ),
        filter(
            "list/prefix-with-brackets",
            "brackets in a prefix are plain characters",
            &["a[b]c", "ab", "a[b]", "a[c]"],
            |l| l.prefix("a[b]"),
            &["a[b]", "a[b]c"],
        ),
        filter(
            "list/prefix-with-sql-wildcards",
            "percent and underscore in a prefix are plain characters",
            &["a_b", "axb", "a%b", "a_c"],
            |l| l.prefix("a_"),
            &["a_b", "a_c"],
        ),
        filter(
            "list/prefix-ends-inside-a-token",
            "a prefix may end anywhere in a dotted or slashed key",
            &["a.bc.d", "a.b", "a.c", "a/bc/d", "a.bcd"],
            |l| l.prefix("a.bc"),
            &["a.bc.d", "a.bcd"],
        ),
        filter(
            "list/prefix-ends-with-a-separator",
            "a prefix may end with a separator",
            &["a/b", "a/", "a", "ab/c", "a/b/c"],
            |l| l.prefix("a/"),
            &["a/", "a/b", "a/b/c"],
        ),
        filter(
            "list/prefix-at-the-last-character",
            "a prefix that ends with the last character of all has an end",
            &["a\u{10ffff}", "a\u{10ffff}b", "b", "a\u{fffd}"],
            |l| l.prefix("a\u{10ffff}"),
            &["a\u{10ffff}", "a\u{10ffff}b"],
        ),
        filter(
            "list/prefix-at-0x7f",
            "a prefix that ends with 0x7f does not lead beyond ASCII",
            &["a\u{7f}", "a\u{7f}b", "a\u{80}", "b"],
            |l| l.prefix("a\u{7f}"),
            &["a\u{7f}", "a\u{7f}b"],
        ),
        filter(
            "list/suffix",
            "a suffix filters",
            &["a.txt", "b.txt", "txt", "a.txt.gz", ".txt", "a.TXT"],
            |l| l.suffix(".txt"),
            &[".txt", "a.txt", "b.txt"],
        ),
        filter(
            "list/suffix-is-no-pattern",
            "wildcards in a suffix are plain characters",
            &["a*", "ab", "a?", "b*"],
            |l| l.suffix("*"),
            &["a*", "b*"],
        ),
        filter(
            "list/prefix-and-suffix",
            "prefix and suffix must both match",
            &["foobar", "foo", "bar", "foobarbaz", "xfoobar"],
            |l| l.prefix("foo").suffix("bar"),
            &["foobar"],
        ),
        filter(
            "list/prefix-and-suffix-overlap",
            "prefix and suffix may overlap",
            &["foo", "fo", "oo", "foxoo", "f"],
            |l| l.prefix("fo").suffix("oo"),
            &["foo", "foxoo"],
        ),
        filter(
            "list/start-after",
            "a listing can start after a key, which is not in it",
            &["a", "b", "c", "d"],
            |l| l.start_after("b"),
            &["c", "d"],
        ),
        filter(
            "list/start-after-a-gap",
            "the key to start after need not exist",
            &["a", "c", "d"],
            |l| l.start_after("b"),
            &["c", "d"],
        ),
        filter(
            "list/start-after-the-last",
            "after the last key there is nothing",
            &["a", "b"],
            |l| l.start_after("b"),
            &[],
        ),
        filter(
            "list/start-after-its-beginning",
            "what begins with the key to start after comes after it",
            &["a", "aa", "a\0", "b"],
            |l| l.start_after("a"),
            &["a\0", "aa", "b"],
        ),
        filter(
            "list/start-after-before-the-prefix",
            "a start before the prefix changes nothing",
            &["a", "ba", "bb"],
            |l| l.prefix("b").start_after("a"),
            &["ba", "bb"],
        ),
        filter(
            "list/start-after-within-the-prefix",
            "a start within the prefix counts",
            &["ba", "bb", "bc", "c"],
            |l| l.prefix("b").start_after("bb"),
            &["bc"],
        ),
        filter(
            "list/start-after-beyond-the-prefix",
            "a start beyond the prefix leaves nothing",
            &["ba", "bb", "z"],
            |l| l.prefix("b").start_after("c"),
            &[],
        ),
        case(
            "list/over-long-filters",
            "filters longer than any key match nothing, and fail nothing",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let long = "a".repeat(MAX_KEY_LEN + 10);
            ensure_eq!(
                cx.list(&t).prefix(&*long).await?,
                Vec::<String>::new(),
                "keys with a long prefix"
            );
            ensure_eq!(
                cx.list(&t).suffix(&*long).await?,
                Vec::<String>::new(),
                "keys with a long suffix"
            );
            ensure_eq!(cx.list(&t).start_after(&*long).await?, ["b"], "keys after a long key");
            Ok(())
        }),
        case("list/other-tables-stay-out", "filters do not reach into other tables")
            .needs([F::Tables])
            .run(|cx| async move {
                for table in ["a", "ab", "", "b"] {
                    fill(&cx.named(table)?, &[format!("k-of-{table}"), "b".to_owned()]).await?;
                }
                ensure_eq!(
                    cx.list(&cx.named("a")?).prefix("k").await?,
                    ["k-of-a"],
                    "keys of `a` with a prefix"
                );
                ensure_eq!(
                    cx.list(&cx.named("a")?).prefix("b").await?,
                    ["b"],
                    "keys of `a` with the name of a table as prefix"
                );
                ensure_eq!(
                    cx.list(&cx.named("")?).suffix("b").await?,
                    ["b"],
                    "keys of the root with a suffix"
                );
                Ok(())
            }),
    ]
}

fn slices() -> Vec<Case> {
    vec![
        case("list/offset-and-limit", "offset and limit cut like slices, at every edge").run(
            |cx| async move {
                let t = cx.table()?;
                let keys = ["a", "b", "c", "d"];
                fill(&t, &keys).await?;
                let most = usize::MAX;
                for (offset, limit) in [
                    (0, 4),
                    (1, 3),
                    (1, 1),
                    (3, 1),
                    (4, 1),
                    (4, 0),
                    (5, 1),
                    (222, 1),
                    (0, 36),
                    (0, 0),
                    (2, 0),
                    (2, 2),
                    (3, 5),
                    (most, most),
                    (0, most),
                    (3, most),
                    (most, 1),
                    (1, most - 1),
                ] {
                    let got = cx.list(&t).offset(offset).limit(limit).await?;
                    let want: Vec<_> = keys.iter().skip(offset).take(limit).collect();
                    if cx.has(F::ByteOrder) {
                        ensure_eq!(
                            got,
                            want.into_iter().map(|k| (*k).to_owned()).collect::<Vec<_>>(),
                            "offset {offset}, limit {limit}"
                        );
                    } else {
                        ensure_eq!(got.len(), want.len(), "offset {offset}, limit {limit}");
                    }
                }
                Ok(())
            },
        ),
        case("list/offset-after-filter", "offset and limit count what passes the filters").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a1", "a2", "b1", "b2", "b3", "c1"]).await?;
                ensure_eq!(
                    cx.list(&t).prefix("b").limit(2).await?.len(),
                    2,
                    "keys with the prefix, at most two"
                );
                ensure_eq!(
                    cx.list(&t).prefix("b").offset(1).await?.len(),
                    2,
                    "keys with the prefix but one"
                );
                ensure_eq!(
                    cx.list(&t).prefix("b").offset(2).limit(5).await?.len(),
                    1,
                    "keys with the prefix but two"
                );
                ensure_eq!(
                    cx.list(&t).suffix("1").offset(1).limit(5).await?.len(),
                    2,
                    "keys with the suffix but one"
                );
                ensure_eq!(
                    cx.list(&t).suffix("3").limit(1).await?,
                    ["b3"],
                    "the one key with the suffix"
                );
                ensure_eq!(
                    cx.list(&t).start_after("a2").offset(1).limit(1).await?.len(),
                    1,
                    "one key after a start"
                );
                Ok(())
            },
        ),
        case("list/limit-of-pages", "a page has no more items than its limit").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..30).map(|i| format!("k{i:02}")).collect::<Vec<_>>()).await?;
                for limit in [1, 7, 29, 30, 31, 1000] {
                    let page = cx.list(&t).page_size(limit).page().await?;
                    ensure!(
                        page.items.len() <= limit,
                        "{} items on a page of {limit}",
                        page.items.len()
                    );
                }
                Ok(())
            },
        ),
        case("list/driver-limit-zero", "a page of at most no items has none").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                let order = if cx.has(F::ByteOrder) { Order::Bytes } else { Order::Any };
                let options = ListOptions { limit: 0, order, ..ListOptions::default() };
                ensure_eq!(driver(&t).list(t.namespace(), &options).await?.items.len(), 0, "keys");
                ensure_eq!(
                    driver(&t).scan(t.namespace(), &options).await?.items.len(),
                    0,
                    "records"
                );
                let options = ListOptions { limit: usize::MAX, order, ..ListOptions::default() };
                ensure_eq!(
                    driver(&t).list(t.namespace(), &options).await?.items.len(),
                    2,
                    "keys without a limit"
                );
                Ok(())
            },
        ),
        case("list/offset-across-pages", "an offset of more than a page leaves out just so many")
            .needs([F::ByteOrder])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..100).map(|i| format!("k{i:02}")).collect();
                fill(&t, &keys).await?;
                let got = cx.list(&t).page_size(7).offset(23).await?;
                ensure_eq!(got[..], keys[23..], "keys from the 24th on");
                Ok(())
            }),
        case("list/limit-across-pages", "a limit counts over all pages").run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..100).map(|i| format!("k{i:02}")).collect();
            fill(&t, &keys).await?;
            for limit in [1, 9, 10, 11, 99, 100, 101] {
                // Without an order some of a hundred keys may come twice.
                let most = if cx.has(F::ByteOrder) { limit.min(100) } else { limit };
                let fits = |got: usize| got <= most && got >= limit.min(100);
                let got = cx.list(&t).page_size(10).limit(limit).await?;
                ensure!(fits(got.len()), "{} keys with a limit of {limit}", got.len());
                let got: Vec<String> =
                    cx.list(&t).page_size(10).limit(limit).stream().try_collect().await?;
                ensure!(fits(got.len()), "{} keys of a stream with a limit of {limit}", got.len());
            }
            Ok(())
        }),
    ]
}

type Listed<'a> = crate::handle::List<'a>;

/// One listing of a table of these keys.
fn filter(
    id: &'static str,
    title: &'static str,
    keys: &'static [&'static str],
    ask: for<'a> fn(Listed<'a>) -> Listed<'a>,
    want: &'static [&'static str],
) -> Case {
    case(id, title).run(move |cx| async move {
        let t = cx.table()?;
        let accepted = |key: &&str| cx.target().accepts_key(key);
        fill(&t, &keys.iter().copied().filter(accepted).collect::<Vec<_>>()).await?;
        let want: Vec<_> = want.iter().copied().filter(accepted).collect();
        let mut got = ask(cx.list(&t)).await?;
        if !cx.has(F::ByteOrder) {
            got.sort_unstable();
            got.dedup();
        }
        ensure_eq!(got, want, "keys");
        // Page by page it is the same.
        let mut paged: Vec<String> = ask(cx.list(&t)).page_size(1).stream().try_collect().await?;
        if !cx.has(F::ByteOrder) {
            paged.sort_unstable();
            paged.dedup();
        }
        ensure_eq!(paged, want, "keys, page by page");
        Ok(())
    })
}
