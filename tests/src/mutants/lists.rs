//! Broken listings.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use store_core::{
    Event, EventStream, Key, ListOptions, Namespace, Page, Put, Record, Result, U64Page,
    WatchOptions, Written, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    Unordered,
    OffsetFirst,
    Repeats,
    LosesPlace { last: Mutex<HashMap<String, String>> },
    AnyCursor,
    Globs,
    OnePage,
    MissesRewritten { moving: Mutex<HashSet<String>> },
);

#[async_trait]
impl Wrapper for Unordered {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let mut page = self.inner.list(ns, o).await?;
        page.items.reverse();
        Ok(page)
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let mut page = self.inner.scan(ns, o).await?;
        page.items.reverse();
        Ok(page)
    }
}

#[async_trait]
impl Wrapper for OffsetFirst {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let mut all = ListOptions::default();
        (all.offset, all.limit, all.cursor, all.order) =
            (o.offset, o.limit, o.cursor.clone(), o.order);
        let mut page = self.inner.list(ns, &all).await?;
        page.items.retain(|key| o.matches(key));
        Ok(page)
    }
}

#[async_trait]
impl Wrapper for Repeats {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let mut page = self.inner.list(ns, o).await?;
        if o.cursor.is_some() && page.items.len() < o.limit {
            page.items.extend(page.items.first().cloned());
        }
        Ok(page)
    }
}

#[async_trait]
impl Wrapper for LosesPlace {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        if let Some(cursor) = &o.cursor {
            let last = {
                let held = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                held.get(cursor.as_str()).cloned()
            };
            if let Some(last) = last
                && !self.inner.exists(ns, Key::new(&last)?).await?
            {
                return Ok(Page::default());
            }
        }
        let page = self.inner.list(ns, o).await?;
        if let (Some(next), Some(last)) = (&page.next, page.items.last()) {
            let mut held = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            held.insert(next.to_string(), last.clone());
        }
        Ok(page)
    }
}

#[async_trait]
impl Wrapper for AnyCursor {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        match self.inner.list(ns, o).await {
            Err(_) if o.cursor.is_some() => {
                let mut anew = o.clone();
                anew.cursor = None;
                self.inner.list(ns, &anew).await
            }
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for Globs {
    inner!();

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let Some((head, _)) = o.prefix.split_once('*') else { return self.inner.list(ns, o).await };
        let mut pattern = o.clone();
        head.clone_into(&mut pattern.prefix);
        self.inner.list(ns, &pattern).await
    }
}

#[async_trait]
impl Wrapper for OnePage {
    inner!();

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        let page = self.inner.scan_u64(ns, cursor, limit).await?;
        Ok(U64Page::new(page.keys, None))
    }
}

#[async_trait]
impl Wrapper for MissesRewritten {
    inner!();

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let keys: Vec<String> = puts.iter().map(|put| put.key.to_string()).collect();
        let moving = || self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        moving().extend(keys.iter().cloned());
        tokio::task::yield_now().await;
        let written = self.inner.write_many(ns, puts).await;
        let mut moving = moving();
        for key in &keys {
            moving.remove(key);
        }
        written
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let mut page = self.inner.list(ns, o).await?;
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        page.items.retain(|key| !moving.contains(key));
        Ok(page)
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        let mut answers = self.inner.read_many(ns, keys).await;
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, answer) in keys.iter().zip(&mut answers) {
            if moving.contains(key.as_str()) {
                *answer = Ok(None);
            }
        }
        answers
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut is_complete = false;
        let events = self.inner.watch(ns, o).await?.filter(move |event| {
            is_complete |= matches!(event, Ok(Event::Synced { .. }));
            let is_missed = |put: &Record| !is_complete && moving.contains(put.key());
            let is_shown = !matches!(event, Ok(Event::Put(put)) if is_missed(put));
            async move { is_shown }
        });
        Ok(events.boxed())
    }
}
