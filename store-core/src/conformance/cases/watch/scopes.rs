//! What a watch is about.

use super::super::prelude::*;
use super::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        scoped(
            "watch/key",
            "a watch of a key sees that key only",
            |w| w.key("b"),
            &["a", "b", "bb", "b-", "c", "b"],
            &["b", "b"],
        ),
        scoped(
            "watch/prefix",
            "a watch of a prefix sees the keys that begin so, the prefix itself too",
            |w| w.prefix("b-"),
            &["a", "b", "b-", "b-1", "ba", "b-1"],
            &["b-", "b-1", "b-1"],
        ),
        scoped(
            "watch/prefix-is-no-pattern",
            "wildcards in a prefix are plain characters",
            |w| w.prefix("a*"),
            &["ab", "a*", "a*b", "axb", "a"],
            &["a*", "a*b"],
        ),
        scoped(
            "watch/prefix-inside-a-token",
            "a prefix may end anywhere in a dotted key",
            |w| w.prefix("a.b"),
            &["a.b", "a.bc", "a.b.c", "a.c", "a", "ab"],
            &["a.b", "a.bc", "a.b.c"],
        ),
        scoped(
            "watch/empty-prefix",
            "an empty prefix is the whole table",
            |w| w.prefix(""),
            &["a", "b"],
            &["a", "b"],
        ),
        scoped(
            "watch/table",
            "a watch of a table sees every key",
            |w| w,
            &["a", "b.c", "d/e"],
            &["a", "b.c", "d/e"],
        ),
        case("watch/key-snapshot", "the snapshot of a key is that key, or nothing")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "ab", "b"]).await?;
                let snapshot = cx.follow(t.watch().key("a").await?).snapshot().await?;
                ensure_eq!(
                    snapshot.iter().map(crate::Record::key).collect::<Vec<_>>(),
                    ["a"],
                    "keys"
                );
                let snapshot = cx.follow(t.watch().key("none").await?).snapshot().await?;
                ensure_eq!(snapshot.len(), 0, "records for an absent key");
                Ok(())
            }),
        case("watch/prefix-snapshot", "the snapshot of a prefix is what begins so")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "ab", "b", "a-", "A"]).await?;
                let snapshot = cx.follow(t.watch().prefix("a").await?).snapshot().await?;
                let keys: BTreeSet<_> = snapshot.iter().map(crate::Record::key).collect();
                ensure_eq!(keys, BTreeSet::from(["a", "a-", "ab"]), "keys");
                Ok(())
            }),
        case(
            "watch/two-tables-never-mix",
            "the same key in another table is another key, in snapshots and changes",
        )
        .needs([F::Watch, F::Tables])
        .run(|cx| async move {
            let (a, b, root) = (cx.named("a")?, cx.named("ab")?, cx.named("")?);
            for t in [&a, &b, &root] {
                t.write("k", "old").await?;
            }
            let mut watch = cx.watch(&a).await?;
            ensure_eq!(watch.snapshot().await?.len(), 1, "records in the snapshot");
            b.write("k", "of b").await?;
            root.write("k", "of the root").await?;
            b.delete("k").await?;
            watch.nothing_before(&a, "k").await?;
            let mut watch = cx.watch(&root).await?;
            ensure_eq!(watch.snapshot().await?.len(), 1, "records in the snapshot of the root");
            a.write("k", "of a").await?;
            a.write("b", "of a").await?;
            watch.nothing_before(&root, "k").await
        }),
        case("watch/two-databases-never-mix", "another database is another place")
            .needs([F::Watch, F::Databases])
            .run(|cx| async move {
                let (a, b) = (cx.table_at("one")?, cx.table_at("two")?);
                b.write("k", "old").await?;
                let mut watch = cx.watch(&a).await?;
                ensure_eq!(watch.snapshot().await?.len(), 0, "records in the snapshot");
                b.write("k", "new").await?;
                watch.nothing_before(&a, "k").await
            }),
    ]
}
