//! What must add up when many do the same thing at once.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("race/one-create-wins", "of many creates of one key one wins, and its value stays")
            .needs([F::Create])
            .run(|cx| async move {
                for round in 0..10 {
                    let key = format!("k{round}");
                    let own = key.clone();
                    let won = cx
                        .together(12, move |cx, task| {
                            let key = own.clone();
                            async move {
                                winner(
                                    cx.table()?.write(&key, format!("{task}")).if_absent().await,
                                    task,
                                )
                            }
                        })
                        .await?;
                    let winners: Vec<_> = won.into_iter().flatten().collect();
                    ensure_eq!(winners.len(), 1, "winners of round {round}");
                    ensure_value(&cx.table()?, &key, &winners[0].to_string()).await?;
                }
                Ok(())
            }),
        case("race/one-update-wins", "of many writes with one revision one wins")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                for round in 0..10 {
                    let held = revision(t.write("k", "start").await?)?;
                    let won = cx
                        .together(10, move |cx, task| async move {
                            winner(
                                cx.table()?.write("k", format!("{task}")).if_revision(held).await,
                                task,
                            )
                        })
                        .await?;
                    let winners: Vec<_> = won.into_iter().flatten().collect();
                    ensure_eq!(winners.len(), 1, "winners of round {round}");
                    ensure_value(&t, "k", &winners[0].to_string()).await?;
                }
                Ok(())
            }),
        case("race/one-value-swap-wins", "of many writes over one value one wins")
            .needs([F::IfValue])
            .run(|cx| async move {
                let t = cx.table()?;
                for round in 0..10 {
                    t.write("k", "start").await?;
                    let won = cx
                        .together(10, |cx, task| async move {
                            winner(
                                cx.table()?
                                    .write("k", format!("{task}"))
                                    .if_value(&b"start"[..])
                                    .await,
                                task,
                            )
                        })
                        .await?;
                    ensure_eq!(won.into_iter().flatten().count(), 1, "winners of round {round}");
                }
                Ok(())
            }),
        case("race/one-delete-wins", "of many deletes with one revision one wins")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                for round in 0..10 {
                    let held = revision(t.write("k", "v").await?)?;
                    let won = cx
                        .together(10, move |cx, task| async move {
                            winner(cx.table()?.delete("k").if_revision(held).await, task)
                        })
                        .await?;
                    ensure_eq!(won.into_iter().flatten().count(), 1, "winners of round {round}");
                    ensure_absent(&t, "k").await?;
                }
                Ok(())
            }),
        case("race/compare-and-set-loop", "a compare-and-set loop by hand loses no update")
            .needs([F::IfRevision])
            .run(|cx| async move {
                cx.table()?.write("k", "0").await?;
                cx.together(6, |cx, _| async move {
                    let t = cx.table()?;
                    let mut left = 25;
                    while left > 0 {
                        let record = present(&t, "k").await?;
                        let next = text(record.value()).parse::<u64>().unwrap_or_default() + 1;
                        let held = record.revision().ok_or_else(|| Failure::new("no revision"))?;
                        match t.write("k", next.to_string()).if_revision(held).await {
                            Ok(_) => left -= 1,
                            Err(error) if error.kind() == ErrorKind::Conflict => {
                                tokio::task::yield_now().await;
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Ok(())
                })
                .await?;
                ensure_value(&cx.table()?, "k", "150").await
            }),
        case("race/update", "`update` of many tasks loses nothing, from the first on")
            .needs([F::KeepExpiry, F::IfRevision, F::Create])
            .run(|cx| async move {
                cx.together(6, |cx, _| async move {
                    let t = cx.table()?;
                    for _ in 0..25 {
                        t.update("k", |record| {
                            let held = record.map(|r| text(r.value())).unwrap_or_default();
                            Change::write((held.parse::<u64>().unwrap_or_default() + 1).to_string())
                        })
                        .await?;
                    }
                    Ok(())
                })
                .await?;
                ensure_value(&cx.table()?, "k", "150").await
            }),
        case("race/update-and-remove", "`update` that removes and creates loses nothing")
            .needs([F::KeepExpiry, F::IfRevision, F::Create])
            .run(|cx| async move {
                // Each token is taken once: by removing the record, put back by creating it.
                let taken = cx
                    .together(4, |cx, _| async move {
                        let (t, mut taken) = (cx.table()?, 0);
                        for _ in 0..25 {
                            let mut had = false;
                            t.update("k", |record| {
                                had = record.is_some();
                                if had { Change::Remove } else { Change::write("token") }
                            })
                            .await?;
                            taken += if had { 1 } else { -1 };
                        }
                        Ok(taken)
                    })
                    .await?;
                let left = i32::from(cx.table()?.exists("k").await?);
                ensure_eq!(-taken.into_iter().sum::<i32>(), left, "tokens put minus tokens taken");
                Ok(())
            }),
        case("race/no-torn-values", "a reader sees whole values, never parts of two").run(
            |cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(60_000, |most| most.min(60_000));
                t.write("k", vec![0; size]).await?;
                let writing = t.clone();
                let writer = aside(async move {
                    for i in 0..60u8 {
                        writing.write("k", vec![i; size - usize::from(i)]).await?;
                        tokio::task::yield_now().await;
                    }
                    Ok(())
                });
                for _ in 0..60 {
                    let record = present(&t, "k").await?;
                    let first = record.value().first().copied().unwrap_or_default();
                    ensure!(record.value().iter().all(|b| *b == first), "parts of two values");
                    ensure!(
                        first == 0 || record.value().len() == size - usize::from(first),
                        "a value with the length of another"
                    );
                    tokio::task::yield_now().await;
                }
                writer.await
            },
        ),
        case(
            "race/value-and-metadata-belong-together",
            "a reader sees a value with its own metadata and expiry",
        )
        .needs([F::Metadata, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            let base = cx.now() + cx.long();
            let writing = t.clone();
            writing
                .write("k", "0")
                .metadata(Metadata::new().with("n", 0)?)
                .expires_at(base)
                .await?;
            let writer = aside(async move {
                for i in 1..150u64 {
                    let at = base + Duration::from_secs(i);
                    writing
                        .write("k", i.to_string())
                        .metadata(Metadata::new().with("n", i)?)
                        .expires_at(at)
                        .await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            });
            let first = present(&t, "k").await?.expires_at();
            for _ in 0..150 {
                let record = present(&t, "k").await?;
                let n: u64 = text(record.value()).parse().unwrap_or(u64::MAX);
                ensure_eq!(record.metadata().get("n"), Some(&json!(n)), "metadata of value {n}");
                let late = record
                    .expires_at()
                    .zip(first)
                    .and_then(|(at, first)| at.duration_since(first).ok());
                ensure!(
                    late.is_some_and(|late| late.as_secs() <= n),
                    "the expiry of another value than {n}"
                );
                tokio::task::yield_now().await;
            }
            writer.await
        }),
        case(
            "race/last-write-stands",
            "when all writes are done, value and revision are those of one of them",
        )
        .needs([F::Revisions])
        .run(|cx| async move {
            let written = cx
                .together(8, |cx, task| async move {
                    let (t, mut own) = (cx.table()?, Vec::new());
                    for i in 0..25 {
                        let value = format!("{task}-{i}");
                        own.push((t.write("k", value.clone()).await?.revision, value));
                    }
                    Ok(own)
                })
                .await?;
            let record = present(&cx.table()?, "k").await?;
            let found = (record.revision(), text(record.value()));
            let lasts: Vec<_> = written.iter().filter_map(|own| own.last()).collect();
            ensure!(lasts.contains(&&found), "{found:?} is not the last write of any task");
            let all: HashSet<_> = written.iter().flatten().map(|(revision, _)| *revision).collect();
            ensure_eq!(all.len(), 200, "different revisions");
            Ok(())
        }),
        case("race/distinct-keys", "writes of different keys do not lose each other").run(
            |cx| async move {
                cx.together(8, |cx, task| async move {
                    let t = cx.table()?;
                    for i in 0..100 {
                        t.write(&format!("{task}-{i:02}"), "v").await?;
                    }
                    Ok(())
                })
                .await?;
                ensure_eq!(cx.keys(&cx.table()?).await?.len(), 800, "keys");
                Ok(())
            },
        ),
        case("race/locks", "a lock made of create and conditional delete is held by one at a time")
            .needs([F::Create, F::IfRevision])
            .run(|cx| async move {
                let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
                let held = cx
                    .together(6, |cx, task| {
                        let inside = Arc::clone(&inside);
                        async move {
                            let (t, mut held) = (cx.table()?, 0);
                            for _ in 0..40 {
                                let Some(written) =
                                    taken(t.write("lock", format!("{task}")).if_absent().await)?
                                else {
                                    tokio::task::yield_now().await;
                                    continue;
                                };
                                let others =
                                    inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                                ensure_eq!(others, 0, "others inside");
                                tokio::task::yield_now().await;
                                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                                t.delete("lock").if_revision(revision(written)?).await?;
                                held += 1;
                            }
                            Ok(held)
                        }
                    })
                    .await?;
                ensure!(held.iter().sum::<i32>() > 0, "nobody ever held the lock");
                Ok(())
            }),
        case(
            "race/delete-and-increment-of-tables",
            "deleting a table while others write leaves only whole records",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            let writing = t.clone();
            let writer = aside(async move {
                for i in 0..200 {
                    writing.write(&format!("k{:02}", i % 20), format!("{i}")).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            });
            for _ in 0..5 {
                cx.store().delete_table(t.namespace()).await?;
                tokio::task::yield_now().await;
            }
            writer.await?;
            let listed = cx.keys(&t).await?;
            for key in &listed {
                present(&t, key).await?;
            }
            cx.store().delete_table(t.namespace()).await?;
            ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
            Ok(())
        }),
    ]
}

fn winner<T>(result: crate::Result<T>, task: usize) -> Check<Option<usize>> {
    Ok(taken(result)?.map(|_| task))
}

/// What was done, or `None` for those who came too late.
fn taken<T>(result: crate::Result<T>) -> Check<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}
