//! Batches that are no transactions: in order, each item on its own.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    let mut all = reads();
    all.extend(writes());
    all.extend(deletes());
    all
}

fn reads() -> Vec<Case> {
    vec![
        case("batch/read-order", "read_many answers in the order asked, with holes in place").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c"]).await?;
                let got = values(t.read_many(&["c", "none", "a", "b", "nil"]).await)?;
                ensure_eq!(
                    got,
                    [Some("c"), None, Some("a"), Some("b"), None].map(|v| v.map(str::to_owned)),
                    "values"
                );
                Ok(())
            },
        ),
        case(
            "batch/read-rewritten-meanwhile",
            "read_many misses no record that is written again meanwhile",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let keys: Vec<_> = (0..200).map(|i| format!("k{i:03}")).collect();
            let writer = Rewriting::begin(&t, &keys, Duration::ZERO).await?;
            let reader = if cx.has(F::Shared) { cx.second_table().await? } else { t.clone() };
            let (mut reads, mut missed) = (0, 0);
            while missed == 0 && (reads < 20 || writer.turns() <= 20) {
                tokio::task::yield_now().await;
                let found = values(reader.read_many(&keys).await)?;
                missed = found.iter().filter(|value| value.is_none()).count();
                reads += 1;
            }
            writer.end().await?;
            ensure_eq!(missed, 0, "records that were missed in {reads} reads");
            Ok(())
        }),
        case("batch/read-duplicates", "a key asked twice is answered twice").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let got = values(t.read_many(&["a", "b", "a", "x", "a", "x"]).await)?;
            ensure_eq!(
                got,
                [Some("a"), Some("b"), Some("a"), None, Some("a"), None]
                    .map(|v| v.map(str::to_owned)),
                "values"
            );
            Ok(())
        }),
        case("batch/read-none", "to read no keys is to get no answers").run(|cx| async move {
            let t = cx.table()?;
            ensure_eq!(t.read_many::<&str>(&[]).await.len(), 0, "answers");
            ensure_eq!(
                driver(&t).read_many(t.namespace(), &[]).await.len(),
                0,
                "answers of the driver"
            );
            Ok(())
        }),
        case(
            "batch/read-between-invalid",
            "invalid keys among valid ones have errors of their own",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            let long = "x".repeat(2000);
            let got = t.read_many(&["", "a", &*long, "b", ""]).await;
            let kinds: Vec<_> = got
                .iter()
                .map(|one| {
                    one.as_ref()
                        .map(|r| r.as_ref().map(|r| text(r.value())))
                        .map_err(crate::Error::kind)
                })
                .collect();
            let want = [
                Err(ErrorKind::InvalidArgument),
                Ok(Some("a".to_owned())),
                Err(ErrorKind::TooLarge),
                Ok(Some("b".to_owned())),
                Err(ErrorKind::InvalidArgument),
            ];
            ensure_eq!(kinds, want, "answers");
            Ok(())
        }),
        case("batch/read-many-keys", "two thousand keys are answered, each with its own record")
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..2000).map(|i| format!("k{i:04}")).collect();
                fill(&t, &keys[..1000]).await?;
                let got = values(t.read_many(&keys).await)?;
                ensure_eq!(got.len(), 2000, "answers");
                for (i, (value, key)) in got.iter().zip(&keys).enumerate() {
                    ensure_eq!(value.as_ref(), (i < 1000).then_some(key), "the answer for {key}");
                }
                Ok(())
            }),
        case("batch/read-is-not-a-pattern", "keys of a batch are keys, not patterns").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["abc", "abd"]).await?;
                let asked: Vec<_> = ["ab*", "ab?", "*", "ab", ">", "ab[cd]"]
                    .into_iter()
                    .filter(|k| cx.target().accepts_key(k))
                    .collect();
                let got = values(t.read_many(&asked).await)?;
                ensure!(got.iter().all(Option::is_none), "answers: {got:?}");
                Ok(())
            },
        ),
        case("batch/read-of-one-table", "read_many reads its own table").needs([F::Tables]).run(
            |cx| async move {
                cx.named("a")?.write("k", "of a").await?;
                cx.named("b")?.write("k", "of b").await?;
                ensure_eq!(
                    values(cx.named("b")?.read_many(&["k", "k"]).await)?,
                    [Some("of b".to_owned()), Some("of b".to_owned())],
                    "values"
                );
                Ok(())
            },
        ),
    ]
}

