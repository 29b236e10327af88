//! Broken watches.

use futures_util::StreamExt as _;
use store_core::{
    Event, EventStream, Gone, Namespace, Result, Scope, Start, WatchOptions, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(Swallows, Twice, NeverSynced, ResumesNow, KeyAsPrefix, ExpiryIsDelete, EndsSilently);

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
impl Wrapper for Twice {
    inner!();

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let events = self.inner.watch(ns, o).await?;
        let twice = events.flat_map(|event| {
            let again = match &event {
                Ok(put @ Event::Put(_)) => Some(Ok(put.clone())),
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
