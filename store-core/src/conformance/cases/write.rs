use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("write/overwrites", "a write replaces the value").run(|cx| async move {
            let t = cx.table()?;
            for value in ["first", "2", "", "a much longer value than any before it", "5"] {
                t.write("k", value).await?;
                ensure_value(&t, "k", value).await?;
            }
            ensure_eq!(cx.keys(&t).await?, ["k"], "keys");
            Ok(())
        }),
        case("write/grows-and-shrinks", "large and small values replace each other").run(
            |cx| async move {
                let t = cx.table()?;
                for size in [10_000, 1, 0, 50_000, 1024, 1025] {
                    let size = cx.declared().max_value_len.map_or(size, |most| size.min(most));
                    t.write("k", vec![b'x'; size]).await?;
                    ensure_eq!(present(&t, "k").await?.value().len(), size, "length");
                }
                Ok(())
            },
        ),
        case("write/other-keys-stay", "a write leaves other records alone").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c", "ab"]).await?;
            t.write("b", "new").await?;
            for key in ["a", "c", "ab"] {
                ensure_value(&t, key, key).await?;
            }
            Ok(())
        }),
        case("write/creates-the-database", "the first write creates the database")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.table_at("fresh")?.write("k", "v").await?;
                let all = cx.admin().list().await?;
                ensure!(all.contains(&cx.name("fresh")?), "the database is not listed");
                ensure_value(&cx.table_at("fresh")?, "k", "v").await
            }),
        case(
            "write/many-first-writes",
            "many first writes at once create the database once and lose nothing",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            cx.together(16, |cx, i| async move {
                cx.table_at("rush")?.write(&format!("k{i:02}"), "v").await?;
                Ok(())
            })
            .await?;
            ensure_eq!(cx.keys(&cx.table_at("rush")?).await?.len(), 16, "keys");
            Ok(())
        }),
        case("write/a-thousand", "a thousand records are all there").run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..1000).map(|i| format!("k{i:04}")).collect();
            fill(&t, &keys).await?;
            ensure_eq!(cx.keys(&t).await?, keys, "keys");
            for key in keys.iter().step_by(97) {
                ensure_value(&t, key, key).await?;
            }
            Ok(())
        }),
        case(
            "write/sets-no-expiry-by-itself",
            "a write without an expiry, in a database without a default, lives for ever",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            if cx.is_movable() {
                cx.advance(Duration::from_hours(876_000)).await;
                ensure_value(&t, "k", "v").await?;
            }
            Ok(())
        }),
        case("write/value-kinds", "borrowed, owned and shared bytes are written alike").run(
            |cx| async move {
                let t = cx.table()?;
                t.write("slice", &b"v"[..]).await?;
                t.write("vec", vec![b'v']).await?;
                t.write("string", "v".to_owned()).await?;
                t.write("bytes", bytes::Bytes::from_static(b"v")).await?;
                for key in ["slice", "vec", "string", "bytes"] {
                    ensure_value(&t, key, "v").await?;
                }
                Ok(())
            },
        ),
        case(
            "write/a-refused-write-changes-nothing",
            "after a write that was refused, value, expiry and revision are as before",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").await?;
            let before = present(&t, "k").await?;
            if cx.has(F::Expiry) {
                invalid(t.write("k", "w").ttl(Duration::ZERO).await, "a time to live of zero")?;
            }
            if cx.has(F::Create) {
                conflict(t.write("k", "w").if_absent().await, "create over a record")?;
            }
            if cx.has(F::IfValue) {
                conflict(t.write("k", "w").if_value(&b"x"[..]).await, "another value")?;
            }
            ensure_eq!(present(&t, "k").await?, before, "the record after the refusals");
            Ok(())
        }),
        case("write/after-delete", "a key can be written again after a delete, again and again")
            .run(|cx| async move {
                let t = cx.table()?;
                for round in 0..10 {
                    let value = format!("round {round}");
                    t.write("k", value.clone()).await?;
                    ensure_value(&t, "k", &value).await?;
                    t.delete("k").await?;
                    ensure_absent(&t, "k").await?;
                }
                Ok(())
            }),
    ]
}
