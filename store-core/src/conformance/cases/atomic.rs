//! Atomic batches: all or nothing, with conditions, seen whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    let mut all = done();
    all.extend(refusals());
    all.extend(races());
    all
}

fn done() -> Vec<Case> {
    vec![
        case("atomic/all", "everything in a batch is done").proves(F::AtomicBatch).run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["old", "gone"]).await?;
                t.batch().write("new", "1").write("old", "2").delete("gone").commit().await?;
                ensure_value(&t, "new", "1").await?;
                ensure_value(&t, "old", "2").await?;
                ensure_eq!(cx.keys(&t).await?, ["new", "old"], "keys");
                Ok(())
            },
        ),
        case(
            "atomic/answers-in-order",
            "each write is answered with its revision, checks and deletes with none",
        )
        .needs([F::AtomicBatch, F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("d", "v").await?;
            let done = t
                .batch()
                .check("c", Condition::Absent)
                .write("a", "1")
                .delete("d")
                .write("b", "2")
                .commit()
                .await?;
            ensure_eq!(done.len(), 4, "answers");
            ensure_eq!(
                (done[0].revision, done[2].revision),
                (None, None),
                "revisions of the check and the delete"
            );
            if cx.has(F::Revisions) {
                ensure_eq!(
                    (done[1].revision, done[3].revision),
                    (Some(revision_of(&t, "a").await?), Some(revision_of(&t, "b").await?)),
                    "revisions of the writes"
                );
            }
            Ok(())
        }),
        case("atomic/empty", "an empty batch does nothing").needs([F::AtomicBatch]).run(
            |cx| async move {
                let t = cx.table()?;
                ensure_eq!(t.batch().commit().await?.len(), 0, "answers");
                Ok(())
            },
        ),
        case("atomic/check-only", "a batch may only check")
            .needs([F::AtomicBatch, F::IfValue, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                t.batch()
                    .check("k", Condition::Value(b"v"[..].into()))
                    .check("none", Condition::Absent)
                    .commit()
                    .await?;
                let error = conflict(
                    t.batch().check("k", Condition::Value(b"w"[..].into())).commit().await,
                    "another value",
                )?;
                ensure_eq!(error.key(), Some("k"), "the key of the conflict");
                ensure_value(&t, "k", "v").await
            }),
        case("atomic/check-and-write-one-key", "a key may be checked and written in one batch")
            .needs([F::AtomicBatch, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("k", "1").await?)?;
                t.batch().check("k", Condition::Revision(held)).write("k", "2").commit().await?;
                ensure_value(&t, "k", "2").await?;
                conflict(
                    t.batch().check("k", Condition::Revision(held)).write("k", "3").commit().await,
                    "a past revision",
                )?;
                ensure_value(&t, "k", "2").await
            }),
        case(
            "atomic/conditions-are-about-before",
            "conditions are about the state before the batch, not in the middle of it",
        )
        .needs([F::AtomicBatch, F::Create, F::IfValue])
        .run(|cx| async move {
            let t = cx.table()?;
            t.batch().write("k", "v").check("k", Condition::Absent).commit().await?;
            ensure_value(&t, "k", "v").await?;
            t.batch().delete("k").check("k", Condition::Value(b"v"[..].into())).commit().await?;
            ensure_absent(&t, "k").await
        }),
        case("atomic/delete-and-create", "one record can go as another comes")
            .needs([F::AtomicBatch, F::IfRevision, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("from", "v").await?)?;
                let remove =
                    Remove::new(Key::new("from")?).with_condition(Condition::Revision(held));
                t.batch().op(Op::Remove(remove)).create("to", "v").commit().await?;
                ensure_eq!(cx.keys(&t).await?, ["to"], "keys");
                Ok(())
            }),
        case("atomic/delete-absent", "deleting what is absent is fine in a batch too")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                t.batch().delete("none").write("k", "v").commit().await?;
                ensure_value(&t, "k", "v").await
            }),
        case("atomic/metadata-and-expiry", "a write in a batch sets everything, as any other")
            .needs([F::AtomicBatch, F::Metadata, F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "old").ttl(cx.ttl()).metadata(Metadata::new().with("m", 1)?).await?;
                let put = Put::new(Key::new("new")?, "v")
                    .with_metadata(Metadata::new().with("n", 2)?)
                    .with_expiry(Expiry::After(cx.ttl()));
                t.batch().write("k", "v").op(Op::Put(put)).commit().await?;
                ensure!(present(&t, "k").await?.metadata().is_empty(), "old metadata");
                ensure_eq!(
                    present(&t, "new").await?.metadata().get("n"),
                    Some(&json!(2)),
                    "metadata"
                );
                cx.outlive(cx.ttl()).await;
                ensure_eq!(cx.keys(&t).await?, ["k"], "keys when the time is up");
                Ok(())
            }),
        case("atomic/keep-expiry", "a write in a batch can keep the expiry")
            .needs([F::AtomicBatch, F::Expiry, F::KeepExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "old").ttl(cx.long()).await?;
                let want = present(&t, "k").await?.expires_at();
                let put = Put::new(Key::new("k")?, "v").with_expiry(Expiry::Keep);
                t.batch().op(Op::Put(put)).commit().await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                Ok(())
            }),
        case("atomic/creates-the-database", "a batch may be the first write of a database")
            .needs([F::AtomicBatch, F::Create])
            .run(|cx| async move {
                let t = cx.table_at("first")?;
                t.batch().create("a", "1").create("b", "2").commit().await?;
                ensure_eq!(cx.keys(&t).await?, ["a", "b"], "keys");
                Ok(())
            }),
        case("atomic/in-its-table", "a batch writes into its own table")
            .needs([F::AtomicBatch, F::Tables])
            .run(|cx| async move {
                let (a, b) = (cx.named("a")?, cx.named("b")?);
                fill(&b, &["k"]).await?;
                a.batch().write("k", "of a").delete("x").commit().await?;
                ensure_value(&b, "k", "k").await?;
                ensure_value(&a, "k", "of a").await
            }),
        case("atomic/large-values", "a batch takes values that are not small")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(50_000, |most| most.min(50_000));
                let values: Vec<_> = (0..4u8).map(|i| vec![i; size]).collect();
                let keys: Vec<_> = (0..4).map(|i| format!("k{i}")).collect();
                let mut batch = t.batch();
                for (key, value) in keys.iter().zip(&values) {
                    batch = batch.write(key, value);
                }
                batch.commit().await?;
                for (key, value) in keys.iter().zip(&values) {
                    ensure!(present(&t, key).await?.value() == value, "{key} came back changed");
                }
                Ok(())
            }),
        case("atomic/odd-keys", "a batch takes the same keys as a write")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                let keys: Vec<_> = ["a.b", "*", " ", "é", "\0", "a/b", ">"]
                    .into_iter()
                    .filter(|k| cx.target().accepts_key(k))
                    .collect();
                let mut batch = t.batch();
                for key in &keys {
                    batch = batch.write(*key, *key);
                }
                batch.commit().await?;
                for key in &keys {
                    ensure_value(&t, key, key).await?;
                }
                Ok(())
            }),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        case("atomic/nothing", "if one condition fails nothing is done, wherever it stands")
            .needs([F::AtomicBatch, F::Create])
            .run(|cx| async move {
                for place in 0..3 {
                    let t = cx.table()?;
                    fill(&t, &["taken", "stays"]).await?;
                    let mut batch = t.batch();
                    for i in 0..3 {
                        batch = if i == place {
                            batch.create("taken", "new")
                        } else {
                            batch.write(["x", "y", "z"][i], "new")
                        };
                    }
                    conflict(
                        batch.delete("stays").commit().await,
                        format_args!("the condition at {place}"),
                    )?;
                    ensure_eq!(
                        cx.keys(&t).await?,
                        ["stays", "taken"],
                        "keys, the condition at {place}"
                    );
                    ensure_value(&t, "taken", "taken").await?;
                }
                Ok(())
            }),
        case(
            "atomic/names-the-first-failure",
            "the conflict names the first key whose condition failed",
        )
        .needs([F::AtomicBatch, F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["b", "c"]).await?;
            let error = conflict(
                t.batch().create("a", "v").create("c", "v").create("b", "v").commit().await,
                "two conditions fail",
            )?;
            ensure_eq!(error.key(), Some("c"), "the key of the conflict");
            Ok(())
        }),
        case(
            "atomic/stale-revision",
            "a stale revision in a batch leaves everything, also what came before it",
        )
        .needs([F::AtomicBatch, F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            let x = revision(t.write("x", "x0").await?)?;
            let y = revision(t.write("y", "y0").await?)?;
            t.write("y", "y1").await?;
            let put = |key: &'static str, revision| {
                Ok::<_, Failure>(Op::Put(
                    Put::new(Key::new(key)?, "lost").with_condition(Condition::Revision(revision)),
                ))
            };
            let error = conflict(
                t.batch().op(put("x", x)?).op(put("y", y)?).commit().await,
                "one of two is stale",
            )?;
            ensure_eq!(error.key(), Some("y"), "the key of the conflict");
            ensure_value(&t, "x", "x0").await?;
            ensure_value(&t, "y", "y1").await?;
            ensure_eq!(revision_of(&t, "x").await?, x, "revision of the other");
            Ok(())
        }),
        case("atomic/key-twice", "a key that is changed twice is an error, and nothing is done")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "old").await?;
                invalid(
                    t.batch().write("a", "1").write("k", "1").write("k", "2").commit().await,
                    "two writes",
                )?;
                invalid(
                    t.batch().write("a", "1").write("k", "1").delete("k").commit().await,
                    "a write and a delete",
                )?;
                invalid(
                    t.batch().write("a", "1").delete("k").delete("k").commit().await,
                    "two deletes",
                )?;
                ensure_value(&t, "k", "old").await?;
                ensure_absent(&t, "a").await
            }),
        case("atomic/invalid-key", "an invalid key is an error, and nothing is done")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                invalid(t.batch().write("a", "1").write("", "2").commit().await, "an empty key")?;
                refused(
                    t.batch().write("a", "1").delete(&"x".repeat(2000)).commit().await,
                    ErrorKind::TooLarge,
                    "a long key",
                )?;
                ensure_absent(&t, "a").await
            }),
        case("atomic/bad-expiry", "a wrong expiry anywhere is an error, and nothing is done")
            .needs([F::AtomicBatch, F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                let put = Put::new(Key::new("b")?, "v").with_expiry(Expiry::After(Duration::ZERO));
                invalid(
                    t.batch().write("a", "1").op(Op::Put(put)).write("c", "1").commit().await,
                    "a time to live of zero",
                )?;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                Ok(())
            }),
        case("atomic/delete-of-absence", "a delete in a batch cannot be conditional on absence")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                let t = cx.table()?;
                let remove = Remove::new(Key::new("k")?).with_condition(Condition::Absent);
                invalid(
                    t.batch().write("a", "1").op(Op::Remove(remove)).commit().await,
                    "a delete of absence",
                )?;
                ensure_absent(&t, "a").await
            }),
        case(
            "atomic/largest",
            "a batch may have as many operations as the store says, and no more",
        )
        .needs([F::AtomicBatch])
        .run(|cx| async move {
            let t = cx.table()?;
            let most = cx.declared().max_atomic.unwrap_or(2000);
            let keys: Vec<_> = (0..=most).map(|i| format!("k{i:05}")).collect();
            let mut whole = t.batch();
            for key in &keys[..most] {
                whole = whole.write(key, "v");
            }
            ensure_eq!(whole.commit().await?.len(), most, "answers");
            ensure_eq!(cx.keys(&t).await?.len(), most, "keys");
            if cx.declared().max_atomic.is_some() {
                let mut more = t.batch();
                for key in &keys {
                    more = more.write(key, "w");
                }
                refused(more.commit().await, ErrorKind::TooLarge, "one operation more")?;
                ensure_value(&t, &keys[0], "v").await?;
            }
            Ok(())
        }),
    ]
}

