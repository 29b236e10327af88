//! A value alone: the same answers as a read of the whole record.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("value/as-read", "a value alone is the value of the record").run(|cx| async move {
            let t = cx.table()?;
            let all: Vec<u8> = (0..=255).collect();
            for (key, value) in [("all", all), ("lines", b"a\r\n\0".to_vec()), ("n", b"7".to_vec())]
            {
                t.write(key, &value).await?;
                ensure_same(&t, key, Some(&value)).await?;
            }
            Ok(())
        }),
        case("value/missing-is-none", "the value of an absent record is `None`").run(
            |cx| async move {
                ensure_same(&cx.table_at("nowhere")?, "k", None).await?;
                let t = cx.table()?;
                ensure_same(&t, "k", None).await?;
                t.write("other", "v").await?;
                ensure_same(&t, "k", None).await
            },
        ),
        case("value/empty", "an empty value is there, alone too").run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "").await?;
            ensure_same(&t, "k", Some(b"")).await
        }),
        case("value/after-a-write", "a value alone is the last one written, a hundred times").run(
            |cx| async move {
                let t = cx.table()?;
                for i in 0..100 {
                    let value = format!("{i}");
                    t.write("k", value.clone()).await?;
                    ensure_same(&t, "k", Some(value.as_bytes())).await?;
                }
                t.delete("k").await?;
                ensure_same(&t, "k", None).await?;
                for (key, done) in
                    ["a", "b"].iter().zip(t.write_many([("a", "a"), ("b", "b")]).await)
                {
                    done?;
                    ensure_same(&t, key, Some(key.as_bytes())).await?;
                }
                Ok(())
            },
        ),
        case(
            "value/sizes",
            "values around the sizes where layouts change come back whole, alone too",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            for size in [1, 255, 1024, 8191, 8192, 65_536, 200_000] {
                if cx.declared().max_value_len.is_some_and(|most| size > most) {
                    continue;
                }
                let value: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
                t.write("k", &value).await?;
                let held = t.value("k").await?;
                ensure!(held.as_deref() == Some(&value[..]), "{size} bytes came back changed");
            }
            Ok(())
        }),
        case("value/beside-metadata", "metadata and expiry are no part of a value alone")
            .needs([F::Metadata, F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", "x")?;
                t.write("k", "v").metadata(metadata).ttl(cx.long()).await?;
                ensure_same(&t, "k", Some(b"v")).await
            }),
        case("value/counter", "a counter's value alone is its decimal").needs([F::Increment]).run(
            |cx| async move {
                let t = cx.table()?;
                t.increment("k", 41).await?;
                t.increment("k", 1).await?;
                ensure_same(&t, "k", Some(b"42")).await
            },
        ),
        case("value/expired", "an expired record has no value").needs([F::Expiry]).waits().run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                ensure_same(&t, "k", Some(b"v")).await?;
                cx.outlive(cx.ttl()).await;
                ensure_same(&t, "k", None).await
            },
        ),
        case("value/strong", "a value alone can be read as of the primary")
            .needs([F::StrongRead])
            .run(|cx| async move {
                let t = cx.table()?;
                for value in ["1", "2"] {
                    t.write("k", value).await?;
                    let held = t.value("k").strong().await?;
                    ensure_eq!(
                        held.as_deref().map(text),
                        Some(value.to_owned()),
                        "the strong value"
                    );
                }
                t.delete("k").await?;
                ensure_eq!(t.value("k").strong().await?, None, "the value of a deleted record");
                Ok(())
            }),
        case("value/at-revision", "a past value can be read alone by its revision")
            .needs([F::History])
            .run(|cx| async move {
                cx.admin().create(cx.name("kept")?, &DatabaseConfig::new().with_history(5)).await?;
                let t = cx.table_at("kept")?;
                let mut revisions = Vec::new();
                for value in ["1", "2", "3"] {
                    revisions.push((value, revision(t.write("k", value).await?)?));
                }
                for (value, revision) in revisions {
                    let held = t.value("k").at_revision(revision).await?;
                    ensure_eq!(held.as_deref().map(text), Some(value.to_owned()), "past value");
                }
                let none = t.value("k").at_revision(Revision::from_parts(u64::MAX, 7)).await?;
                ensure_eq!(none, None, "a version that never was");
                Ok(())
            }),
        case(
            "value/many",
            "several values alone come in the order asked, absent ones in their places",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            ensure_eq!(t.values::<&str>(&[]).await.len(), 0, "answers to no question");
            t.write("a", "1").await?;
            t.write("c", "").await?;
            let keys = ["c", "b", "a", "c", "", "a"];
            let mut held = Vec::new();
            for (key, answer) in keys.iter().zip(t.values(&keys).await) {
                match answer {
                    Err(error) if key.is_empty() => {
                        ensure_eq!(error.kind(), ErrorKind::InvalidArgument, "an empty key");
                        held.push(None);
                    }
                    answer => held.push(answer?.as_deref().map(text)),
                }
            }
            let some = |value: &str| Some(value.to_owned());
            ensure_eq!(held, [some(""), None, some("1"), some(""), None, some("1")], "values");
            Ok(())
        }),
        case("value/many-more", "more values than fit in one request come back each at its key")
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<String> = (0..700).map(|i| format!("k{i:03}")).collect();
                fill(&t, &keys).await?;
                for (key, value) in keys.iter().zip(t.values(&keys).await) {
                    ensure_eq!(value?.as_deref().map(text).as_ref(), Some(key), "value of {key:?}");
                }
                Ok(())
            }),
        case("value/own-table", "a value alone is of its own key, table and database")
            .needs([F::Tables])
            .run(|cx| async move {
                let places = [cx.named("a")?, cx.named("b")?, cx.table_in("other", "a")?];
                for (i, t) in places.iter().enumerate() {
                    t.write("k", format!("{i}")).await?;
                }
                for (i, t) in places.iter().enumerate() {
                    ensure_same(t, "k", Some(format!("{i}").as_bytes())).await?;
                }
                Ok(())
            }),
    ]
}

/// A value alone and a read of the record give this.
async fn ensure_same(t: &Table, key: &str, want: Option<&[u8]>) -> Check {
    let (alone, record) = (t.value(key).await?, t.read(key).await?);
    ensure_eq!(alone.as_deref().map(text), want.map(text), "the value of {key:?} alone");
    ensure_eq!(record.map(|r| text(r.value())), want.map(text), "value of the record {key:?}");
    Ok(())
}
