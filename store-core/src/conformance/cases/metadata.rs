use super::prelude::*;
use crate::MAX_METADATA_LEN;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("metadata/comes-back", "metadata come back as they were written")
            .proves(F::Metadata)
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("owner", "ada")?.with("version", 3)?;
                t.write("k", "v").metadata(metadata.clone()).await?;
                ensure_eq!(present(&t, "k").await?.metadata(), &metadata, "metadata");
                Ok(())
            }),
        case("metadata/kinds", "every kind of JSON value comes back as itself")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let all = Metadata::from_json(json!({
                    "text": "é\n\"quoted\" \\ 🔑", "empty": "", "true": true, "false": false,
                    "null": null, "zero": 0, "negative": -1, "float": 0.1, "tiny": 1e-300,
                    "list": [1, "two", [3]], "object": {"a": {"b": []}}, "nothing": {},
                }))?;
                t.write("k", "v").metadata(all.clone()).await?;
                ensure_eq!(present(&t, "k").await?.metadata().to_json(), all.to_json(), "metadata");
                Ok(())
            }),
        case("metadata/exact-numbers", "integers beyond 2^53 stay exact").needs([F::Metadata]).run(
            |cx| async move {
                let t = cx.table()?;
                let numbers = json!({
                    "a": 9_007_199_254_740_993_u64, "b": i64::MIN, "c": i64::MAX, "d": u64::MAX,
                });
                t.write("k", "v").metadata(Metadata::from_json(numbers.clone())?).await?;
                let got = present(&t, "k").await?.metadata().to_json();
                ensure_eq!(got, numbers.to_string(), "metadata");
                Ok(())
            },
        ),
        case(
            "metadata/names",
            "any text is a name: names with case, dots, spaces and line ends are apart",
        )
        .needs([F::Metadata])
        .run(|cx| async move {
            let t = cx.table()?;
            let names = [
                "",
                "a",
                "A",
                "a.b",
                "a b",
                "a:b",
                "é",
                "e\u{301}",
                "Nats-TTL",
                "Nats-Rollup",
                "KV-Operation",
                "a\r\nb",
                "\0",
                "__proto__",
                "$",
                "_",
            ];
            let mut metadata = Metadata::new();
            for name in names {
                metadata = metadata.with(name, name)?;
            }
            t.write("k", "v").metadata(metadata.clone()).await?;
            t.write("other", "v").await?;
            ensure_eq!(present(&t, "k").await?.metadata(), &metadata, "metadata");
            ensure_value(&t, "other", "v").await
        }),
        case("metadata/null-is-a-value", "a name with the value null is there")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").metadata(Metadata::new().with("n", json!(null))?).await?;
                ensure_eq!(
                    present(&t, "k").await?.metadata().get("n"),
                    Some(&json!(null)),
                    "the value of n"
                );
                Ok(())
            }),
        case("metadata/rewrite-clears", "a write without metadata removes what there was")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").metadata(Metadata::new().with("m", 1)?).await?;
                t.write("k", "w").await?;
                ensure!(
                    present(&t, "k").await?.metadata().is_empty(),
                    "the metadata are still there"
                );
                Ok(())
            }),
        case("metadata/rewrite-replaces", "a write replaces metadata as a whole")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").metadata(Metadata::new().with("a", 1)?.with("b", 1)?).await?;
                let new = Metadata::new().with("b", 2)?.with("c", 3)?;
                t.write("k", "v").metadata(new.clone()).await?;
                ensure_eq!(present(&t, "k").await?.metadata(), &new, "metadata");
                Ok(())
            }),
        case("metadata/increment-keeps", "an increment keeps metadata")
            .needs([F::Metadata, F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("unit", "bytes")?;
                t.write("k", "1").metadata(metadata.clone()).await?;
                t.increment("k", 1).await?;
                ensure_eq!(present(&t, "k").await?.metadata(), &metadata, "metadata");
                Ok(())
            }),
        case("metadata/in-every-view", "read, read_many and scan show metadata")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", "x")?;
                t.write("k", "v").metadata(metadata.clone()).await?;
                t.write("plain", "v").await?;
                let many = t.read_many(&["plain", "k"]).await;
                let many = many
                    .into_iter()
                    .map(|one| Ok(one?.map(|r| r.metadata().clone())))
                    .collect::<crate::Result<Vec<_>>>()?;
                ensure_eq!(many, [Some(Metadata::new()), Some(metadata.clone())], "read_many");
                let scanned = cx.scan(&t).prefix("k").await?;
                ensure_eq!(scanned.first().map(|r| r.metadata().clone()), Some(metadata), "scan");
                Ok(())
            }),
        case("metadata/in-a-watch", "a watch shows metadata, in the snapshot and in changes")
            .needs([F::Metadata, F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", "x")?;
                t.write("a", "v").metadata(metadata.clone()).await?;
                let mut watch = cx.watch(&t).await?;
                let snapshot = watch.snapshot().await?;
                ensure_eq!(
                    snapshot.first().map(|r| r.metadata().clone()),
                    Some(metadata.clone()),
                    "snapshot"
                );
                t.write("b", "v").metadata(metadata.clone()).await?;
                ensure_eq!(watch.expect_put("b", "v").await?.metadata(), &metadata, "change");
                Ok(())
            }),
        case(
            "metadata/in-a-batch",
            "items of put_many and of an atomic batch have their own metadata",
        )
        .needs([F::Metadata])
        .run(|cx| async move {
            let t = cx.table()?;
            let put = |key: &'static str, n: i32| {
                Ok::<_, Failure>(
                    Put::new(Key::new(key)?, "v").with_metadata(Metadata::new().with("n", n)?),
                )
            };
            for written in t.put_many(vec![put("a", 1)?, put("b", 2)?]).await {
                written?;
            }
            if cx.has(F::AtomicBatch) {
                t.batch().op(Op::Put(put("c", 3)?)).commit().await?;
            }
            for record in cx.scan(&t).await? {
                let want = match record.key() {
                    "a" => 1,
                    "b" => 2,
                    _ => 3,
                };
                ensure_eq!(
                    record.metadata().get("n"),
                    Some(&json!(want)),
                    "metadata of {:?}",
                    record.key()
                );
            }
            Ok(())
        }),
        case("metadata/largest", "metadata may be as large as the contract says")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let room = MAX_METADATA_LEN - r#"{"m":""}"#.len();
                let metadata = Metadata::new().with("m", "x".repeat(room))?;
                t.write("k", "v").metadata(metadata.clone()).await?;
                ensure!(
                    present(&t, "k").await?.metadata() == &metadata,
                    "the largest metadata came back changed"
                );
                refused(
                    Metadata::new().with("m", "x".repeat(room + 1)),
                    ErrorKind::TooLarge,
                    "one byte more",
                )?;
                Ok(())
            }),
        case("metadata/beside-a-large-value", "metadata stay beside a large value")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(100_000, |most| most.min(100_000));
                let metadata = Metadata::new().with("m", 1)?;
                t.write("k", vec![1; size]).metadata(metadata.clone()).await?;
                let record = present(&t, "k").await?;
                ensure_eq!(
                    (record.value().len(), record.metadata()),
                    (size, &metadata),
                    "length and metadata"
                );
                Ok(())
            }),
        case("metadata/beside-an-empty-value", "metadata stay beside an empty value")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", 1)?;
                t.write("k", "").metadata(metadata.clone()).await?;
                let record = present(&t, "k").await?;
                ensure_eq!(
                    (record.value(), record.metadata()),
                    (&b""[..], &metadata),
                    "value and metadata"
                );
                Ok(())
            }),
    ]
}
