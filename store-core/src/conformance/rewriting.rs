//! A writer that goes over the same keys again and again, beside what a case does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::case::Check;
use super::cx::aside;
use crate::handle::Table;

/// How often it goes over all keys at most.
const ENOUGH: usize = 1_000_000;

pub(super) struct Rewriting {
    turns: Arc<AtomicUsize>,
    task: Pin<Box<dyn Future<Output = Check> + Send>>,
}

impl Rewriting {
    /// Writes these keys in this order, which hold no record yet, and then over and over from the last one to the first, with a pause
    /// after each turn.
    pub(super) async fn begin(t: &Table, keys: &[String], pause: Duration) -> Check<Self> {
        write_all(t, keys, "0").await?;
        let backwards: Vec<String> = keys.iter().rev().cloned().collect();
        let turns = Arc::new(AtomicUsize::new(0));
        let (t, turn) = (t.clone(), Arc::clone(&turns));
        let task = aside(async move {
            while turn.fetch_add(1, Ordering::Relaxed) < ENOUGH {
                write_all(&t, &backwards, "1").await?;
                tokio::task::yield_now().await;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        });
        Ok(Self { turns, task: Box::pin(task) })
    }

    /// How often it has begun to go over all of them.
    pub(super) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    pub(super) async fn end(self) -> Check {
        self.turns.store(ENOUGH, Ordering::Relaxed);
        self.task.await
    }
}

async fn write_all(t: &Table, keys: &[String], value: &str) -> Check {
    for written in t.write_many(keys.iter().map(|key| (key, value))).await {
        written?;
    }
    Ok(())
}
