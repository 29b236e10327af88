//! Broken batches.

use std::collections::HashSet;

use store_core::{Deleted, Namespace, Op, Put, ReadOptions, Remove, Result, Written, async_trait};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(Halves, ChecksInTheMiddle, LastWins, DeletesBackwards, StopsAtFailure);

#[async_trait]
impl Wrapper for Halves {
    inner!();

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        for op in ops {
            let key = op.key();
            let done = match op {
                Op::Put(put) => self.inner.write(ns, put).await,
                Op::Remove(remove) => {
                    self.inner.delete(ns, remove).await.map(|_| Written::default())
                }
                other => {
                    let current = self.inner.read(ns, key, ReadOptions::default()).await?;
                    other.condition().check(current.as_ref()).map(|()| Written::default())
                }
            };
            written.push(done.map_err(|error| error.with_key(key))?);
            tokio::task::yield_now().await;
        }
        Ok(written)
    }
}

#[async_trait]
impl Wrapper for ChecksInTheMiddle {
    inner!();

    /// Condition by condition, each after the changes before it: as if the batch were a script.
    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let mut changed = HashSet::new();
        for op in &ops {
            if matches!(op, Op::Check { .. }) && changed.contains(op.key().as_str()) {
                return Err(op.condition().conflict(true, None).with_key(op.key()));
            }
            changed.insert(op.key().as_str());
        }
        self.inner.atomic(ns, ops).await
    }
}

#[async_trait]
impl Wrapper for LastWins {
    inner!();

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let asked = ops.len();
        let mut seen = HashSet::new();
        let mut last: Vec<_> = ops
            .into_iter()
            .rev()
            .filter(|op| {
                matches!(op, Op::Check { .. }) || seen.insert(op.key().as_str().to_owned())
            })
            .collect();
        last.reverse();
        let mut written = self.inner.atomic(ns, last).await?;
        written.resize(asked, Written::default());
        Ok(written)
    }
}

#[async_trait]
impl Wrapper for DeletesBackwards {
    inner!();

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        let mut answers = self.inner.delete_many(ns, removes).await;
        answers.reverse();
        answers
    }
}

#[async_trait]
impl Wrapper for StopsAtFailure {
    inner!();

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let mut answers: Vec<Result<Written>> = Vec::with_capacity(puts.len());
        for put in puts {
            let answer = match answers.last() {
                Some(Err(error)) => Err(error.clone()),
                _ => self.inner.write(ns, put).await,
            };
            answers.push(answer);
        }
        answers
    }
}
