//! Extend, shorten or persist a record without sending its value.

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("set-expiry/extends", "a record can be made to live longer")
            .proves(F::SetExpiry)
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                let done = t.set_expiry("k", Expiry::After(cx.long())).await?;
                ensure!(done.is_some(), "it was not found");
                cx.outlive(cx.ttl()).await;
                ensure_value(&t, "k", "v").await
            }),
        case("set-expiry/shortens", "a record can be made to die sooner")
            .needs([F::SetExpiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.long()).await?;
                t.set_expiry("k", Expiry::After(cx.ttl())).await?;
                ensure_value(&t, "k", "v").await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await
            }),
        case("set-expiry/gives-one", "a record that lived for ever can be given an expiry")
            .needs([F::SetExpiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                t.set_expiry("k", Expiry::After(cx.ttl())).await?;
                cx.outlive(cx.ttl()).await;
                ensure_absent(&t, "k").await
            }),
        case("set-expiry/persists", "a record can be made to live for ever")
            .needs([F::SetExpiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl()).await?;
                t.set_expiry("k", Expiry::Never).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                cx.outlive(cx.ttl()).await;
                ensure_value(&t, "k", "v").await
            }),
        case("set-expiry/at-an-instant", "the new expiry may be an instant")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let at = cx.now() + cx.long();
                t.set_expiry("k", Expiry::At(at)).await?;
                let want = crate::Timestamp::from_system(at).map(crate::Timestamp::to_system);
                ensure_eq!(present(&t, "k").await?.expires_at(), want, "expiry");
                Ok(())
            }),
        case("set-expiry/to-the-default", "the default of a database without one is none")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.long()).await?;
                t.set_expiry("k", Expiry::Database).await?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
                Ok(())
            }),
        case("set-expiry/absent", "there is nothing to extend where there is no record")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                ensure_eq!(
                    t.set_expiry("k", Expiry::After(cx.long())).await?,
                    None,
                    "where there never was one"
                );
                ensure_absent(&t, "k").await?;
                t.write("k", "v").await?;
                t.delete("k").await?;
                ensure_eq!(t.set_expiry("k", Expiry::Never).await?, None, "where it was deleted");
                ensure_absent(&t, "k").await?;
                ensure_eq!(
                    cx.table_at("nowhere")?.set_expiry("k", Expiry::Never).await?,
                    None,
                    "in a missing database"
                );
                Ok(())
            }),
        case("set-expiry/keeps-the-rest", "value and metadata stay")
            .needs([F::SetExpiry, F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", json!({"deep": [1, 2]}))?;
                let value =
                    vec![7; cx.declared().max_value_len.map_or(5000, |most| most.min(5000))];
                t.write("k", &value).metadata(metadata.clone()).await?;
                t.set_expiry("k", Expiry::After(cx.long())).await?;
                let record = present(&t, "k").await?;
                ensure!(record.value() == value, "the value changed");
                ensure_eq!(record.metadata(), &metadata, "metadata");
                Ok(())
            }),
        case("set-expiry/new-revision", "a change of expiry gives a new revision")
            .needs([F::SetExpiry, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let old = revision(t.write("k", "v").await?)?;
                let Some(done) = t.set_expiry("k", Expiry::After(cx.long())).await? else {
                    return Err(Failure::new("the record was not found"));
                };
                let new = revision(done)?;
                ensure!(new != old, "the revision is the old one");
                ensure_eq!(revision_of(&t, "k").await?, new, "revision read");
                conflict(t.write("k", "w").if_revision(old).await, "the old revision")?;
                Ok(())
            }),
        case("set-expiry/if-revision", "a change of expiry can depend on the revision")
            .needs([F::SetExpiry, F::IfRevision])
            .run(|cx| async move {
                let t = cx.table()?;
                let old = revision(t.write("k", "1").await?)?;
                let new = revision(t.write("k", "2").await?)?;
                let later = Expiry::After(cx.long());
                conflict(t.set_expiry("k", later).if_revision(old).await, "a past revision")?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry after the refusal");
                ensure!(t.set_expiry("k", later).if_revision(new).await?.is_some(), "not found");
                ensure!(present(&t, "k").await?.expires_at().is_some(), "no expiry");
                conflict(
                    t.set_expiry("none", later).if_revision(new).await,
                    "where there is no record",
                )?;
                Ok(())
            }),
        case("set-expiry/if-value", "a change of expiry can depend on the value")
            .needs([F::SetExpiry, F::IfValue])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let later = Expiry::After(cx.long());
                conflict(t.set_expiry("k", later).if_value(&b"w"[..]).await, "another value")?;
                ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry after the refusal");
                t.set_expiry("k", later).if_value(&b"v"[..]).await?;
                ensure!(present(&t, "k").await?.expires_at().is_some(), "no expiry");
                Ok(())
            }),
        case("set-expiry/keep-is-an-error", "to keep the expiry is no change of it")
            .needs([F::SetExpiry])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.long()).await?;
                let before = present(&t, "k").await?;
                invalid(t.set_expiry("k", Expiry::Keep).await, "set_expiry to keep")?;
                ensure_eq!(present(&t, "k").await?, before, "the record");
                Ok(())
            }),
        case("set-expiry/again-and-again", "an expiry that is always renewed in time never comes")
            .needs([F::SetExpiry])
            .waits()
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").ttl(cx.ttl() * 2).await?;
                for _ in 0..4 {
                    cx.advance(cx.ttl()).await;
                    ensure!(
                        t.set_expiry("k", Expiry::After(cx.ttl() * 2)).await?.is_some(),
                        "it expired in between"
                    );
                }
                ensure_value(&t, "k", "v").await?;
                cx.outlive(cx.ttl() * 2).await;
                ensure_absent(&t, "k").await
            }),
        case("set-expiry/counter-stays-one", "a counter counts on after its expiry was changed")
            .needs([F::SetExpiry, F::Increment])
            .run(|cx| async move {
                let t = cx.table()?;
                t.increment("k", 41).await?;
                t.set_expiry("k", Expiry::After(cx.long())).await?;
                ensure_eq!(t.increment("k", 1).await?.value, 42, "the sum");
                ensure!(present(&t, "k").await?.expires_at().is_some(), "the expiry is gone");
                Ok(())
            }),
    ]
}