fn writes() -> Vec<Case> {
    vec![
        case("batch/write-all", "write_many writes every item and answers for each").run(
            |cx| async move {
                let t = cx.table()?;
                let pairs: Vec<_> =
                    (0..300).map(|i| (format!("k{i:03}"), format!("value {i}"))).collect();
                let written = t.write_many(pairs.clone()).await;
                ensure_eq!(written.len(), 300, "answers");
                for (written, (key, value)) in written.into_iter().zip(&pairs) {
                    written?;
                    ensure_value(&t, key, value).await?;
                }
                Ok(())
            },
        ),
        case("batch/write-in-order", "of two items with one key the later wins").run(
            |cx| async move {
                let t = cx.table()?;
                for round in 0..20 {
                    let pairs = [("k", "first"), ("other", "v"), ("k", "second"), ("k", "last")];
                    for written in t.write_many(pairs).await {
                        written?;
                    }
                    ensure_value(&t, "k", "last")
                        .await
                        .map_err(|e| e.about(format_args!("round {round}")))?;
                }
                Ok(())
            },
        ),
        case("batch/write-none", "to write nothing is fine").run(|cx| async move {
            let t = cx.table()?;
            ensure_eq!(t.put_many(Vec::new()).await.len(), 0, "answers");
            ensure_eq!(t.write_many(Vec::<(&str, &str)>::new()).await.len(), 0, "answers");
            Ok(())
        }),
        case("batch/write-between-invalid", "an invalid key does not stop the items around it")
            .run(|cx| async move {
                let t = cx.table()?;
                let written = t.write_many([("a", "1"), ("", "2"), ("b", "3")]).await;
                let kinds: Vec<_> = written
                    .iter()
                    .map(|w| w.as_ref().map(drop).map_err(crate::Error::kind))
                    .collect();
                ensure_eq!(kinds, [Ok(()), Err(ErrorKind::InvalidArgument), Ok(())], "answers");
                ensure_eq!(cx.keys(&t).await?, ["a", "b"], "keys");
                Ok(())
            }),
        case(
            "batch/write-item-fails-alone",
            "an item whose condition fails does not stop the items around it",
        )
        .needs([F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("taken", "old").await?;
            let put = |key: &'static str| {
                Ok::<_, Failure>(Put::new(Key::new(key)?, "new").with_condition(Condition::Absent))
            };
            let done = t.put_many(vec![put("a")?, put("taken")?, put("b")?]).await;
            let kinds: Vec<_> =
                done.iter().map(|w| w.as_ref().map(drop).map_err(crate::Error::kind)).collect();
            ensure_eq!(kinds, [Ok(()), Err(ErrorKind::Conflict), Ok(())], "answers");
            ensure_value(&t, "taken", "old").await?;
            ensure_value(&t, "b", "new").await
        }),
        case("batch/create-twice", "of two creates of one key in a batch the first wins")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                let put = |value: &'static str| {
                    Ok::<_, Failure>(
                        Put::new(Key::new("k")?, value).with_condition(Condition::Absent),
                    )
                };
                let done = t.put_many(vec![put("1")?, put("2")?]).await;
                let kinds: Vec<_> =
                    done.iter().map(|w| w.as_ref().map(drop).map_err(crate::Error::kind)).collect();
                ensure_eq!(kinds, [Ok(()), Err(ErrorKind::Conflict)], "answers");
                ensure_value(&t, "k", "1").await
            }),
        case("batch/errors-name-their-key", "the error of an item names its key")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("taken", "old").await?;
                let done = t
                    .put_many(vec![
                        Put::new(Key::new("free")?, "v"),
                        Put::new(Key::new("taken")?, "v").with_condition(Condition::Absent),
                    ])
                    .await;
                let Some(Err(error)) = done.into_iter().nth(1) else {
                    return Err(Failure::new("the create succeeded"));
                };
                ensure_eq!(error.key(), Some("taken"), "the key of {error}");
                ensure_eq!(error.table(), Some(t.name()), "the table of {error}");
                Ok(())
            }),
        case("batch/write-large", "items of all sizes are written in one batch").run(
            |cx| async move {
                let t = cx.table()?;
                let most = cx.declared().max_value_len.unwrap_or(usize::MAX);
                let sizes = [0, 1, 1024, 1025, 9000, 100_000, 3].map(|size: usize| size.min(most));
                for written in t
                    .write_many(
                        sizes
                            .iter()
                            .enumerate()
                            .map(|(i, size)| (format!("k{i}"), vec![b'x'; *size])),
                    )
                    .await
                {
                    written?;
                }
                for (i, size) in sizes.iter().enumerate() {
                    ensure_eq!(
                        present(&t, &format!("k{i}")).await?.value().len(),
                        *size,
                        "length of item {i}"
                    );
                }
                Ok(())
            },
        ),
        case("batch/read-what-a-batch-wrote", "what a batch wrote is read by the next batch").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..64).map(|i| format!("k{i}")).collect();
                for round in 0..10 {
                    let value = format!("round {round}");
                    for written in t.write_many(keys.iter().map(|key| (key, value.clone()))).await {
                        written?;
                    }
                    let got = values(t.read_many(&keys).await)?;
                    ensure!(
                        got.iter().all(|v| v.as_deref() == Some(&*value)),
                        "round {round}: {got:?}"
                    );
                }
                Ok(())
            },
        ),
    ]
}

