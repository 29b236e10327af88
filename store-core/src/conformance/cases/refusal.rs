//! What a driver lacks it refuses, and changes nothing.

use futures_util::future::BoxFuture;

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        refuses("refusal/databases", F::Databases, |cx, _| {
            Box::pin(async move {
                // To make one may be allowed where all databases are somebody else's to change.
                Ok(vec![cx.admin().update(cx.name("new")?, &DatabaseConfig::new()).await])
            })
        }),
        refuses("refusal/tables", F::Tables, |cx, _| {
            Box::pin(async move {
                let t = cx.named("table")?;
                Ok(vec![
                    t.write("k", "w").await.map(drop),
                    t.read("k").await.map(drop),
                    t.delete("k").await.map(drop),
                    t.list().any_order().await.map(drop),
                ])
            })
        }),
        refuses("refusal/metadata", F::Metadata, |_, t| {
            Box::pin(async move {
                let metadata = Metadata::new().with("m", 1)?;
                let put = Put::new(Key::new("k")?, "w").with_metadata(metadata.clone());
                Ok(vec![
                    t.write("k", "w").metadata(metadata).await.map(drop),
                    t.put_many(vec![put]).await.remove(0).map(drop),
                ])
            })
        }),
        refuses("refusal/create", F::Create, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.write("k", "w").if_absent().await.map(drop),
                    t.write("new", "w").if_absent().await.map(drop),
                ])
            })
        }),
        refuses("refusal/if-revision", F::IfRevision, |_, t| {
            Box::pin(async move {
                let some = Revision::from_parts(1, 1);
                Ok(vec![
                    t.write("k", "w").if_revision(some).await.map(drop),
                    t.write("new", "w").if_revision(some).await.map(drop),
                    t.delete("k").if_revision(some).await.map(drop),
                ])
            })
        }),
        refuses("refusal/if-value", F::IfValue, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.write("k", "w").if_value(&b"v"[..]).await.map(drop),
                    t.delete("k").if_value(&b"v"[..]).await.map(drop),
                    t.write("k", "w").if_value(&b"x"[..]).await.map(drop),
                ])
            })
        }),
        refuses("refusal/strong-read", F::StrongRead, |cx, t| {
            Box::pin(async move {
                Ok(vec![t.read("k").strong().await.map(drop), cx.list(t).strong().await.map(drop)])
            })
        }),
        refuses("refusal/history", F::History, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.history("k").await.map(drop),
                    t.read("k").at_revision(Revision::from_parts(1, 1)).await.map(drop),
                    t.value("k").at_revision(Revision::from_parts(1, 1)).await.map(drop),
                ])
            })
        }),
        refuses("refusal/expiry", F::Expiry, |cx, t| {
            Box::pin(async move {
                let put = Put::new(Key::new("k")?, "w").with_expiry(Expiry::After(cx.long()));
                Ok(vec![
                    t.write("k", "w").ttl(cx.long()).await.map(drop),
                    t.write("k", "w").expires_at(cx.now() + cx.long()).await.map(drop),
                    t.put_many(vec![put]).await.remove(0).map(drop),
                ])
            })
        }),
        refuses("refusal/set-expiry", F::SetExpiry, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.set_expiry("k", Expiry::Never).await.map(drop),
                    t.set_expiry("new", Expiry::Never).await.map(drop),
                ])
            })
        }),
        refuses("refusal/keep-expiry", F::KeepExpiry, |_, t| {
            Box::pin(
                async move { Ok(vec![t.write("k", "w").expiry(Expiry::Keep).await.map(drop)]) },
            )
        }),
        refuses("refusal/default-expiry", F::DefaultExpiry, |cx, _| {
            Box::pin(async move {
                Ok(vec![
                    cx.admin()
                        .create(cx.name("new")?, &DatabaseConfig::new().with_default_ttl(cx.long()))
                        .await,
                ])
            })
        }),
        refuses("refusal/byte-order", F::ByteOrder, |_, t| {
            Box::pin(async move { Ok(vec![t.list().await.map(drop), t.scan().await.map(drop)]) })
        }),
        refuses("refusal/scan-u64", F::ScanU64, |_, t| {
            Box::pin(async move { Ok(vec![t.scan_u64(0, 10).await.map(drop)]) })
        }),
        refuses("refusal/watch", F::Watch, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.watch().await.map(drop),
                    t.watch().changes_only().key("k").await.map(drop),
                ])
            })
        }),
        refuses("refusal/watch-resume", F::WatchResume, |_, t| {
            Box::pin(async move {
                Ok(vec![t.watch().after(Revision::from_parts(1, 1)).await.map(drop)])
            })
        }),
        refuses("refusal/atomic-batch", F::AtomicBatch, |_, t| {
            Box::pin(async move {
                Ok(vec![
                    t.batch().write("k", "w").write("new", "w").commit().await.map(drop),
                    t.batch().delete("k").commit().await.map(drop),
                ])
            })
        }),
        refuses("refusal/increment", F::Increment, |_, t| {
            Box::pin(async move {
                Ok(vec![t.increment("k", 1).await.map(drop), t.increment("new", 1).await.map(drop)])
            })
        }),
    ]
}

type Calls = for<'a> fn(&'a Cx, &'a Table) -> BoxFuture<'a, Check<Vec<crate::Result<()>>>>;

/// Every one of these calls must be refused, with a record there and without.
fn refuses(id: &'static str, feature: F, calls: Calls) -> Case {
    case(id, "what the store does not declare it refuses, and changes nothing")
        .without(feature)
        .run(move |cx| async move {
            let t = cx.table()?;
            t.write("k", "v").await?;
            let before = present(&t, "k").await?;
            for (n, result) in calls(&cx, &t).await?.into_iter().enumerate() {
                match result {
                    Err(error) if error.kind() == ErrorKind::Unsupported => {
                        ensure_eq!(error.outcome(), Outcome::NotApplied, "outcome of {error}");
                    }
                    other => {
                        return Err(Failure::new(format!(
                            "call {n}: expected `unsupported`, got {other:?}"
                        )));
                    }
                }
            }
            ensure_eq!(present(&t, "k").await?, before, "the record after the refusals");
            ensure_eq!(cx.keys(&t).await?, ["k"], "keys after the refusals");
            Ok(())
        })
}
