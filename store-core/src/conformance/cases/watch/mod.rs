//! Watches: per key never an older state after a newer one, no duplicate, never a last change missed.

mod changes;
mod lives;
mod scopes;
mod starts;

use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    let mut all = starts::cases();
    all.extend(scopes::cases());
    all.extend(changes::cases());
    all.extend(lives::cases());
    all
}

type Watching<'a> = crate::handle::Watch<'a>;

/// Keys written under a watch, and those that it must see.
fn scoped(
    id: &'static str,
    title: &'static str,
    scope: for<'a> fn(Watching<'a>) -> Watching<'a>,
    writes: &'static [&'static str],
    sees: &'static [&'static str],
) -> Case {
    case(id, title).needs([F::Watch]).run(move |cx| async move {
        let t = cx.table()?;
        let accepted = |key: &&&str| cx.target().accepts_key(key);
        let mut watch = cx.follow(scope(t.watch().changes_only()).await?);
        let mut seen = sees.iter().filter(accepted).peekable();
        for (i, key) in writes.iter().filter(accepted).enumerate() {
            t.write(key, format!("{i}")).await?;
            // It keeps up: one that looks away may see the last of several changes only.
            if seen.next_if_eq(&key).is_some() {
                let record = watch.put().await?;
                ensure_eq!(record.key(), *key, "key of the change");
            }
        }
        ensure_eq!(seen.next(), None, "writes that were to be seen");
        for key in writes.iter().filter(accepted) {
            t.delete(key).await?;
        }
        // Each key that is seen goes once.
        let gone: BTreeSet<_> = sees.iter().filter(accepted).collect();
        for _ in 0..gone.len() {
            let event = watch.change().await?;
            ensure!(
                matches!(&event, Event::Delete { key, .. } if gone.contains(&&key.as_str())),
                "expected an end, saw {event:?}"
            );
        }
        match sees.iter().find(accepted) {
            Some(key) => watch.nothing_before(&t, key).await,
            None => Ok(()),
        }
    })
}

type End = for<'a> fn(&'a Cx, &'a Table) -> futures_util::future::BoxFuture<'a, Check>;

/// A watch over something that ends many records at once, and what is written after.
fn ends(id: &'static str, title: &'static str, end: End) -> Case {
    case(id, title).needs([F::Watch, F::Databases]).run(move |cx| async move {
        let t = cx.table()?;
        fill(&t, &["a", "b", "c"]).await?;
        let mut watch = cx.watch(&t).await?;
        let mut view = View::default();
        watch.fold_until(&mut view, |v| v.synced > 0).await?;
        ensure_eq!(view.records.len(), 3, "records in the snapshot");
        end(&cx, &t).await?;
        watch.fold_until(&mut view, |v| v.records.is_empty()).await?;
        t.write("b", "new").await?;
        watch.fold_until(&mut view, |v| v.value("b").as_deref() == Some("new")).await?;
        ensure_eq!(view.records.len(), 1, "records in the end");
        Ok(())
    })
}
