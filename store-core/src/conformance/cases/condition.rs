//! Conditional writes and deletes: checked and done in one step, or refused without a trace.

use super::prelude::*;

/// A revision that no store gives out.
fn foreign() -> Revision {
    Revision::from_parts(u64::MAX, u64::MAX)
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = create();
    all.extend(by_revision());
    all.extend(by_value());
    all.extend(on_others());
    all
}

fn create() -> Vec<Case> {
    vec![
        case("cas/create", "a create succeeds where there is no record").proves(F::Create).run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").if_absent().await?;
                ensure_value(&t, "k", "v").await?;
                conflict(t.write("k", "w").if_absent().await, "a second create")?;
                ensure_value(&t, "k", "v").await
            },
        ),
        case(
            "cas/create-leaves-the-record",
            "a refused create leaves value, metadata, expiry and revision",
        )
        .needs([F::Create, F::Metadata, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").ttl(cx.long()).metadata(Metadata::new().with("m", 1)?).await?;
            let before = present(&t, "k").await?;
            conflict(t.write("k", "w").if_absent().ttl(cx.ttl()).await, "create")?;
            ensure_eq!(present(&t, "k").await?, before, "the record");
            Ok(())
        }),
        case("cas/create-after-delete", "a create succeeds after a delete").needs([F::Create]).run(
            |cx| async move {
                let t = cx.table()?;
                for _ in 0..5 {
                    t.write("k", "v").if_absent().await?;
                    conflict(t.write("k", "v").if_absent().await, "create over a record")?;
                    t.delete("k").await?;
                }
                Ok(())
            },
        ),
        case("cas/create-over-an-empty-value", "a record with an empty value exists for a create")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "").await?;
                conflict(t.write("k", "v").if_absent().await, "create over an empty value")?;
                ensure_value(&t, "k", "").await
            }),
        case("cas/create-makes-the-database", "a create may be the first write of a database")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table_at("first")?;
                t.write("k", "v").if_absent().await?;
                ensure_value(&t, "k", "v").await
            }),
        case(
            "cas/create-tells-the-revision",
            "a refused create tells the revision that there is, if any",
        )
        .needs([F::Create, F::Revisions])
        .run(|cx| async move {
            let t = cx.table()?;
            let held = revision(t.write("k", "v").await?)?;
            let error = conflict(t.write("k", "w").if_absent().await, "create")?;
            ensure!(
                error.current_revision().is_none_or(|told| told == held),
                "told {:?}, it is {held}",
                error.current_revision()
            );
            Ok(())
        }),
        case("cas/create-elsewhere", "a create looks at its own table only")
            .needs([F::Create, F::Tables])
            .run(|cx| async move {
                cx.named("a")?.write("k", "v").await?;
                cx.named("b")?.write("k", "v").if_absent().await?;
                cx.named("")?.write("k", "v").if_absent().await?;
                Ok(())
            }),
    ]
}

