//! The work of the cases.

use std::hint::black_box;
use std::sync::Arc;

use super::contestant::{Births, Counts, Points, Reads, Scans, Wrong};
use super::keys;
use crate::Result;
use crate::measure::{Done, Lane, Work};

/// The value that every record is loaded with, and the one that writes put there.
pub(crate) const LOADED: [u8; 100] = [b'v'; 100];
const WRITTEN: [u8; 100] = [b'w'; 100];

/// How many operations pass between two looks at the time.
const BATCH: usize = 1024;

/// Reads records all over the table.
#[derive(Clone, Copy)]
pub(crate) struct Read;

impl<C: Reads> Work<C> for Read {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().walk(&lane);
        let mut lap = lane.start().await;
        let mut sum = 0u64;
        loop {
            for _ in 0..BATCH {
                sum = sum.wrapping_add(on.read(keys.key()).await?);
            }
            if !lap.more(BATCH).await {
                break;
            }
        }
        black_box(sum);
        Ok(lap.done())
    }
}

/// Reads, and overwrites one record in twenty.
#[derive(Clone, Copy)]
pub(crate) struct Mixed;

impl<C: Points> Work<C> for Mixed {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().walk(&lane);
        let mut lap = lane.start().await;
        let mut sum = 0u64;
        loop {
            for _ in 0..BATCH / 20 {
                on.write(keys.key(), black_box(&WRITTEN)).await?;
                for _ in 0..19 {
                    sum = sum.wrapping_add(on.read(keys.key()).await?);
                }
            }
            if !lap.more(BATCH / 20 * 20).await {
                break;
            }
        }
        black_box(sum);
        Ok(lap.done())
    }
}

/// Overwrites records all over the table.
#[derive(Clone, Copy)]
pub(crate) struct Write;

impl<C: Points> Work<C> for Write {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().walk(&lane);
        let mut lap = lane.start().await;
        loop {
            for _ in 0..BATCH {
                on.write(keys.key(), black_box(&WRITTEN)).await?;
            }
            if !lap.more(BATCH).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Creates a record and deletes the one created [`LIFE`] creations ago.
#[derive(Clone, Copy)]
pub(crate) struct CreateDelete;

/// How many records of a task exist at a time: more than a structure could keep aside without ever taking them in.
const LIFE: usize = 8192;

impl<C: Births> Work<C> for CreateDelete {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut born = keys::newborn().own(&lane);
        let mut dying = born.clone();
        for _ in 0..LIFE {
            on.create(born.key(), &LOADED).await?;
        }
        let mut lap = lane.start().await;
        loop {
            for _ in 0..BATCH / 2 {
                on.create(born.key(), black_box(&WRITTEN)).await?;
                on.delete(dying.key()).await?;
            }
            if !lap.more(BATCH / 2 * 2).await {
                break;
            }
        }
        let done = lap.done();
        for _ in 0..LIFE {
            on.delete(dying.key()).await?;
        }
        Ok(done)
    }
}

/// Collects the 100 records of a prefix.
#[derive(Clone, Copy)]
pub(crate) struct Scan {
    /// How many between two looks at the time: 1 where a scan takes long.
    pub(crate) batch: usize,
}

impl<C: Scans> Work<C> for Scan {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut prefixes = keys::prefixes().walk(&lane);
        let mut lap = lane.start().await;
        let mut sum = 0u64;
        loop {
            for _ in 0..self.batch {
                let seen = on.scan(prefixes.key(), keys::GROUP).await?;
                if seen.records != keys::GROUP {
                    return Err(Wrong("a prefix scan did not find its 100 records").into());
                }
                sum = sum.wrapping_add(seen.sum);
            }
            if !lap.more(self.batch).await {
                break;
            }
        }
        black_box(sum);
        Ok(lap.done())
    }
}

/// Adds one to the same counter from every task.
#[derive(Clone, Copy)]
pub(crate) struct Increment;

impl<C: Counts> Work<C> for Increment {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut lap = lane.start().await;
        let mut last = 0;
        loop {
            for _ in 0..BATCH {
                let sum = on.increment("hits", 1).await?;
                if sum <= last {
                    return Err(Wrong("a counter went back").into());
                }
                last = sum;
            }
            if !lap.more(BATCH).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Reads few records, which stay in the nearest caches: what is left is the cost of the call itself.
#[derive(Clone, Copy)]
pub(crate) struct HotRead;

impl<C: Reads> Work<C> for HotRead {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().first(HOT);
        let mut lap = lane.start().await;
        let mut sum = 0u64;
        loop {
            for _ in 0..BATCH {
                sum = sum.wrapping_add(on.read(keys.key()).await?);
            }
            if !lap.more(BATCH).await {
                break;
            }
        }
        black_box(sum);
        Ok(lap.done())
    }
}

const HOT: usize = 1000;
