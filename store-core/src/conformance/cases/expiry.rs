//! When records expire: exactly as the write said, never early, late by no more than declared.

use super::prelude::*;
use crate::Timestamp;

pub(super) fn cases() -> Vec<Case> {
    let mut all = kept();
    all.extend(replaced());
    all.extend(refusals());
    all
}

fn kept() -> Vec<Case> {
    vec![
        case(
            "expiry/after-a-duration-it-is-gone",
            "a record is there until its time to live has passed, and then gone",
        )
        .proves(F::Expiry)
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").ttl(cx.ttl()).await?;
            ensure_value(&t, "k", "v").await?;
            cx.outlive(cx.ttl()).await;
            ensure_absent(&t, "k").await
        }),
        case(
            "expiry/at-an-instant-it-is-gone",
            "a record with an absolute expiry is there until then, and then gone",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            let at = cx.now() + cx.ttl();
            t.write("k", "v").expires_at(at).await?;
            ensure_value(&t, "k", "v").await?;
            cx.outlive(cx.ttl()).await;
            ensure_absent(&t, "k").await
        }),
        case("expiry/never-early-never-late", "the record disappears at its instant")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let (ttl, step) = (cx.ttl(), cx.ttl() / 20);
                let before = cx.now();
                t.write("k", "v").ttl(ttl).await?;
                let after = cx.now();
                let tick =
                    if cx.is_movable() { Duration::from_millis(2) } else { cx.target().tick() };
                let latest = after + ttl + cx.declared().expiry_lateness + tick;
                loop {
                    let asked = cx.now();
                    let there = t.exists("k").await?;
                    // Two milliseconds for the rounding of clocks.
                    ensure!(
                        there || cx.now() + Duration::from_millis(2) >= before + ttl,
                        "gone {:?} early",
                        (before + ttl).duration_since(cx.now())
                    );
                    ensure!(
                        !there || asked <= latest,
                        "still there, late by {:?} more than declared",
                        asked.duration_since(latest)
                    );
                    if !there {
                        return Ok(());
                    }
                    cx.advance(step).await;
                }
            }),
        case(
            "expiry/to-the-millisecond",
            "a clock that is moved by a millisecond expires to the millisecond",
        )
        .needs([F::Expiry])
        .run(|cx| async move {
            if !cx.is_movable() || cx.declared().min_ttl.is_some() {
                return Err(Failure::NotApplicable(
                    "time is real, or short times to live are refused",
                ));
            }
            let (t, ms) = (cx.table()?, Duration::from_millis(1));
            for n in [1, 2, 999, 1000, 1001] {
                t.write("k", "v").ttl(ms * n).await?;
                cx.advance(ms * (n - 1)).await;
                ensure!(t.exists("k").await?, "{n} ms: gone after {} ms", n - 1);
                cx.advance(ms).await;
                ensure!(!t.exists("k").await?, "{n} ms: still there after {n} ms");
            }
            Ok(())
        }),
        case("expiry/sub-second", "times to live below a second are not rounded to one")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                let ttl = cx.lives(Duration::from_millis(300)).min(Duration::from_millis(900));
                if cx.declared().min_ttl.is_some_and(|least| least > ttl) {
                    return Err(Failure::NotApplicable(
                        "the driver declares that it refuses times to live below a second",
                    ));
                }
                t.write("k", "v").ttl(ttl).await?;
                let left = present(&t, "k").await?.expires_at();
                let left = left.and_then(|at| at.duration_since(cx.now()).ok()).unwrap_or_default();
                ensure!(left <= ttl + Duration::from_millis(2), "{left:?} left of {ttl:?}");
                cx.outlive(ttl).await;
                ensure_absent(&t, "k").await
            }),
        case(
            "expiry/one-nanosecond",
            "the shortest time to live is rounded up, not down to nothing",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            let least = cx.declared().min_ttl.unwrap_or(Duration::from_nanos(1));
            t.write("k", "v").ttl(least).await?;
            cx.outlive(least + Duration::from_millis(1)).await;
            ensure_absent(&t, "k").await
        }),
        case("expiry/below-the-shortest", "a time to live below the declared shortest is refused")
            .needs([F::Expiry])
            .run(|cx| async move {
                let Some(least) = cx.declared().min_ttl else {
                    return Err(Failure::NotApplicable(
                        "the driver declares no shortest time to live",
                    ));
                };
                let t = cx.table()?;
                let Err(error) =
                    t.write("k", "v").ttl(least.saturating_sub(Duration::from_millis(1))).await
                else {
                    return Err(Failure::new("it was accepted"));
                };
                ensure!(
                    matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::Unsupported),
                    "{error}"
                );
                ensure_absent(&t, "k").await
            }),
        case("expiry/duration-is-readable", "the instant of a time to live can be read back")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                let before = cx.now();
                t.write("k", "v").ttl(cx.long()).await?;
                let after = cx.now();
                let Some(at) = present(&t, "k").await?.expires_at() else {
                    return Err(Failure::new("the record has no expiry"));
                };
                // The server's clock may differ from ours by a little.
                let slack =
                    if cx.is_movable() { Duration::from_millis(1) } else { Duration::from_secs(5) };
                ensure!(
                    at + slack >= before + cx.long() && at <= after + cx.long() + slack,
                    "expires at {at:?}, written at {before:?} for {:?}",
                    cx.long()
                );
                Ok(())
            }),
        case("expiry/instant-is-readable", "an absolute expiry is read back to the millisecond")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                for odd in [
                    Duration::ZERO,
                    Duration::from_millis(1),
                    Duration::from_micros(1_500),
                    Duration::from_nanos(999_999_999),
                ] {
                    let at = cx.now() + cx.long() + odd;
                    t.write("k", "v").expires_at(at).await?;
                    let want = Timestamp::from_system(at).map(Timestamp::to_system);
                    ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                }
                Ok(())
            }),
        case("expiry/same-in-every-view", "read, read_many and scan tell the same expiry")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.long()).await?;
                let want = present(&t, "k").await?.expires_at();
                ensure!(want.is_some(), "read tells none");
                ensure_eq!(
                    t.read_many(&["k"]).await.remove(0)?.and_then(|r| r.expires_at()),
                    want,
                    "read_many"
                );
                ensure_eq!(
                    cx.scan(&t).await?.first().and_then(crate::Record::expires_at),
                    want,
                    "scan"
                );
                Ok(())
            }),
        case("expiry/far-future", "an expiry in a hundred years is kept, not wrapped around")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                let century = Duration::from_hours(876_000);
                t.write("duration", "v").ttl(century).await?;
                let at = cx.now() + century;
                t.write("instant", "v").expires_at(at).await?;
                ensure_value(&t, "duration", "v").await?;
                let want = Timestamp::from_system(at).map(Timestamp::to_system);
                ensure_eq!(present(&t, "instant").await?.expires_at(), want, "expiry");
                Ok(())
            }),
        case("expiry/last-instant", "the last instant of the year 9999 is an expiry")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").expires_at(Timestamp::MAX.to_system()).await?;
                ensure_eq!(
                    present(&t, "k").await?.expires_at(),
                    Some(Timestamp::MAX.to_system()),
                    "expiry"
                );
                Ok(())
            }),
        case("expiry/each-its-own", "records expire each at their own time")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let (t, ttl) = (cx.table()?, cx.ttl());
                t.write("short", "v").ttl(ttl).await?;
                t.write("longer", "v").ttl(ttl * 20).await?;
                t.write("never", "v").await?;
                cx.outlive(ttl).await;
                ensure_eq!(
                    cx.keys(&t).await?,
                    ["longer", "never"],
                    "keys after the first has expired"
                );
                Ok(())
            }),
        case("expiry/many-at-once", "many records that expire together are all gone")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let (t, at) = (cx.table()?, cx.now() + cx.ttl() * 3);
                let keys: Vec<_> = (0..200).map(|i| format!("k{i:03}")).collect();
                let puts = keys
                    .iter()
                    .map(|key| Ok(Put::new(Key::new(key)?, "v").with_expiry(Expiry::At(at))));
                for written in t.put_many(puts.collect::<crate::Result<_>>()?).await {
                    written?;
                }
                ensure_eq!(cx.keys(&t).await?.len(), 200, "keys before");
                cx.outlive(cx.ttl() * 3).await;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys after");
                for key in keys.iter().step_by(37) {
                    ensure_absent(&t, key).await?;
                }
                Ok(())
            }),
    ]
}

