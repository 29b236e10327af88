//! A database's default expiry counts for writes that say nothing, and for them only.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "default-expiry/applies",
            "a record written without an expiry gets the database's default",
        )
        .proves(F::DefaultExpiry)
        .waits()
        .run(|cx| async move {
            let t = short_lived(&cx).await?;
            t.write("k", "v").await?;
            ensure_value(&t, "k", "v").await?;
            cx.outlive(cx.ttl()).await;
            ensure_absent(&t, "k").await
        }),
        case("default-expiry/is-readable", "the expiry that a default gave can be read")
            .needs([F::DefaultExpiry])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                let before = cx.now();
                t.write("k", "v").await?;
                let at = present(&t, "k").await?.expires_at();
                let slack = Duration::from_secs(30);
                ensure!(
                    at.is_some_and(
                        |at| at + slack > before + cx.long() && at < cx.now() + cx.long() + slack
                    ),
                    "expires at {at:?}"
                );
                Ok(())
            }),
        case("default-expiry/shorter-wins", "a record's own shorter expiry wins over the default")
            .needs([F::DefaultExpiry, F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                t.write("stays", "v").await?;
                cx.outlive(cx.ttl()).await;
                ensure_eq!(cx.keys(&t).await?, ["stays"], "keys");
                Ok(())
            }),
        case("default-expiry/longer-wins", "a record's own longer expiry wins over the default")
            .proves(F::OutliveDefault)
            .needs([F::DefaultExpiry, F::Expiry])
            .waits()
            .run(|cx| async move {
                let t = short_lived(&cx).await?;
                t.write("k", "v").ttl(cx.long()).await?;
                t.write("goes", "v").await?;
                cx.outlive(cx.ttl()).await;
                ensure_eq!(cx.keys(&t).await?, ["k"], "keys");
                Ok(())
            }),
        case(
            "default-expiry/never-wins",
            "a record that says never lives for ever in spite of the default",
        )
        .needs([F::DefaultExpiry, F::OutliveDefault])
        .waits()
        .run(|cx| async move {
            let t = short_lived(&cx).await?;
            t.write("k", "v").expiry(Expiry::Never).await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            cx.outlive(cx.ttl()).await;
            ensure_value(&t, "k", "v").await
        }),
        case(
            "default-expiry/longer-is-refused",
            "where a record cannot outlive the default, trying to is refused",
        )
        .needs([F::DefaultExpiry, F::Expiry])
        .without(F::OutliveDefault)
        .run(|cx| async move {
            let t = short_lived(&cx).await?;
            refused(
                t.write("k", "v").ttl(cx.long()).await,
                ErrorKind::Unsupported,
                "a longer expiry",
            )?;
            refused(
                t.write("k", "v").expiry(Expiry::Never).await,
                ErrorKind::Unsupported,
                "no expiry",
            )?;
            ensure_absent(&t, "k").await
        }),
        case("default-expiry/begins-anew", "a rewrite begins the default anew")
            .needs([F::DefaultExpiry])
            .waits()
            .run(|cx| async move {
                let t = lived(&cx, cx.ttl() * 3).await?;
                t.write("k", "1").await?;
                cx.advance(cx.ttl() * 2).await;
                t.write("k", "2").await?;
                cx.advance(cx.ttl() * 2).await;
                ensure_value(&t, "k", "2").await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await
            }),
        case("default-expiry/keep", "keeping the expiry does not begin the default anew")
            .needs([F::DefaultExpiry, F::KeepExpiry])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                t.write("k", "v").await?;
                let want = present(&t, "k").await?.expires_at();
                cx.advance(Duration::from_millis(20)).await;
                t.write("k", "w").expiry(Expiry::Keep).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                Ok(())
            }),
        case("default-expiry/keep-on-absent", "keeping the expiry of nothing is the default")
            .needs([F::DefaultExpiry, F::KeepExpiry])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                t.write("k", "v").expiry(Expiry::Keep).await?;
                ensure!(
                    present(&t, "k").await?.expires_at().is_some(),
                    "the record lives for ever"
                );
                Ok(())
            }),
        case("default-expiry/set-expiry", "a record can be put back to the default")
            .needs([F::DefaultExpiry, F::OutliveDefault, F::SetExpiry])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                t.write("k", "v").expiry(Expiry::Never).await?;
                t.set_expiry("k", Expiry::Database).await?;
                ensure!(
                    present(&t, "k").await?.expires_at().is_some(),
                    "the record lives for ever"
                );
                t.set_expiry("k", Expiry::Never).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                Ok(())
            }),
        case(
            "default-expiry/counters",
            "a counter is created with the default, and increments keep it",
        )
        .needs([F::DefaultExpiry, F::Increment])
        .run(|cx| async move {
            let t = lived(&cx, cx.long()).await?;
            t.increment("k", 1).await?;
            let first = present(&t, "k").await?.expires_at();
            ensure!(first.is_some(), "the counter lives for ever");
            cx.advance(Duration::from_millis(20)).await;
            t.increment("k", 1).await?;
            ensure_eq!(
                present(&t, "k").await?.expires_at(),
                first,
                "expiry after the second increment"
            );
            Ok(())
        }),
        case("default-expiry/batches", "write_many and atomic batches use the default too")
            .needs([F::DefaultExpiry])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                fill(&t, &["a"]).await?;
                if cx.has(F::AtomicBatch) {
                    t.batch().write("b", "v").commit().await?;
                }
                for record in cx.scan(&t).await? {
                    ensure!(record.expires_at().is_some(), "{:?} lives for ever", record.key());
                }
                Ok(())
            }),
        case(
            "default-expiry/update",
            "a changed default counts for later writes; records stay as they are",
        )
        .needs([F::DefaultExpiry, F::Databases])
        .run(|cx| async move {
            let t = lived(&cx, cx.long()).await?;
            t.write("before", "v").await?;
            let want = present(&t, "before").await?.expires_at();
            cx.admin()
                .update(cx.name("short")?, &DatabaseConfig::new().with_default_ttl(cx.long() * 2))
                .await?;
            t.write("after", "v").await?;
            ensure_eq!(
                present(&t, "before").await?.expires_at(),
                want,
                "expiry of the earlier record"
            );
            let after = present(&t, "after").await?.expires_at();
            ensure!(
                after > want.map(|at| at + cx.long() / 2),
                "the later record expires at {after:?}, the earlier at {want:?}"
            );
            Ok(())
        }),
        case("default-expiry/removed", "without its default a database keeps records for ever")
            .needs([F::DefaultExpiry, F::Databases])
            .run(|cx| async move {
                let t = lived(&cx, cx.long()).await?;
                cx.admin().update(cx.name("short")?, &DatabaseConfig::new()).await?;
                t.write("k", "v").await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                Ok(())
            }),
        case(
            "default-expiry/of-one-database",
            "the default of one database is not that of another",
        )
        .needs([F::DefaultExpiry, F::Databases])
        .run(|cx| async move {
            lived(&cx, cx.long()).await?;
            let other = cx.table_at("other")?;
            other.write("k", "v").await?;
            ensure_eq!(present(&other, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case("default-expiry/in-the-status", "the status of a database tells its default")
            .needs([F::DefaultExpiry])
            .run(|cx| async move {
                lived(&cx, cx.long()).await?;
                ensure_eq!(
                    cx.admin().status(cx.name("short")?).await?.config.default_ttl,
                    Some(cx.long()),
                    "default"
                );
                Ok(())
            }),
        case(
            "default-expiry/below-a-millisecond",
            "the shortest default is rounded up, not down to nothing",
        )
        .needs([F::DefaultExpiry])
        .waits()
        .run(|cx| async move {
            if cx.declared().min_ttl.is_some() {
                return Err(Failure::NotApplicable("short times to live are refused"));
            }
            let t = lived(&cx, Duration::from_nanos(1)).await?;
            t.write("k", "v").await?;
            cx.outlive(Duration::from_millis(1)).await;
            ensure_absent(&t, "k").await
        }),
    ]
}

async fn short_lived(cx: &Cx) -> Check<Table> {
    lived(cx, cx.ttl()).await
}

async fn lived(cx: &Cx, ttl: Duration) -> Check<Table> {
    cx.admin().create(cx.name("short")?, &DatabaseConfig::new().with_default_ttl(ttl)).await?;
    cx.table_at("short")
}
