//! Broken watches.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use store_core::{
    Event, EventStream, Gone, Namespace, Result, Scope, Start, WatchOptions, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    Swallows,
    LosesEnds,
    Twice,
    NeverSynced,
    ResumesNow,
    KeyAsPrefix,
    ExpiryIsDelete,
    EndsSilently
);

#[async_trait]
impl Wrapper for Swallows {
    inner!();

    /// One of fifty.
    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?.enumerate();
        let heard = events.filter_map(|(n, event)| async move { (n % 50 != 49).then_some(event) });
        Ok(heard.boxed())
    }
}

#[async_trait]
impl Wrapper for LosesEnds {
    inner!();

    /// Of keys that were often written.
    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let mut writes: HashMap<String, usize> = HashMap::new();
        let heard = self.inner.watch(ns, o).await?.filter(move |event| {
            let is_told = match event {
                Ok(Event::Put(record)) => {
                    *writes.entry(record.key().to_owned()).or_default() += 1;
                    true
                }
                Ok(Event::Delete { key, .. }) => writes.get(key).is_none_or(|count| *count < 30),
                _ => true,
            };
            async move { is_told }
        });
        Ok(heard.boxed())
    }
}

#[async_trait]
impl Wrapper for Twice {
    inner!();

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?;
        let twice = events.flat_map(|event| {
            let again = match &event {
                Ok(change @ (Event::Put(_) | Event::Delete { .. })) => Some(Ok(change.clone())),
                _ => None,
            };
            futures_util::stream::iter([Some(event), again].into_iter().flatten())
        });
        Ok(twice.boxed())
    }
}

#[async_trait]
impl Wrapper for NeverSynced {
    inner!();

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?;
        let rest = events.filter(|event| {
            let synced = matches!(event, Ok(Event::Synced { .. }));
            async move { !synced }
        });
        Ok(rest.boxed())
    }
}

#[async_trait]
impl Wrapper for ResumesNow {
    inner!();

    async fn watch(&self, ns: &Namespace, mut o: WatchOptions) -> Result<EventStream> {
        if matches!(o.start, Start::After(_)) {
            o.start = Start::Changes;
        }
        self.inner.watch(ns, o).await
    }
}

#[async_trait]
impl Wrapper for KeyAsPrefix {
    inner!();

    async fn watch(&self, ns: &Namespace, mut o: WatchOptions) -> Result<EventStream> {
        if let Scope::Key(key) = o.scope {
            o.scope = Scope::Prefix(key);
        }
        self.inner.watch(ns, o).await
    }
}

#[async_trait]
impl Wrapper for ExpiryIsDelete {
    inner!();

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?;
        let events = events.map(|event| match event {
            Ok(Event::Delete { key, revision, .. }) => {
                Ok(Event::Delete { key, revision, reason: Gone::Deleted })
            }
            other => other,
        });
        Ok(events.boxed())
    }
}

#[async_trait]
impl Wrapper for EndsSilently {
    inner!();

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?;
        Ok(events.take_while(|event| std::future::ready(event.is_ok())).boxed())
    }
}