fn replaced() -> Vec<Case> {
    vec![
        case("expiry/rewrite-clears-it", "a write without an expiry removes the one there was")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                t.write("k", "w").await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                cx.outlive(cx.ttl()).await;
                ensure_value(&t, "k", "w").await
            }),
        case("expiry/never-clears-it", "a write that says never removes the expiry there was")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                t.write("k", "w").expiry(Expiry::Never).await?;
                cx.outlive(cx.ttl()).await;
                ensure_value(&t, "k", "w").await
            }),
        case("expiry/rewrite-with-longer", "a rewrite with a longer time to live lives longer")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                t.write("k", "w").ttl(cx.ttl() * 20).await?;
                cx.outlive(cx.ttl()).await;
                ensure_value(&t, "k", "w").await
            }),
        case("expiry/rewrite-with-shorter", "a rewrite with a shorter time to live dies sooner")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl() * 20).await?;
                t.write("k", "w").ttl(cx.ttl()).await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await
            }),
        case("expiry/given-later", "a record that lived for ever can be rewritten with an expiry")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                t.write("k", "w").ttl(cx.ttl()).await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await
            }),
        case(
            "expiry/old-timer-is-dead",
            "the expiry of an overwritten version does not touch its successor",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let (t, ttl) = (cx.table()?, cx.ttl());
            t.write("k", "1").ttl(ttl).await?;
            t.delete("k").await?;
            t.write("k", "2").ttl(ttl * 20).await?;
            cx.outlive(ttl).await;
            ensure_value(&t, "k", "2").await
        }),
        case("expiry/keep", "a write that keeps the expiry keeps the very instant")
            .proves(F::KeepExpiry)
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl() * 2).await?;
                let want = present(&t, "k").await?.expires_at();
                t.write("k", "w").expiry(Expiry::Keep).await?;
                let record = present(&t, "k").await?;
                ensure_eq!(
                    (text(record.value()), record.expires_at()),
                    ("w".to_owned(), want),
                    "value and expiry"
                );
                cx.outlive(cx.ttl() * 2).await;
                ensure_absent(&t, "k").await
            }),
        case("expiry/keep-never", "keeping the expiry of a record that has none keeps none")
            .needs([F::KeepExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                t.write("k", "w").expiry(Expiry::Keep).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                Ok(())
            }),
        case(
            "expiry/keep-on-absent",
            "keeping the expiry of a record that is not there is the database's default",
        )
        .needs([F::KeepExpiry])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").expiry(Expiry::Keep).await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case(
            "expiry/keep-of-a-deleted",
            "keeping does not bring back the expiry of a deleted record",
        )
        .needs([F::KeepExpiry, F::Expiry])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "v").ttl(cx.long()).await?;
            t.delete("k").await?;
            t.write("k", "w").expiry(Expiry::Keep).await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case("expiry/keep-with-condition", "a conditional write can keep the expiry")
            .needs([F::KeepExpiry, F::Expiry, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let held = revision(t.write("k", "v").ttl(cx.long()).await?)?;
                let want = present(&t, "k").await?.expires_at();
                t.write("k", "w").expiry(Expiry::Keep).if_revision(held).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                conflict(
                    t.write("k", "x").expiry(Expiry::Keep).if_revision(held).await,
                    "a stale revision",
                )?;
                Ok(())
            }),
        case(
            "expiry/create-with-one",
            "a record can be created with an expiry, and created again when it has passed",
        )
        .needs([F::Expiry, F::Create])
        .waits()
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "1").if_absent().ttl(cx.ttl()).await?;
            conflict(t.write("k", "2").if_absent().ttl(cx.ttl()).await, "a second create")?;
            cx.outlive(cx.ttl()).await;
            t.write("k", "2").if_absent().ttl(cx.long()).await?;
            ensure_value(&t, "k", "2").await
        }),
        case("expiry/items-of-a-batch", "each item of put_many has its own expiry")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                let put = |key: &'static str, expiry| {
                    Ok::<_, Failure>(Put::new(Key::new(key)?, "v").with_expiry(expiry))
                };
                let at = cx.now() + cx.long();
                let puts = vec![
                    put("a", Expiry::After(cx.long()))?,
                    put("b", Expiry::Never)?,
                    put("c", Expiry::At(at))?,
                    put("d", Expiry::Database)?,
                ];
                for written in t.put_many(puts).await {
                    written?;
                }
                let mut has = Vec::new();
                for key in ["a", "b", "c", "d"] {
                    has.push(present(&t, key).await?.expires_at().is_some());
                }
                ensure_eq!(has, [true, false, true, false], "which records have an expiry");
                Ok(())
            }),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        bad("expiry/zero", "a time to live of zero is refused", |_| Expiry::After(Duration::ZERO)),
        bad("expiry/now", "an expiry at the present instant is refused", |now| {
            Expiry::At(now - Duration::from_millis(1))
        }),
        bad("expiry/past", "an expiry in the past is refused", |now| {
            Expiry::At(now - Duration::from_hours(1))
        }),
        bad("expiry/before-1970", "an expiry before 1970 is refused", |_| {
            Expiry::At(SystemTime::UNIX_EPOCH - Duration::from_secs(1))
        }),
        bad("expiry/epoch", "an expiry at the epoch is refused, not taken for none", |_| {
            Expiry::At(SystemTime::UNIX_EPOCH)
        }),
        bad("expiry/overflow", "the longest duration is refused, not wrapped around", |_| {
            Expiry::After(Duration::MAX)
        }),
        bad("expiry/after-9999", "an expiry after the year 9999 is refused", |_| {
            Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_hours(70_389_528))
        }),
    ]
}