fn by_revision() -> Vec<Case> {
    vec![
        case(
            "cas/revision",
            "a write with the present revision succeeds, with a past one it conflicts",
        )
        .proves(F::IfRevision)
        .needs([F::Revisions])
        .run(|cx| async move {
            let t = cx.table()?;
            // A layout without revisions is asked with a made-up one, which it must refuse.
            let first = t.write("k", "1").await?.revision.unwrap_or_else(foreign);
            let second = revision(t.write("k", "2").if_revision(first).await?)?;
            conflict(t.write("k", "3").if_revision(first).await, "a write with a past revision")?;
            ensure_value(&t, "k", "2").await?;
            t.write("k", "3").if_revision(second).await?;
            ensure_value(&t, "k", "3").await
        }),
        case("cas/revision-read", "the revision of a read is good for a write")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").await?;
                let read = revision_of(&t, "k").await?;
                t.write("k", "2").if_revision(read).await?;
                ensure_value(&t, "k", "2").await
            }),
        case(
            "cas/revision-on-absent",
            "a condition on a revision conflicts where there is no record",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            let error = conflict(
                t.write("k", "v").if_revision(foreign()).await,
                "where there never was a record",
            )?;
            ensure_eq!(error.current_revision(), None, "the revision told");
            let held = revision(t.write("k", "v").await?)?;
            t.delete("k").await?;
            let error = conflict(
                t.write("k", "v").if_revision(held).await,
                "where the record was deleted",
            )?;
            ensure_eq!(error.current_revision(), None, "the revision told");
            ensure_absent(&t, "k").await
        }),
        case(
            "cas/revision-in-a-missing-database",
            "a condition on a revision conflicts in a database that does not exist",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table_at("nowhere")?;
            conflict(t.write("k", "v").if_revision(foreign()).await, "write")?;
            conflict(t.delete("k").if_revision(foreign()).await, "delete")?;
            ensure_absent(&t, "k").await
        }),
        case("cas/revision-foreign", "a revision that this store never gave conflicts")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("k", "v").await?)?;
                let (i, s) = (held.incarnation(), held.sequence());
                let near = [
                    foreign(),
                    Revision::from_parts(0, 0),
                    Revision::from_parts(i.wrapping_add(1), s),
                    Revision::from_parts(i, s.wrapping_add(1)),
                    Revision::from_parts(i, 0),
                ];
                for other in near {
                    conflict(
                        t.write("k", "w").if_revision(other).await,
                        format_args!("revision {other}, not {held}"),
                    )?;
                    conflict(
                        t.delete("k").if_revision(other).await,
                        format_args!("delete at {other}, not {held}"),
                    )?;
                }
                ensure_value(&t, "k", "v").await
            }),
        case("cas/revision-tells-the-present-one", "a conflict tells the present revision, if any")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let old = revision(t.write("k", "1").await?)?;
                let new = revision(t.write("k", "2").await?)?;
                let error = conflict(t.write("k", "3").if_revision(old).await, "a past revision")?;
                ensure!(
                    error.current_revision().is_none_or(|told| told == new),
                    "told {:?}, it is {new}",
                    error.current_revision()
                );
                Ok(())
            }),
        case(
            "cas/revision-delete",
            "a delete with the present revision succeeds, with a past one it conflicts",
        )
        .needs([F::IfRevision])
        .run(|cx| async move {
            let t = cx.table()?;
            let old = revision(t.write("k", "1").await?)?;
            let new = revision(t.write("k", "2").await?)?;
            conflict(t.delete("k").if_revision(old).await, "a delete with a past revision")?;
            ensure_value(&t, "k", "2").await?;
            t.delete("k").if_revision(new).await?;
            ensure_absent(&t, "k").await?;
            conflict(t.delete("k").if_revision(new).await, "a delete of what is gone")?;
            Ok(())
        }),
        case(
            "cas/revision-sets-everything",
            "a conditional write sets value, metadata and expiry as any other",
        )
        .needs([F::IfRevision, F::Metadata, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            let held = revision(
                t.write("k", "1").ttl(cx.long()).metadata(Metadata::new().with("m", 1)?).await?,
            )?;
            t.write("k", "2").if_revision(held).await?;
            let record = present(&t, "k").await?;
            ensure!(
                record.metadata().is_empty() && record.expires_at().is_none(),
                "left over: {record:?}"
            );
            Ok(())
        }),
        case("cas/same-value-again", "writing the same value again makes an older revision stale")
            .needs([F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let old = revision(t.write("k", "v").await?)?;
                t.write("k", "v").await?;
                conflict(
                    t.write("k", "w").if_revision(old).await,
                    "after the same value was written",
                )?;
                ensure_value(&t, "k", "v").await
            }),
    ]
}

