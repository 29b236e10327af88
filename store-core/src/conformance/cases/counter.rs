//! Counters: ASCII decimal at the key itself, exact under any contention.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    let mut all = alone();
    all.extend(together());
    all
}

fn alone() -> Vec<Case> {
    vec![
        case("counter/counts", "increments add up, from zero").proves(F::Increment).run(
            |cx| async move {
                let t = cx.table()?;
                for (delta, sum) in [(10, 10), (5, 15), (-20, -5), (0, -5), (5, 0), (1, 1)] {
                    ensure_eq!(t.increment("k", delta).await?.value, sum, "the sum after {delta}");
                }
                Ok(())
            },
        ),
        case("counter/created-by-zero", "an increment by zero creates a counter of zero")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                ensure_eq!(t.increment("k", 0).await?.value, 0, "the sum");
                ensure_value(&t, "k", "0").await
            }),
        case("counter/is-decimal-text", "a counter reads as decimal text")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for (delta, text) in
                    [(7, "7"), (-17, "-10"), (10, "0"), (i64::MAX, "9223372036854775807")]
                {
                    t.increment("k", delta).await?;
                    ensure_value(&t, "k", text).await?;
                }
                Ok(())
            }),
        case("counter/written-as-text", "a number that was written counts on")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for (held, delta, sum) in [
                    ("41", 1, 42),
                    ("-1", 1, 0),
                    ("0", -1, -1),
                    ("-9223372036854775808", 0, i64::MIN),
                ] {
                    t.write("k", held).await?;
                    ensure_eq!(t.increment("k", delta).await?.value, sum, "{held} and {delta}");
                }
                Ok(())
            }),
        case("counter/not-a-number", "what is no decimal number is an error, and stays")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for held in [
                    "x", "", "1.0", "1e3", "0x10", "1 ", " 1", "1\n", "12a", "--1", "-", "one", "١",
                ] {
                    t.write("k", held).await?;
                    let before = present(&t, "k").await?;
                    refused(
                        t.increment("k", 1).await,
                        ErrorKind::NotACounter,
                        format_args!("{held:?}"),
                    )?;
                    ensure_eq!(present(&t, "k").await?, before, "the record with {held:?}");
                }
                Ok(())
            }),
        case(
            "counter/not-canonical",
            "a number that is not written as a counter writes it is an error, and stays",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            for held in ["+1", "01", "-0", "00", "-01", "+0"] {
                t.write("k", held).await?;
                refused(
                    t.increment("k", 1).await,
                    ErrorKind::NotACounter,
                    format_args!("{held:?}"),
                )?;
                ensure_value(&t, "k", held).await?;
            }
            Ok(())
        }),
        case("counter/binary-is-no-number", "eight bytes of a binary counter are no number")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for held in [7u64.to_be_bytes(), 7u64.to_le_bytes()] {
                    t.write("k", &held).await?;
                    refused(t.increment("k", 1).await, ErrorKind::NotACounter, "binary")?;
                    ensure_eq!(present(&t, "k").await?.value(), &held[..], "value");
                }
                Ok(())
            }),
        case("counter/beyond-64-bits", "a number of more than 64 bits is an error, and stays")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                for held in
                    ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999"]
                {
                    t.write("k", held).await?;
                    refused(t.increment("k", -1).await, ErrorKind::NotACounter, held)?;
                    ensure_value(&t, "k", held).await?;
                }
                Ok(())
            }),
        case("counter/overflow-above", "a counter does not wrap at the top")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "9223372036854775806").await?;
                ensure_eq!(t.increment("k", 1).await?.value, i64::MAX, "the greatest");
                refused(t.increment("k", 1).await, ErrorKind::Overflow, "one more")?;
                refused(t.increment("k", i64::MAX).await, ErrorKind::Overflow, "much more")?;
                ensure_value(&t, "k", "9223372036854775807").await?;
                ensure_eq!(t.increment("k", -1).await?.value, i64::MAX - 1, "back down");
                Ok(())
            }),
        case("counter/overflow-below", "a counter does not wrap at the bottom")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                ensure_eq!(t.increment("k", i64::MIN).await?.value, i64::MIN, "the least");
                refused(t.increment("k", -1).await, ErrorKind::Overflow, "one less")?;
                refused(t.increment("k", i64::MIN).await, ErrorKind::Overflow, "much less")?;
                ensure_value(&t, "k", "-9223372036854775808").await?;
                ensure_eq!(t.increment("k", i64::MAX).await?.value, -1, "back up");
                Ok(())
            }),
        case("counter/keeps-expiry", "an increment keeps the expiry")
            .needs([F::Increment, F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "1").ttl(cx.ttl()).await?;
                let want = present(&t, "k").await?.expires_at();
                t.increment("k", 1).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await?;
                ensure_eq!(t.increment("k", 1).await?.value, 1, "the sum when the time is up");
                Ok(())
            }),
        case(
            "counter/no-expiry-of-its-own",
            "a counter in a database without a default lives for ever",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            t.increment("k", 1).await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case("counter/after-delete", "a deleted counter begins at zero").needs([F::Increment]).run(
            |cx| async move {
                let t = cx.table()?;
                t.increment("k", 41).await?;
                t.delete("k").await?;
                ensure_eq!(t.increment("k", 1).await?.value, 1, "the sum");
                Ok(())
            },
        ),
        case("counter/is-a-record", "a counter is listed and scanned like any record")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                t.increment("k", 3).await?;
                t.write("other", "v").await?;
                ensure_eq!(cx.keys(&t).await?, ["k", "other"], "keys");
                ensure_eq!(
                    cx.scan(&t).prefix("k").await?.first().map(|r| text(r.value())),
                    Some("3".into()),
                    "scanned value"
                );
                Ok(())
            }),
        case("counter/create-after-increment", "a counter stands in the way of a create")
            .needs([F::Increment, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.increment("k", 1).await?;
                conflict(t.write("k", "0").if_absent().await, "create")?;
                ensure_value(&t, "k", "1").await
            }),
        case("counter/own-key", "counters of several keys and tables are apart")
            .needs([F::Increment, F::Tables])
            .run(|cx| async move {
                let (a, b) = (cx.named("a")?, cx.named("b")?);
                a.increment("k", 1).await?;
                a.increment("kk", 10).await?;
                b.increment("k", 100).await?;
                ensure_value(&a, "k", "1").await?;
                ensure_value(&a, "kk", "10").await?;
                ensure_value(&b, "k", "100").await
            }),
    ]
}