/// An expiry that every way to set one refuses, and that leaves the record as it was.
fn bad(id: &'static str, title: &'static str, expiry: fn(SystemTime) -> Expiry) -> Case {
    case(id, title).needs([F::Expiry]).run(move |cx| async move {
        let (t, expiry) = (cx.table()?, expiry(cx.now()));
        t.write("k", "v").await?;
        let before = present(&t, "k").await?;
        invalid(t.write("k", "w").expiry(expiry).await, "write")?;
        invalid(t.write("new", "w").expiry(expiry).await, "write of a new record")?;
        if cx.has(F::SetExpiry) {
            invalid(t.set_expiry("k", expiry).await, "set_expiry")?;
        }
        if cx.has(F::AtomicBatch) {
            let put = Put::new(Key::new("new")?, "w").with_expiry(expiry);
            invalid(t.batch().write("k", "w").op(Op::Put(put)).commit().await, "atomic")?;
        }
        let puts = vec![
            Put::new(Key::new("good")?, "v"),
            Put::new(Key::new("new")?, "v").with_expiry(expiry),
        ];
        let mut many = t.put_many(puts).await.into_iter();
        ensure!(matches!(many.next(), Some(Ok(_))), "put_many: the good item failed");
        if let Some(result) = many.next() {
            invalid(result, "put_many")?;
        }
        ensure_eq!(present(&t, "k").await?, before, "the record after the refusals");
        ensure_eq!(cx.keys(&t).await?, ["good", "k"], "keys after the refusals");
        Ok(())
    })
}
