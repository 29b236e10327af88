//! Broken writes and deletes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use store_core::{
    Condition, Counter, Deleted, Error, ErrorKind, Expiry, Key, ListOptions, Metadata, Namespace,
    Op, Page, Put, ReadOptions, Record, Remove, Result, Revision, Written, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    IgnoresAbsent,
    IgnoresDeleteCondition,
    RevisionOnAbsent,
    CheckThenWrite,
    ComparesBeginning,
    ReusesRevisions { lives: Mutex<HashMap<(Namespace, String), Life>> },
    DropsMetadata,
    TrimsValues,
    LosesEmptyValues,
    FoldsCase,
    CleansPaths,
    PanicsOnNul,
    ShowsValues,
    UnsureConflicts,
    LiesAboutDeletes,
    FaultIsConflict,
);

#[async_trait]
impl Wrapper for IgnoresAbsent {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if put.condition == Condition::Absent {
            put.condition = Condition::Any;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for IgnoresDeleteCondition {
    inner!();

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        remove.condition.on_existing()?;
        self.inner.delete(ns, Remove::new(remove.key)).await
    }
}

#[async_trait]
impl Wrapper for RevisionOnAbsent {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if matches!(put.condition, Condition::Revision(_))
            && !self.inner.exists(ns, put.key).await?
        {
            put.condition = Condition::Absent;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for CheckThenWrite {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        let condition = std::mem::take(&mut put.condition);
        if !condition.is_any() {
            let current = self.inner.read(ns, put.key, ReadOptions::default()).await?;
            condition.check(current.as_ref())?;
            tokio::task::yield_now().await;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for ComparesBeginning {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if let Condition::Value(want) = &put.condition {
            let current = self.inner.read(ns, put.key, ReadOptions::default()).await?;
            if current.is_some_and(|record| record.value().starts_with(want)) {
                put.condition = Condition::Any;
            }
        }
        self.inner.write(ns, put).await
    }
}

/// How often a record was written since it was created, and the true revision of that version.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    count: u64,
    revision: Option<Revision>,
}

impl ReusesRevisions {
    fn life(&self, ns: &Namespace, key: Key<'_>, revision: Option<Revision>) -> Revision {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let life = lives.entry((ns.clone(), key.as_str().to_owned())).or_default();
        if life.revision != revision {
            *life = Life { count: life.count + 1, revision };
        }
        Revision::from_parts(0, life.count)
    }

    fn truth<'a>(&self, ns: &Namespace, key: Key<'_>, condition: Condition<'a>) -> Condition<'a> {
        let Condition::Revision(count) = condition else { return condition };
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let life = lives.get(&(ns.clone(), key.as_str().to_owned())).copied().unwrap_or_default();
        let foreign = Revision::from_parts(u64::MAX, u64::MAX);
        let known = life.revision.filter(|_| count == Revision::from_parts(0, life.count));
        Condition::Revision(known.unwrap_or(foreign))
    }
}

#[async_trait]
impl Wrapper for ReusesRevisions {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let record = self.inner.read(ns, key, o).await?;
        Ok(record.map(|r| r.to_builder().revision(self.life(ns, key, r.revision())).build()))
    }

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        let key = put.key;
        put.condition = self.truth(ns, key, put.condition);
        let written = self.inner.write(ns, put).await?;
        Ok(Written::new(Some(self.life(ns, key, written.revision))))
    }

    async fn delete(&self, ns: &Namespace, mut remove: Remove<'_>) -> Result<Deleted> {
        let key = remove.key;
        remove.condition = self.truth(ns, key, remove.condition);
        let deleted = self.inner.delete(ns, remove).await?;
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.remove(&(ns.clone(), key.as_str().to_owned()));
        Ok(deleted)
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let page = self.inner.scan(ns, o).await?;
        Ok(page.map(|r| match Key::new(r.key()) {
            Ok(key) => r.to_builder().revision(self.life(ns, key, r.revision())).build(),
            Err(_) => r.clone(),
        }))
    }
}

#[async_trait]
impl Wrapper for DropsMetadata {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.inner.write(ns, put.with_metadata(Metadata::new())).await
    }
}

#[async_trait]
impl Wrapper for TrimsValues {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        put.value = put.value.trim_ascii().to_vec().into();
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for LosesEmptyValues {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let (key, empty) = (put.key, put.value.is_empty());
        let written = self.inner.write(ns, put).await?;
        if empty {
            self.inner.delete(ns, Remove::new(key)).await?;
        }
        Ok(written)
    }
}

#[async_trait]
impl Wrapper for FoldsCase {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.inner.read(ns, Key::new(&key.as_str().to_lowercase())?, o).await
    }

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        let key = put.key.as_str().to_lowercase();
        put.condition = put.condition.into_owned();
        let folded = Put::new(Key::new(&key)?, put.value.into_owned())
            .with_metadata(put.metadata)
            .with_expiry(put.expiry)
            .with_condition(put.condition.into_owned());
        self.inner.write(ns, folded).await
    }
}

fn clean(key: Key<'_>) -> String {
    let mut parts = Vec::new();
    for part in key.as_str().split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { "/".to_owned() } else { parts.join("/") }
}

#[async_trait]
impl Wrapper for CleansPaths {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.inner.read(ns, Key::new(&clean(key))?, o).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let key = clean(put.key);
        let cleaned = Put::new(Key::new(&key)?, put.value.into_owned())
            .with_metadata(put.metadata)
            .with_expiry(put.expiry)
            .with_condition(put.condition.into_owned());
        self.inner.write(ns, cleaned).await
    }
}

#[async_trait]
impl Wrapper for PanicsOnNul {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        assert!(!put.key.as_str().contains('\0'), "this backend's keys end at NUL");
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for ShowsValues {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let value = String::from_utf8_lossy(&put.value).into_owned();
        self.inner
            .write(ns, put)
            .await
            .map_err(|error| Error::new(error.kind(), format!("cannot write {value}")))
    }
}

#[async_trait]
impl Wrapper for UnsureConflicts {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.inner.write(ns, put).await.map_err(Error::outcome_unknown)
    }
}

#[async_trait]
impl Wrapper for LiesAboutDeletes {
    inner!();

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.inner.delete(ns, remove).await.map(|_| Deleted::new(Some(true)))
    }
}

/// What some stores make of any error of a conditional write.
fn blamed<T>(asked: bool, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::Unavailable if asked => Error::conflict("the condition did not hold", None),
        _ => error,
    })
}

#[async_trait]
impl Wrapper for FaultIsConflict {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let asked = !put.condition.is_any();
        blamed(asked, self.inner.write(ns, put).await)
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let asked = !remove.condition.is_any();
        blamed(asked, self.inner.delete(ns, remove).await)
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let asked = !condition.is_any();
        blamed(asked, self.inner.set_expiry(ns, key, expiry, condition).await)
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        blamed(false, self.inner.increment(ns, key, delta).await)
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        blamed(true, self.inner.atomic(ns, ops).await)
    }
}
