//! An expired record is absent everywhere at once, whether or not anything has cleaned it up.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        on("expired/read", "an expired record is absent for reads", [], |_, t| {
            Box::pin(async move {
                ensure_absent(&t, "k").await?;
                ensure!(!t.exists("k").await?, "exists");
                ensure!(
                    t.read("k").consistency(Consistency::Eventual).await?.is_none(),
                    "an eventual read finds it"
                );
                Ok(())
            })
        }),
        on(
            "expired/read-strong",
            "an expired record is absent for strong reads",
            [F::StrongRead],
            |_, t| {
                Box::pin(async move {
                    ensure!(t.read("k").strong().await?.is_none(), "a strong read finds it");
                    Ok(())
                })
            },
        ),
        on("expired/read-many", "an expired record is a hole in read_many", [], |_, t| {
            Box::pin(async move {
                t.write("live", "v").await?;
                let many = t.read_many(&["live", "k", "live"]).await;
                let there = many
                    .into_iter()
                    .map(|one| Ok(one?.is_some()))
                    .collect::<crate::Result<Vec<_>>>()?;
                ensure_eq!(there, [true, false, true], "which records are there");
                Ok(())
            })
        }),
        on("expired/list", "an expired record is not listed", [], |cx, t| {
            Box::pin(async move {
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                ensure_eq!(
                    cx.list(&t).prefix("k").await?,
                    Vec::<String>::new(),
                    "keys with the prefix"
                );
                Ok(())
            })
        }),
        on("expired/scan", "an expired record is not scanned", [], |cx, t| {
            Box::pin(async move {
                ensure_eq!(cx.scan(&t).await?.len(), 0, "records");
                Ok(())
            })
        }),
        on(
            "expired/offset-and-limit",
            "expired records do not count for offset and limit",
            [],
            |cx, t| {
                Box::pin(async move {
                    fill(&t, &["a", "b", "z"]).await?;
                    ensure_eq!(
                        cx.list(&t).offset(1).limit(2).await?.len(),
                        2,
                        "keys from the second on"
                    );
                    ensure_eq!(cx.list(&t).offset(2).await?.len(), 1, "keys from the third on");
                    Ok(())
                })
            },
        ),
        on(
            "expired/scan-u64",
            "an expired record is not in the numeric scan",
            [F::ScanU64],
            |_, t| {
                Box::pin(async move {
                    let (mut cursor, mut seen) = (0, Vec::new());
                    loop {
                        let page = t.scan_u64(cursor, 100).await?;
                        seen.extend(page.keys);
                        match page.next {
                            Some(next) => cursor = next,
                            None => break,
                        }
                    }
                    ensure_eq!(seen, Vec::<String>::new(), "keys");
                    Ok(())
                })
            },
        ),
        on(
            "expired/create",
            "an expired record does not stand in the way of a create",
            [F::Create],
            |_, t| {
                Box::pin(async move {
                    t.write("k", "new").if_absent().await?;
                    ensure_value(&t, "k", "new").await?;
                    ensure_eq!(
                        present(&t, "k").await?.expires_at(),
                        None,
                        "expiry of the new record"
                    );
                    Ok(())
                })
            },
        ),
        case("expired/revision", "the revision of an expired record conflicts")
            .needs([F::Expiry, F::IfRevision])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("k", "v").ttl(cx.ttl()).await?)?;
                cx.outlive(cx.ttl()).await;
                let error = conflict(t.write("k", "w").if_revision(held).await, "write")?;
                ensure_eq!(error.current_revision(), None, "the revision told");
                conflict(t.delete("k").if_revision(held).await, "delete")?;
                ensure_absent(&t, "k").await
            }),
        on("expired/value", "the value of an expired record conflicts", [F::IfValue], |_, t| {
            Box::pin(async move {
                conflict(t.write("k", "w").if_value(&b"1"[..]).await, "write")?;
                conflict(t.delete("k").if_value(&b"1"[..]).await, "delete")?;
                ensure_absent(&t, "k").await
            })
        }),
        on("expired/delete", "deleting an expired record deletes nothing", [], |_, t| {
            Box::pin(async move {
                let deleted = t.delete("k").await?;
                ensure!(deleted.existed != Some(true), "it is said to have existed");
                ensure_absent(&t, "k").await
            })
        }),
        on(
            "expired/set-expiry",
            "an expired record cannot be brought back by a new expiry",
            [F::SetExpiry],
            |cx, t| {
                Box::pin(async move {
                    ensure_eq!(
                        t.set_expiry("k", Expiry::Never).await?,
                        None,
                        "set_expiry to never"
                    );
                    ensure_eq!(
                        t.set_expiry("k", Expiry::After(cx.long())).await?,
                        None,
                        "set_expiry to later"
                    );
                    ensure_absent(&t, "k").await
                })
            },
        ),
        on(
            "expired/increment",
            "an expired counter counts from zero again",
            [F::Increment],
            |_, t| {
                Box::pin(async move {
                    ensure_eq!(t.increment("k", 5).await?.value, 5, "the sum");
                    ensure_value(&t, "k", "5").await?;
                    ensure_eq!(
                        present(&t, "k").await?.expires_at(),
                        None,
                        "expiry of the new counter"
                    );
                    Ok(())
                })
            },
        ),
        on(
            "expired/keep",
            "keeping the expiry of an expired record keeps none",
            [F::KeepExpiry],
            |_, t| {
                Box::pin(async move {
                    t.write("k", "w").expiry(Expiry::Keep).await?;
                    ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                    Ok(())
                })
            },
        ),
        on(
            "expired/atomic-absent",
            "an expired record is absent for an atomic batch",
            [F::AtomicBatch, F::Create],
            |_, t| {
                Box::pin(async move {
                    t.batch().check("k", Condition::Absent).write("a", "1").commit().await?;
                    t.batch().create("k", "new").commit().await?;
                    ensure_value(&t, "k", "new").await
                })
            },
        ),
        case("expired/atomic-revision", "the revision of an expired record fails an atomic batch")
            .needs([F::Expiry, F::AtomicBatch, F::IfRevision])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("k", "v").ttl(cx.ttl()).await?)?;
                cx.outlive(cx.ttl()).await;
                let error = conflict(
                    t.batch().write("a", "1").check("k", Condition::Revision(held)).commit().await,
                    "batch",
                )?;
                ensure_eq!(error.key(), Some("k"), "the key of the conflict");
                ensure_absent(&t, "a").await
            }),
        on(
            "expired/metadata-is-gone",
            "a record written where another has expired has nothing of it",
            [F::Metadata],
            |_, t| {
                Box::pin(async move {
                    t.write("k", "new").await?;
                    ensure!(present(&t, "k").await?.metadata().is_empty(), "old metadata");
                    Ok(())
                })
            },
        ),
        on(
            "expired/tables",
            "a table whose records have all expired is not listed",
            [F::Tables],
            |cx, _| {
                Box::pin(async move {
                    ensure_eq!(
                        cx.admin().tables(cx.name("main")?).await?,
                        Vec::<String>::new(),
                        "tables"
                    );
                    Ok(())
                })
            },
        ),
        on(
            "expired/count",
            "a driver that counts records counts live ones",
            [F::Databases],
            |cx, t| {
                Box::pin(async move {
                    fill(&t, &["a", "b"]).await?;
                    let records = cx.admin().status(cx.name("main")?).await?.records;
                    ensure!(records.is_none_or(|n| n == 2), "{records:?} records, of which 2 live");
                    Ok(())
                })
            },
        ),
        on(
            "expired/snapshot",
            "an expired record is not in a watch's snapshot",
            [F::Watch],
            |cx, t| {
                Box::pin(async move {
                    t.write("live", "v").await?;
                    let snapshot = cx.watch(&t).await?.snapshot().await?;
                    let keys: Vec<_> = snapshot.iter().map(crate::Record::key).collect();
                    ensure_eq!(keys, ["live"], "keys of the snapshot");
                    Ok(())
                })
            },
        ),
        on(
            "expired/update",
            "`update` is handed nothing where a record has expired",
            [F::Create, F::IfRevision, F::KeepExpiry],
            |_, t| {
                Box::pin(async move {
                    let mut found = false;
                    t.update("k", |record| {
                        found = record.is_some();
                        Change::write("new")
                    })
                    .await?;
                    ensure!(!found, "it was handed the expired record");
                    ensure_value(&t, "k", "new").await
                })
            },
        ),
        on("expired/history", "an expired record has no present version", [F::History], |_, t| {
            Box::pin(async move {
                let versions = t.history("k").await?;
                let present = t.read("k").await?;
                ensure!(
                    present.is_none(),
                    "the present version is read; history has {} versions",
                    versions.len()
                );
                Ok(())
            })
        }),
    ]
}

type Then = for<'a> fn(&'a Cx, Table) -> futures_util::future::BoxFuture<'a, Check>;

/// What holds for the record `k` that was `1` and has expired.
fn on<const N: usize>(id: &'static str, title: &'static str, needs: [F; N], then: Then) -> Case {
    case(id, title).needs([F::Expiry]).needs(needs).waits().run(move |cx| async move {
        let t = cx.table()?;
        let mut write = t.write("k", "1").ttl(cx.ttl());
        if cx.has(F::Metadata) {
            write = write.metadata(Metadata::new().with("m", 1)?);
        }
        write.await?;
        ensure_value(&t, "k", "1").await?;
        cx.outlive(cx.ttl()).await;
        then(&cx, t).await
    })
}
