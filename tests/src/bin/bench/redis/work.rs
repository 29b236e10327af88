//! The work of the cases.

use std::hint::black_box;
use std::sync::Arc;

use super::sides::{Counts, Pages, Reads, ReadsMany, Writes, WritesMany};
use crate::Result;
use crate::measure::{Done, Lane, Work};
use crate::memory::keys;

/// The value that every record has.
pub(crate) const VALUE: [u8; 100] = [b'v'; 100];
/// How many calls pass between two looks at the time.
const BATCH: usize = 8;
/// How many records are read or written together.
pub(crate) const MANY: usize = 100;
/// How many of the keys are used where the peer's records have to be written first.
pub(crate) const FEW: usize = 10_000;

/// Reads records all over the table.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) of: Records,
}

/// Which records.
#[derive(Clone, Copy)]
pub(crate) enum Records {
    All,
    Few,
}

impl Records {
    fn walk(self, lane: &Lane) -> keys::Walk<'static> {
        match self {
            Self::All => keys::records().walk(lane),
            Self::Few => keys::records().first(FEW),
        }
    }
}

impl<C: Reads> Work<C> for Read {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = self.of.walk(&lane);
        let mut lap = lane.start().await;
        loop {
            for _ in 0..BATCH {
                if black_box(on.read(keys.key()).await?) != VALUE.len() {
                    return Err("a value has another length than was written".into());
                }
            }
            if !lap.more(BATCH).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Overwrites records.
#[derive(Clone, Copy)]
pub(crate) struct Write {
    pub(crate) of: Records,
}

impl<C: Writes> Work<C> for Write {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = self.of.walk(&lane);
        let mut lap = lane.start().await;
        loop {
            for _ in 0..BATCH {
                on.write(keys.key(), black_box(&VALUE)).await?;
            }
            if !lap.more(BATCH).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Reads a hundred at a time.
#[derive(Clone, Copy)]
pub(crate) struct ReadMany;

impl<C: ReadsMany> Work<C> for ReadMany {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().walk(&lane);
        let mut lap = lane.start().await;
        loop {
            let some: Vec<&str> = (0..MANY).map(|_| keys.key()).collect();
            if black_box(on.read_many(&some).await?) != MANY * VALUE.len() {
                return Err("values have another length than was written".into());
            }
            if !lap.more(MANY).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Overwrites a hundred at a time.
#[derive(Clone, Copy)]
pub(crate) struct WriteMany;

impl<C: WritesMany> Work<C> for WriteMany {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut keys = keys::records().walk(&lane);
        let mut lap = lane.start().await;
        loop {
            let some: Vec<&str> = (0..MANY).map(|_| keys.key()).collect();
            on.write_many(&some, black_box(&VALUE)).await?;
            if !lap.more(MANY).await {
                return Ok(lap.done());
            }
        }
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
            let sum = on.increment("hits").await?;
            if sum <= last {
                return Err("a counter went back".into());
            }
            last = sum;
            if !lap.more(1).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Lists the first keys of a table.
#[derive(Clone, Copy)]
pub(crate) struct FirstPage {
    pub(crate) keys: usize,
}

impl<C: Pages> Work<C> for FirstPage {
    async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
        let mut lap = lane.start().await;
        loop {
            if black_box(on.first_page(self.keys).await?) != self.keys {
                return Err("a page has not the keys that it should have".into());
            }
            if !lap.more(1).await {
                return Ok(lap.done());
            }
        }
    }
}
