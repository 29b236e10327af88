//! Several store objects on the same data: restarts, other processes.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "shared/second-store-sees",
            "a second store sees what the first wrote, and the first what the second wrote",
        )
        .proves(F::Shared)
        .run(|cx| async move {
            let (one, two) = (cx.table()?, cx.second_table().await?);
            one.write("k", "1").await?;
            sees(&cx, &two, "k", Some("1")).await?;
            two.write("k", "2").await?;
            sees(&cx, &one, "k", Some("2")).await?;
            two.delete("k").await?;
            sees(&cx, &one, "k", None).await
        }),
        case("shared/restart", "records outlive the store object that wrote them, whole")
            .needs([F::Shared])
            .run(|cx| async move {
                let one = cx.table()?;
                let mut write = one.write("k", "v");
                if cx.has(F::Metadata) {
                    write = write.metadata(Metadata::new().with("m", 1)?);
                }
                if cx.has(F::Expiry) {
                    write = write.ttl(cx.long());
                }
                write.await?;
                let before = present(&one, "k").await?;
                let two = cx.second_table().await?;
                cx.store().close().await?;
                sees(&cx, &two, "k", Some("v")).await?;
                ensure_eq!(present(&two, "k").await?, before, "the record");
                ensure_eq!(cx.keys(&two).await?, ["k"], "keys");
                Ok(())
            }),
        case("shared/close-closes-one", "to close one store leaves the other open")
            .needs([F::Shared])
            .run(|cx| async move {
                let two = cx.second_table().await?;
                cx.table()?.write("k", "v").await?;
                cx.store().close().await?;
                two.write("k2", "v").await?;
                ensure_value(&two, "k2", "v").await
            }),
        case("shared/strong-read", "a strong read sees what another store wrote just now")
            .needs([F::Shared, F::StrongRead])
            .run(|cx| async move {
                let (one, two) = (cx.table()?, cx.second_table().await?);
                for i in 0..50 {
                    let value = format!("{i}");
                    one.write("k", value.clone()).await?;
                    let seen = two.read("k").strong().await?.map(|r| text(r.value()));
                    ensure_eq!(seen, Some(value), "the strong read");
                }
                Ok(())
            }),
        case("shared/cursor", "a cursor is good in another store object")
            .needs([F::Shared, F::ByteOrder])
            .run(|cx| async move {
                let one = cx.table()?;
                let keys: Vec<_> = (0..20).map(|i| format!("k{i:02}")).collect();
                fill(&one, &keys).await?;
                let Some(next) = one.list().page_size(8).page().await?.next else {
                    return Err(Failure::new("no cursor"));
                };
                let two = cx.second_table().await?;
                cx.store().close().await?;
                let rest = two.list().cursor(next.to_string().parse()?).await?;
                ensure_eq!(rest, keys[8..].to_vec(), "the rest");
                Ok(())
            }),
        case("shared/u64-cursor", "a numeric cursor is good in another store object")
            .needs([F::Shared, F::ScanU64])
            .run(|cx| async move {
                let one = cx.table()?;
                let keys: BTreeSet<_> = (0..30).map(|i| format!("k{i:02}")).collect();
                fill(&one, &keys.iter().collect::<Vec<_>>()).await?;
                let first = one.scan_u64(0, 5).await?;
                let mut seen: BTreeSet<_> = first.keys.into_iter().collect();
                let (two, mut cursor) = (cx.second_table().await?, first.next);
                while let Some(at) = cursor {
                    let page = two.scan_u64(at, 5).await?;
                    seen.extend(page.keys);
                    cursor = page.next;
                }
                ensure_eq!(seen, keys, "keys");
                Ok(())
            }),
        case("shared/revisions", "a revision means the same in another store object")
            .needs([F::Shared, F::IfRevision])
            .run(|cx| async move {
                let (one, two) = (cx.table()?, cx.second_table().await?);
                let first = revision(one.write("k", "1").await?)?;
                let second = revision(two.write("k", "2").if_revision(first).await?)?;
                conflict(one.write("k", "lost").if_revision(first).await, "the revision before")?;
                one.delete("k").if_revision(second).await?;
                let third = revision(two.write("k", "3").await?)?;
                ensure!(third != first && third != second, "a revision came back");
                conflict(
                    one.write("k", "lost").if_revision(second).await,
                    "a revision from before the delete",
                )?;
                Ok(())
            }),
        case("shared/counter-total", "increments through two stores add up")
            .needs([F::Shared, F::Increment])
            .run(|cx| async move {
                let second = cx.second_table().await?;
                cx.together(6, |cx, task| {
                    let second = second.clone();
                    async move {
                        let t = if task % 2 == 0 { cx.table()? } else { second };
                        for _ in 0..40 {
                            t.increment("k", 1).await?;
                        }
                        Ok(())
                    }
                })
                .await?;
                ensure_eq!(second.increment("k", 0).await?.value, 240, "the sum");
                Ok(())
            }),
        case("shared/update-total", "`update` through two stores loses nothing")
            .needs([F::KeepExpiry, F::Shared, F::IfRevision, F::Create])
            .run(|cx| async move {
                let second = cx.second_table().await?;
                cx.together(4, |cx, task| {
                    let second = second.clone();
                    async move {
                        let t = if task % 2 == 0 { cx.table()? } else { second };
                        for _ in 0..20 {
                            t.update("k", |r| {
                                Change::write(
                                    (r.map(|r| text(r.value()))
                                        .unwrap_or_default()
                                        .parse::<u64>()
                                        .unwrap_or_default()
                                        + 1)
                                    .to_string(),
                                )
                            })
                            .await?;
                        }
                        Ok(())
                    }
                })
                .await?;
                sees(&cx, &second, "k", Some("80")).await
            }),
        case("shared/watch", "a watch sees what another store writes, deletes and lets expire")
            .needs([F::Shared, F::Watch])
            .run(|cx| async move {
                let (one, two) = (cx.table()?, cx.second_table().await?);
                let mut watch = cx.watch(&one).await?;
                watch.snapshot().await?;
                for i in 0..20 {
                    two.write("k", format!("{i}")).await?;
                    watch.expect_put("k", &format!("{i}")).await?;
                }
                two.delete("k").await?;
                watch.expect_gone("k", Gone::Deleted).await?;
                Ok(())
            }),
        case("shared/resume", "a watch is resumed in another store object")
            .needs([F::Shared, F::WatchResume])
            .run(|cx| async move {
                let one = cx.table()?;
                let at = revision(one.write("a", "1").await?)?;
                one.write("b", "2").await?;
                let two = cx.second_table().await?;
                cx.store().close().await?;
                let mut watch = cx.follow(two.watch().after(at).await?);
                watch.expect_put("b", "2").await?;
                two.write("c", "3").await?;
                watch.expect_put("c", "3").await?;
                Ok(())
            }),
        case("shared/expiry", "a record expires for every store object at its time")
            .needs([F::Shared, F::Expiry])
            .waits()
            .run(|cx| async move {
                let (one, two) = (cx.table()?, cx.second_table().await?);
                one.write("k", "v").ttl(cx.ttl()).await?;
                sees(&cx, &two, "k", Some("v")).await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&two, "k").await?;
                ensure_absent(&one, "k").await
            }),
        case(
            "shared/database-deleted-elsewhere",
            "a database that another store destroyed and made again can be used",
        )
        .needs([F::Shared, F::Databases])
        .run(|cx| async move {
            let one = cx.table()?;
            one.write("k", "old").await?;
            let second = cx.second().await?;
            second.delete_database(&cx.name("main")?).await?;
            sees(&cx, &one, "k", None).await?;
            one.write("k", "new").await?;
            ensure_value(&one, "k", "new").await
        }),
        case(
            "shared/configuration-changed-elsewhere",
            "a default expiry that another store set counts here before long",
        )
        .needs([F::Shared, F::DefaultExpiry])
        .run(|cx| async move {
            let (one, name) = (cx.table()?, cx.name("main")?);
            one.write("k", "v").await?;
            cx.second()
                .await?
                .update_database(&name, &DatabaseConfig::new().with_default_ttl(cx.long()))
                .await?;
            cx.eventually("the new default counts", || async {
                one.write("k", "v").await?;
                Ok(present(&one, "k").await?.expires_at().is_some())
            })
            .await
        }),
        case("shared/one-create-wins", "of creates through two stores one wins")
            .needs([F::Shared, F::Create])
            .run(|cx| async move {
                let second = cx.second_table().await?;
                for round in 0..10 {
                    let won = cx
                        .together(6, |cx, task| {
                            let second = second.clone();
                            async move {
                                let t = if task % 2 == 0 { cx.table()? } else { second };
                                match t.write(&format!("k{round}"), "v").if_absent().await {
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
    ]
}

/// Another store sees this: at once where it can be asked to, else before long.
async fn sees(cx: &Cx, t: &Table, key: &str, want: Option<&str>) -> Check {
    let want = want.map(str::to_owned);
    if cx.has(F::StrongRead) {
        let seen = t.read(key).strong().await?.map(|r| text(r.value()));
        ensure_eq!(seen, want, "{key:?} in a strong read");
        return Ok(());
    }
    cx.eventually("the other store sees it", || async {
        Ok(t.read(key).await?.map(|r| text(r.value())) == want)
    })
    .await
}