fn deletes() -> Vec<Case> {
    vec![
        case("batch/delete-all", "delete_many deletes every item and leaves the rest").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b", "c", "d"]).await?;
                let done = t.delete_many(&["a", "none", "c", "a"]).await;
                ensure_eq!(done.len(), 4, "answers");
                for one in done {
                    one?;
                }
                ensure_eq!(cx.keys(&t).await?, ["b", "d"], "keys");
                Ok(())
            },
        ),
        case("batch/delete-order", "delete_many answers in the order asked").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "c"]).await?;
            let done = t.delete_many(&["a", "none", "", "c", "a"]).await;
            let mut told = Vec::new();
            for one in &done {
                told.push(match one {
                    Ok(deleted) => Ok(deleted.existed),
                    Err(error) => Err(error.kind()),
                });
            }
            let tells = matches!(told.first(), Some(Ok(Some(_))));
            let (yes, no) = if tells { (Some(true), Some(false)) } else { (None, None) };
            ensure_eq!(
                told,
                [Ok(yes), Ok(no), Err(ErrorKind::InvalidArgument), Ok(yes), Ok(no)],
                "answers"
            );
            Ok(())
        }),
        case(
            "batch/delete-conditions",
            "each item of a driver's delete_many has its own condition",
        )
        .needs([F::IfValue])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            let remove = |key: &'static str, value: &'static [u8]| {
                Ok::<_, Failure>(
                    Remove::new(Key::new(key)?).with_condition(Condition::Value(value.into())),
                )
            };
            let done = driver(&t)
                .delete_many(
                    t.namespace(),
                    vec![remove("a", b"a")?, remove("b", b"x")?, remove("c", b"c")?],
                )
                .await;
            let kinds: Vec<_> =
                done.iter().map(|w| w.as_ref().map(drop).map_err(crate::Error::kind)).collect();
            ensure_eq!(kinds, [Ok(()), Err(ErrorKind::Conflict), Ok(())], "answers");
            ensure_eq!(cx.keys(&t).await?, ["b"], "keys");
            Ok(())
        }),
        case("batch/delete-none", "to delete nothing is fine").run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a"]).await?;
            ensure_eq!(t.delete_many::<&str>(&[]).await.len(), 0, "answers");
            ensure_eq!(cx.keys(&t).await?, ["a"], "keys");
            Ok(())
        }),
        case("batch/delete-many-keys", "a thousand records are deleted in one batch").run(
            |cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = (0..1000).map(|i| format!("k{i:03}")).collect();
                fill(&t, &keys).await?;
                for one in t.delete_many(&keys).await {
                    one?;
                }
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                Ok(())
            },
        ),
    ]
}

fn values(answers: Vec<crate::Result<Option<crate::Record>>>) -> Check<Vec<Option<String>>> {
    answers.into_iter().map(|one| Ok(one?.map(|r| text(r.value())))).collect()
}
