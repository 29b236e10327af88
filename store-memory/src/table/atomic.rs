//! Changing several records in one step.

use parking_lot::RwLockWriteGuard;
use store_core::{Error, Gone, Op, Result, Written};

use super::write::{Draft, Room};
use super::{Table, slot};
use crate::core::Moment;
use crate::shard::{Shard, Size};

impl Table {
    pub(crate) fn atomic(&self, ops: &[Op<'_>]) -> Result<Vec<Written>> {
        let now = &Moment::new(&self.core);
        Self::check_ops(ops)?;
        let mut steps = Vec::with_capacity(ops.len());
        for op in ops {
            steps.push(self.step(op, now)?);
        }
        let mut slots: Vec<usize> = steps.iter().map(|step| slot(step.hash)).collect();
        slots.sort_unstable();
        slots.dedup();
        if let Some(step) = steps.first() {
            self.shard_or_make(step.hash);
        }
        let Some(shards) = self.shards.get() else {
            return Ok(Vec::new());
        };
        // All shards of the batch at once, always in the same order: no deadlock, and nobody sees half of it.
        let locked = slots.iter().map(|&at| (at, shards[at].0.write())).collect();
        let mut locked = Locked(locked);
        if steps.iter().any(|step| step.draft.is_some()) {
            self.exists()?;
        }
        let (mut more, mut back) = (Size::default(), Size::default());
        for Step { hash, op, draft } in &steps {
            let shard = locked.shard(*hash);
            let told = shard.told;
            let current = self.live(shard, *hash, op.key().as_bytes(), now);
            op.condition().check(current).map_err(|error| error.with_key(op.key()))?;
            if let Some(draft) = draft {
                let room = Room::of(current, &draft.record);
                more.records += room.more.records;
                more.bytes += room.more.bytes;
                back.bytes += room.less.min(told.bytes);
            } else if let (Op::Remove(_), Some(record)) = (op, current) {
                let gone = Room::all(record);
                back.records += gone.records.min(told.records);
                back.bytes += gone.bytes.min(told.bytes);
            }
        }
        // Room for all of it before any of it.
        if self.state.is_bounded() {
            self.state.grow(more, back)?;
        }
        let mut written = Vec::with_capacity(steps.len());
        let mut old = Vec::with_capacity(steps.len());
        let mut changed = Vec::new();
        for Step { hash, op, draft } in steps {
            let shard = locked.shard(hash);
            written.push(match (draft, op) {
                (Some(draft), _) => {
                    let (revision, before) = self.place(shard, draft, now);
                    old.extend(before);
                    changed.push((hash, revision));
                    Written::new(Some(revision))
                }
                (None, Op::Remove(remove)) => {
                    old.extend(self.bury(shard, hash, remove.key.as_str(), Gone::Deleted));
                    Written::default()
                }
                _ => Written::default(),
            });
        }
        drop(locked);
        drop(old);
        self.written(changed);
        Ok(written)
    }

    /// Prepares one operation of a batch.
    fn step<'a>(&self, op: &'a Op<'a>, now: &Moment<'_>) -> Result<Step<'a>> {
        let draft = match op {
            Op::Put(put) => {
                let draft = self.check_len(put.value.len()).and_then(|()| self.draft_of(put, now));
                Some(draft.map_err(|error| error.with_key(put.key))?)
            }
            _ => None,
        };
        Ok(Step { hash: self.hash(op.key()), op, draft })
    }

    /// What can be refused without looking at a record.
    fn check_ops(ops: &[Op<'_>]) -> Result<()> {
        let mut changed = std::collections::HashSet::with_capacity(ops.len());
        for op in ops {
            let blame = |error: Error| error.with_key(op.key());
            match op {
                Op::Put(_) => {}
                Op::Remove(remove) => remove.condition.on_existing().map_err(blame)?,
                _ => continue,
            }
            if !changed.insert(op.key()) {
                return Err(blame(Error::invalid("a batch may change a record once only")));
            }
        }
        Ok(())
    }
}

/// One operation of a batch, prepared.
struct Step<'a> {
    hash: u64,
    op: &'a Op<'a>,
    /// What a write puts there.
    draft: Option<Draft>,
}

/// The shards of a batch, all locked, by slot.
struct Locked<'a>(Vec<(usize, RwLockWriteGuard<'a, Shard>)>);

impl Locked<'_> {
    /// The shard of a hash that is in the batch.
    fn shard(&mut self, hash: u64) -> &mut Shard {
        let at = self.0.partition_point(|(at, _)| *at < slot(hash));
        &mut self.0[at].1
    }
}