fn races() -> Vec<Case> {
    vec![
        case("atomic/never-half-seen", "no reader sees one half of a batch without the other")
            .needs([F::AtomicBatch])
            .run(|cx| async move {
                const PAIRS: usize = 200;
                let t = cx.table()?;
                t.batch().write("a", "00000").write("b", "00000").commit().await?;
                // Each goes on until the other has done enough: neither is over before the other begins.
                let (seen, is_done) =
                    (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
                let (seen_by, done) = (Arc::clone(&seen), Arc::clone(&is_done));
                let writing = t.clone();
                let writer = aside(async move {
                    let mut result = Ok(());
                    for i in 1..100 * PAIRS {
                        if i > PAIRS && seen_by.load(Ordering::Relaxed) > PAIRS {
                            break;
                        }
                        let value = format!("{i:05}");
                        let batch = writing.batch().write("a", &value).write("b", &value);
                        result = batch.commit().await.map(|_| ());
                        if result.is_err() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    done.store(true, Ordering::Relaxed);
                    Ok(result?)
                });
                let read =
                    async |key: &str| Ok::<_, Failure>(text(present(&t, key).await?.value()));
                while !is_done.load(Ordering::Relaxed) {
                    // What is read second is at least as new, if both halves come at once.
                    let swaps = seen.fetch_add(1, Ordering::Relaxed) % 2 == 0;
                    let (first, second) = if swaps { ("b", "a") } else { ("a", "b") };
                    let (old, new) = (read(first).await?, read(second).await?);
                    ensure!(new >= old, "{first} was {old} and then {second} was {new}");
                    tokio::task::yield_now().await;
                }
                writer.await
            }),
        case("atomic/transfers", "money that is moved by batches is neither made nor lost")
            .needs([F::AtomicBatch, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let accounts = ["a", "b", "c", "d"];
                for account in accounts {
                    t.write(account, "100").await?;
                }
                cx.together(6, |cx, task| async move {
                    let t = cx.table()?;
                    for i in 0..20 {
                        let (from, to) = (
                            ["a", "b", "c", "d"][(task + i) % 4],
                            ["a", "b", "c", "d"][(task + i + 1 + i % 3) % 4],
                        );
                        transfer(&t, from, to).await?;
                    }
                    Ok(())
                })
                .await?;
                let mut sum = 0;
                for account in accounts {
                    sum += number(&present(&t, account).await?)?;
                }
                ensure_eq!(sum, 400, "all the money");
                Ok(())
            }),
        case(
            "atomic/checked-state-holds",
            "two batches that each check what the other writes do not both succeed",
        )
        .needs([F::AtomicBatch, F::Create])
        .run(|cx| async move {
            for round in 0..20 {
                let names = [format!("x{round}"), format!("y{round}")];
                let won = cx
                    .together(2, |cx, task| {
                        let (mine, theirs) = (names[task].clone(), names[1 - task].clone());
                        async move {
                            let t = cx.table()?;
                            match t
                                .batch()
                                .check(&theirs, Condition::Absent)
                                .write(&mine, "v")
                                .commit()
                                .await
                            {
                                Ok(_) => Ok(1),
                                Err(error) if error.kind() == ErrorKind::Conflict => Ok(0),
                                Err(error) => Err(error.into()),
                            }
                        }
                    })
                    .await?;
                ensure_eq!(won.iter().sum::<i32>(), 1, "winners of round {round}");
            }
            Ok(())
        }),
        case("atomic/one-winner", "of many batches that create the same keys one wins, whole")
            .needs([F::AtomicBatch, F::Create])
            .run(|cx| async move {
                let won = cx
                    .together(12, |cx, task| async move {
                        let (t, value) = (cx.table()?, format!("{task}"));
                        // In different orders, so that locks taken one by one would meet.
                        let keys = if task % 2 == 0 { ["a", "b", "c"] } else { ["c", "b", "a"] };
                        let mut batch = t.batch();
                        for key in keys {
                            batch = batch.create(key, &value);
                        }
                        match batch.commit().await {
                            Ok(_) => Ok(Some(value)),
                            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
                            Err(error) => Err(error.into()),
                        }
                    })
                    .await?;
                let winners: Vec<_> = won.into_iter().flatten().collect();
                ensure_eq!(winners.len(), 1, "winners");
                for key in ["a", "b", "c"] {
                    ensure_value(&cx.table()?, key, &winners[0]).await?;
                }
                Ok(())
            }),
    ]
}

fn number(record: &crate::Record) -> Check<i64> {
    text(record.value())
        .parse()
        .map_err(|_| Failure::new(format!("{:?} holds no number", record.key())))
}

/// Moves one from one account to another, as often as others come in between.
async fn transfer(t: &Table, from: &'static str, to: &'static str) -> Check {
    if from == to {
        return Ok(());
    }
    for _ in 0..10_000 {
        let (source, target) = (present(t, from).await?, present(t, to).await?);
        let put = |record: &crate::Record, key, sum: i64| {
            let held =
                record.revision().ok_or_else(|| Failure::new("a record without a revision"))?;
            Ok::<_, Failure>(Op::Put(
                Put::new(Key::new(key)?, sum.to_string()).with_condition(Condition::Revision(held)),
            ))
        };
        let batch = t.batch().op(put(&source, from, number(&source)? - 1)?).op(put(
            &target,
            to,
            number(&target)? + 1,
        )?);
        match batch.commit().await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new("a transfer lost ten thousand races"))
}