fn together() -> Vec<Case> {
    vec![
        case("counter/race-total", "eight tasks with a hundred increments each make eight hundred")
            .needs([F::Increment])
            .run(|cx| async move {
                cx.together(8, |cx, _| async move {
                    let t = cx.table()?;
                    for _ in 0..100 {
                        t.increment("k", 1).await?;
                    }
                    Ok(())
                })
                .await?;
                ensure_value(&cx.table()?, "k", "800").await
            }),
        case("counter/race-burst", "a hundred increments begun at once make a hundred")
            .needs([F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                let all = (0..100).map(|_| t.increment("k", 1));
                for one in futures_util::future::join_all(all).await {
                    one?;
                }
                ensure_value(&t, "k", "100").await
            }),
        case("counter/race-sums", "each increment of a race returns a sum of its own")
            .needs([F::Increment])
            .run(|cx| async move {
                let sums = cx
                    .together(8, |cx, _| async move {
                        let (t, mut sums) = (cx.table()?, Vec::new());
                        for _ in 0..25 {
                            sums.push(t.increment("k", 1).await?.value);
                        }
                        Ok(sums)
                    })
                    .await?;
                ensure!(
                    sums.iter().all(|own| own.windows(2).all(|two| two[0] < two[1])),
                    "a task saw the counter go back"
                );
                let all: BTreeSet<_> = sums.into_iter().flatten().collect();
                ensure_eq!(all, (1..=200).collect(), "the sums");
                Ok(())
            }),
        case("counter/race-mixed", "increments of both signs add up").needs([F::Increment]).run(
            |cx| async move {
                cx.together(6, |cx, task| async move {
                    let (t, delta) =
                        (cx.table()?, [3, -1, 1_000_000_007, -1_000_000_007, 5, -7][task]);
                    for _ in 0..50 {
                        t.increment("k", delta).await?;
                    }
                    Ok(())
                })
                .await?;
                ensure_value(&cx.table()?, "k", "0").await
            },
        ),
        case("counter/race-first", "of many first increments at once none is lost")
            .needs([F::Increment])
            .run(|cx| async move {
                for round in 0..10 {
                    let key = format!("k{round}");
                    let own = key.clone();
                    cx.together(8, move |cx, _| {
                        let key = own.clone();
                        async move { Ok(cx.table()?.increment(&key, 1).await?.value) }
                    })
                    .await?;
                    ensure_value(&cx.table()?, &key, "8").await?;
                }
                Ok(())
            }),
        case(
            "counter/race-with-deletes",
            "increments around deletes are all counted in one life or another",
        )
        .needs([F::Increment, F::IfRevision])
        .run(|cx| async move {
            let lives = lives(&cx, |t, key, revision| {
                Box::pin(async move { t.delete(key).if_revision(revision).await.map(drop) })
            })
            .await?;
            ensure_eq!(lives, 400, "increments counted over all lives");
            Ok(())
        }),
        case(
            "counter/race-with-writes",
            "increments around resets are all counted before one or after it",
        )
        .needs([F::Increment, F::IfRevision])
        .run(|cx| async move {
            let lives = lives(&cx, |t, key, revision| {
                Box::pin(async move { t.write(key, "0").if_revision(revision).await.map(drop) })
            })
            .await?;
            ensure_eq!(lives, 400, "increments counted over all resets");
            Ok(())
        }),
        case(
            "counter/race-with-expiry-changes",
            "increments around changes of expiry are all counted",
        )
        .needs([F::Increment, F::SetExpiry])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", "0").await?;
            let extending = (t.clone(), cx.long());
            let extender = aside(async move {
                for _ in 0..50 {
                    extending.0.set_expiry("k", Expiry::After(extending.1)).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            });
            cx.together(4, |cx, _| async move {
                let t = cx.table()?;
                for _ in 0..50 {
                    t.increment("k", 1).await?;
                }
                Ok(())
            })
            .await?;
            extender.await?;
            ensure_value(&t, "k", "200").await
        }),
        case("counter/race-many-keys", "increments of many keys at once do not mix")
            .needs([F::Increment])
            .run(|cx| async move {
                cx.together(8, |cx, _| async move {
                    let t = cx.table()?;
                    for i in 0..60 {
                        t.increment(&format!("k{}", i % 6), i64::from(i % 6) + 1).await?;
                    }
                    Ok(())
                })
                .await?;
                for i in 0..6 {
                    ensure_value(&cx.table()?, &format!("k{i}"), &(80 * (i + 1)).to_string())
                        .await?;
                }
                Ok(())
            }),
        case(
            "counter/race-failures-alone",
            "an increment that would overflow does not fail the ones beside it",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", (i64::MAX - 50).to_string()).await?;
            let all = (0..60).map(|i| t.increment("k", if i % 6 == 5 { i64::MAX } else { 1 }));
            let mut failed = 0;
            for one in futures_util::future::join_all(all).await {
                match one {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Overflow => failed += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            ensure_eq!(failed, 10, "overflows");
            ensure_value(&t, "k", &i64::MAX.to_string()).await
        }),
    ]
}

type Ending = for<'a> fn(
    &'a Table,
    &'a str,
    Revision,
) -> futures_util::future::BoxFuture<'a, crate::Result<()>>;

/// Counts 400 increments over lives that `end` ends, and returns how many were counted.
async fn lives(cx: &Cx, end: Ending) -> Check<i64> {
    let t = cx.table()?;
    let counting = cx.clone();
    let increments = aside(async move {
        counting
            .together(4, |cx, _| async move {
                let t = cx.table()?;
                for _ in 0..100 {
                    t.increment("k", 1).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
            .await
    });
    let held = async |t: &Table| {
        let Some(record) = t.read("k").await? else { return Ok::<_, Failure>(None) };
        let value: i64 = text(record.value())
            .parse()
            .map_err(|_| Failure::new("the counter holds no number"))?;
        Ok(record.revision().map(|revision| (value, revision)))
    };
    let mut counted = 0;
    for _ in 0..60 {
        if let Some((value, revision)) = held(&t).await? {
            match end(&t, "k", revision).await {
                Ok(()) => counted += value,
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        tokio::task::yield_now().await;
    }
    increments.await?;
    Ok(counted + held(&t).await?.map_or(0, |(value, _)| value))
}