fn by_value() -> Vec<Case> {
    vec![
        case("cas/value", "a write with the present value succeeds, with another it conflicts")
            .proves(F::IfValue)
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").await?;
                t.write("k", "2").if_value(&b"1"[..]).await?;
                conflict(
                    t.write("k", "3").if_value(&b"1"[..]).await,
                    "a write over another value",
                )?;
                ensure_value(&t, "k", "2").await
            }),
        case("cas/value-on-absent", "a condition on a value conflicts where there is no record")
            .needs([F::IfValue])
            .run(|cx| async move {
                let t = cx.table()?;
                conflict(
                    t.write("k", "v").if_value(&b""[..]).await,
                    "the empty value, where there never was a record",
                )?;
                conflict(
                    t.delete("k").if_value(&b""[..]).await,
                    "delete where there never was a record",
                )?;
                t.write("k", "v").await?;
                t.delete("k").await?;
                conflict(
                    t.write("k", "w").if_value(&b"v"[..]).await,
                    "the value of a deleted record",
                )?;
                ensure_absent(&t, "k").await
            }),
        case("cas/value-whole", "a value is compared as a whole").needs([F::IfValue]).run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "abc").await?;
                for other in ["ab", "abcd", "", "ABC", "abc\0", " abc", "abd"] {
                    conflict(
                        t.write("k", "x").if_value(other.as_bytes()).await,
                        format_args!("the value {other:?}"),
                    )?;
                }
                ensure_value(&t, "k", "abc").await
            },
        ),
        case("cas/value-empty", "the empty value is one").needs([F::IfValue]).run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "").await?;
                conflict(t.write("k", "x").if_value(&b"x"[..]).await, "another value")?;
                t.write("k", "v").if_value(&b""[..]).await?;
                ensure_value(&t, "k", "v").await
            },
        ),
        case("cas/value-bytes", "values are compared as bytes").needs([F::IfValue]).run(
            |cx| async move {
                let t = cx.table()?;
                let value = [0u8, 0xff, 0x80, b'\n', 0];
                t.write("k", &value[..]).await?;
                conflict(t.write("k", "x").if_value(&value[..4]).await, "all but the last byte")?;
                t.write("k", "x").if_value(&value[..]).await?;
                ensure_value(&t, "k", "x").await
            },
        ),
        case("cas/value-numbers", "values that are equal as numbers but not as bytes differ")
            .needs([F::IfValue])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "10").await?;
                for other in ["10.0", "1e1", "010", "+10", "10 "] {
                    conflict(
                        t.write("k", "x").if_value(other.as_bytes()).await,
                        format_args!("{other:?} for 10"),
                    )?;
                }
                t.write("k", "x").if_value(&b"10"[..]).await?;
                Ok(())
            }),
        case("cas/value-large", "a large value can be a condition, as far as the store takes it")
            .needs([F::IfValue])
            .run(|cx| async move {
                let t = cx.table()?;
                let size = cx.declared().max_value_len.map_or(100_000, |most| most.min(100_000));
                let mut value = vec![b'x'; size];
                t.write("k", &value).await?;
                value[size - 1] = b'y';
                conflict(t.write("k", "new").if_value(&value).await, "differs in the last byte")?;
                value[size - 1] = b'x';
                t.write("k", "new").if_value(&value).await?;
                ensure_value(&t, "k", "new").await
            }),
        case(
            "cas/value-delete",
            "a delete with the present value succeeds, with another it conflicts",
        )
        .needs([F::IfValue])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").await?;
            conflict(t.delete("k").if_value(&b"w"[..]).await, "another value")?;
            ensure_value(&t, "k", "v").await?;
            t.delete("k").if_value(&b"v"[..]).await?;
            ensure_absent(&t, "k").await
        }),
    ]
}

fn on_others() -> Vec<Case> {
    vec![
        case("cas/delete-of-absence", "a delete cannot be conditional on absence").run(
            |cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                invalid(t.delete("k").condition(Condition::Absent).await, "on a record")?;
                invalid(t.delete("none").condition(Condition::Absent).await, "on nothing")?;
                ensure_value(&t, "k", "v").await
            },
        ),
        case("cas/expiry-of-absence", "a change of expiry cannot be conditional on absence")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                invalid(
                    t.set_expiry("k", Expiry::After(cx.long())).condition(Condition::Absent).await,
                    "on a record",
                )?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                Ok(())
            }),
        case(
            "cas/condition-and-bad-expiry",
            "a write whose condition holds and whose expiry is wrong changes nothing",
        )
        .needs([F::Create, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            invalid(
                t.write("k", "v").if_absent().ttl(Duration::ZERO).await,
                "a create with a time to live of zero",
            )?;
            ensure_absent(&t, "k").await?;
            t.write("k", "v").if_absent().await?;
            Ok(())
        }),
        case("cas/update-retries", "`update` sees what others wrote in between")
            .needs([F::KeepExpiry, F::Create, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").await?;
                let mut calls = 0;
                let meddler = t.clone();
                t.update("k", |record| {
                    calls += 1;
                    let seen = record.map(|r| text(r.value())).unwrap_or_default();
                    Change::write(format!("{seen}+"))
                })
                .await?;
                ensure_value(&t, "k", "1+").await?;
                ensure_eq!(calls, 1, "calls without anybody in between");
                meddler.update("k", |_| Change::Remove).await?;
                ensure_absent(&t, "k").await?;
                meddler
                    .update("k", |record| {
                        assert_absent(record);
                        Change::write("new")
                    })
                    .await?;
                ensure_value(&t, "k", "new").await
            }),
        case("cas/update-keeps", "`update` keeps metadata and expiry unless told otherwise")
            .needs([F::IfRevision, F::Metadata, F::Expiry, F::KeepExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").ttl(cx.long()).metadata(Metadata::new().with("m", 1)?).await?;
                let before = present(&t, "k").await?;
                t.update("k", |_| Change::write("2")).await?;
                let after = present(&t, "k").await?;
                ensure_eq!(after.value(), b"2", "value");
                ensure_eq!(
                    (after.metadata(), after.expires_at()),
                    (before.metadata(), before.expires_at()),
                    "metadata and expiry"
                );
                Ok(())
            }),
    ]
}

/// A panic here is a failed case: the closure has no other way to say so.
fn assert_absent(record: Option<&crate::Record>) {
    assert!(record.is_none(), "update was handed a deleted record");
}
