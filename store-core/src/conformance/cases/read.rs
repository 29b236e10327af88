use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("read/missing-is-none", "an absent record reads as `None`").run(|cx| async move {
            let t = cx.table()?;
            ensure_absent(&t, "nobody").await?;
            t.write("somebody", "v").await?;
            ensure_absent(&t, "nobody").await?;
            ensure!(!t.exists("nobody").await?, "an absent record exists");
            ensure!(t.exists("somebody").await?, "a record does not exist");
            Ok(())
        }),
        case("read/missing-database", "reading a database that does not exist finds nothing").run(
            |cx| async move {
                let t = cx.table_at("nowhere")?;
                ensure_absent(&t, "k").await?;
                ensure!(!t.exists("k").await?, "exists");
                let many = t.read_many(&["a", "b"]).await;
                ensure!(many.iter().all(|one| matches!(one, Ok(None))), "read_many: {many:?}");
                Ok(())
            },
        ),
        case("read/creates-nothing", "reading, listing and deleting do not create a database")
            .needs([F::Databases])
            .run(|cx| async move {
                let t = cx.table_at("unmade")?;
                ensure_absent(&t, "k").await?;
                ensure_eq!(cx.keys(&t).await?.len(), 0, "keys");
                t.exists("k").await?;
                t.delete("k").await?;
                t.delete_many(&["a", "b"]).await;
                let all = cx.admin().list().await?;
                ensure!(!all.contains(&cx.name("unmade")?), "the database was created");
                Ok(())
            }),
        case(
            "read/whole-record",
            "a record comes back with key, value and, without further ado, nothing else",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "value").await?;
            let record = present(&t, "k").await?;
            ensure_eq!((record.key(), record.value()), ("k", &b"value"[..]), "key and value");
            ensure!(record.metadata().is_empty(), "metadata: {:?}", record.metadata());
            ensure_eq!(record.expires_at(), None, "expiry");
            ensure_eq!(&record.bytes()[..], &b"value"[..], "the shared bytes of the value");
            Ok(())
        }),
        case("read/empty-value", "an empty value is a value").run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "").await?;
            let record = present(&t, "k").await?;
            ensure_eq!(record.value(), b"", "value");
            ensure!(t.exists("k").await?, "a record with an empty value does not exist");
            ensure_eq!(cx.keys(&t).await?, ["k"], "keys");
            Ok(())
        }),
        case("read/any-bytes", "a value may be any bytes").run(|cx| async move {
            let t = cx.table()?;
            let all: Vec<u8> = (0..=255).collect();
            for (key, value) in [
                ("all", all),
                ("nul", vec![0; 9]),
                ("broken-utf8", vec![0xff, 0xfe, b'a', 0xc0, 0x80]),
                ("lines", b"a\r\n\r\nb\n".to_vec()),
            ] {
                t.write(key, &value).await?;
                ensure_eq!(present(&t, key).await?.value(), &value[..], "value of {key:?}");
            }
            Ok(())
        }),
        case("read/no-trimming", "spaces and line ends around a value stay").run(|cx| async move {
            let t = cx.table()?;
            for (key, value) in
                [("a", " v "), ("b", "\nv\n"), ("c", "\tv"), ("d", " "), ("e", "v\0")]
            {
                t.write(key, value).await?;
                ensure_value(&t, key, value).await?;
            }
            Ok(())
        }),
        case(
            "read/look-alike-values",
            "values that look like envelopes, markers or scripts are plain bytes",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let values = [
                r#"{"key":"k","data":"dg==","metadata":null}"#,
                "{}",
                "null",
                "DEL",
                "PURGE",
                "KV-Operation: DEL\r\n\r\n",
                "\u{f5}SR\u{1}",
                "__tombstone__",
                "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n",
                "*1\r\n$4\r\nPING\r\n",
                "nil",
                "false",
            ];
            for (i, value) in values.iter().enumerate() {
                let key = format!("k{i}");
                t.write(&key, *value).await?;
                ensure_value(&t, &key, value).await?;
            }
            ensure_eq!(cx.keys(&t).await?.len(), values.len(), "keys");
            Ok(())
        }),
        case("read/value-sizes", "values around the sizes where layouts change come back whole")
            .run(|cx| async move {
                let t = cx.table()?;
                for size in
                    [1, 255, 256, 1023, 1024, 1025, 4096, 8191, 8192, 65_535, 65_536, 200_000]
                {
                    if cx.declared().max_value_len.is_some_and(|most| size > most) {
                        continue;
                    }
                    let value: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
                    t.write("k", value.clone()).await?;
                    ensure!(
                        present(&t, "k").await?.value() == value,
                        "a value of {size} bytes came back changed"
                    );
                    t.write("k", &value).await?;
                    ensure!(
                        present(&t, "k").await?.value() == value,
                        "a borrowed value of {size} bytes came back changed"
                    );
                }
                Ok(())
            }),
        case("read/largest-value", "a value may be as large as the store says, and no larger").run(
            |cx| async move {
                let Some(most) = cx.declared().max_value_len.filter(|most| *most <= 64 << 20)
                else {
                    return Err(Failure::NotApplicable(
                        "the driver declares no limit of up to 64 MiB",
                    ));
                };
                let t = cx.table()?;
                t.write("k", vec![b'x'; most]).await?;
                ensure_eq!(
                    present(&t, "k").await?.value().len(),
                    most,
                    "length of the largest value"
                );
                refused(
                    t.write("k", vec![b'y'; most + 1]).await,
                    ErrorKind::TooLarge,
                    "one byte more",
                )?;
                refused(
                    t.write("new", vec![b'y'; most + 1]).await,
                    ErrorKind::TooLarge,
                    "one byte more, elsewhere",
                )?;
                ensure_eq!(
                    present(&t, "k").await?.value()[0],
                    b'x',
                    "first byte after the refusal"
                );
                ensure_absent(&t, "new").await
            },
        ),
        case("read/eventual", "an eventual read in one handle's quiet table sees the record").run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                cx.eventually("an eventual read sees the record", || async {
                    Ok(t.read("k")
                        .consistency(Consistency::Eventual)
                        .await?
                        .is_some_and(|r| r.value() == b"v"))
                })
                .await
            },
        ),
        case("read/strong", "a strong read sees the last write, and an absent record")
            .proves(F::StrongRead)
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").await?;
                t.write("k", "2").await?;
                let record = t.read("k").strong().await?;
                ensure_eq!(
                    record.as_ref().map(|r| text(r.value())),
                    Some("2".to_owned()),
                    "the strong read"
                );
                t.delete("k").await?;
                ensure!(
                    t.read("k").strong().await?.is_none(),
                    "a strong read finds a deleted record"
                );
                Ok(())
            }),
        case("read/strong-list", "a strong listing sees the last write")
            .needs([F::StrongRead])
            .run(|cx| async move {
                let t = cx.table()?;
                for i in 0..20 {
                    t.write(&format!("k{i:02}"), "v").await?;
                    ensure_eq!(
                        cx.list(&t).strong().await?.len(),
                        i + 1,
                        "keys of the strong listing"
                    );
                }
                Ok(())
            }),
        case("read/modified", "when the backend knows when a record was written, it tells").run(
            |cx| async move {
                let t = cx.table()?;
                let before = cx.now();
                t.write("k", "v").await?;
                let Some(modified) = present(&t, "k").await?.modified() else {
                    return Err(Failure::NotApplicable(
                        "the driver does not know when records were written",
                    ));
                };
                let slack = Duration::from_secs(30);
                ensure!(
                    modified + slack > before && modified < cx.now() + slack,
                    "modified at {modified:?}, written after {before:?}"
                );
                Ok(())
            },
        ),
        case(
            "read/a-record-does-not-change-in-hand",
            "a record that was read stays as it was read",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "before").await?;
            let held = present(&t, "k").await?;
            t.write("k", "after!").await?;
            ensure_eq!(text(held.value()), "before", "the record in hand after a write");
            t.delete("k").await?;
            ensure_eq!(text(held.value()), "before", "the record in hand after a delete");
            Ok(())
        }),
        case("read/two-handles", "a second handle of the same store sees the same records").run(
            |cx| async move {
                cx.table()?.write("k", "v").await?;
                let again = cx.table()?;
                ensure_value(&again, "k", "v").await?;
                again.delete("k").await?;
                ensure_absent(&cx.table()?, "k").await
            },
        ),
    ]
}
