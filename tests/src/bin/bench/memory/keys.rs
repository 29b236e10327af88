//! The keys of the suite: one text per pool, in random order, so that walking a pool costs next to nothing and each step is a
//! record somewhere else in memory.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::measure::Lane;

/// How many records every structure holds.
pub(crate) const RECORDS: usize = 1_000_000;
/// How many of them share a prefix.
pub(crate) const GROUP: usize = 100;
/// The length of a key such as `p00042/k07-1a2b3c4d`.
pub(crate) const KEY_LEN: usize = 19;
const PREFIX_LEN: usize = 7;
/// Keys that come and go.
const NEWBORN: usize = RECORDS / 5;

/// The key of record `i`, `len` bytes long, into `out`.
pub(crate) fn write_key(out: &mut String, i: usize, kind: char, len: usize) {
    out.clear();
    let _ = write!(out, "p{:05}/{kind}{:02}-", i / GROUP, i % GROUP);
    let mut digits = i as u64 + 1;
    while out.len() < len {
        digits = digits.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        let _ = write!(out, "{:08x}", digits as u32);
    }
    out.truncate(len);
}

/// Keys of one length, one after another.
pub(crate) struct Pool {
    text: String,
    len: usize,
}

/// All records, in random order.
pub(crate) fn records() -> &'static Pool {
    static POOL: LazyLock<Pool> =
        LazyLock::new(|| Pool::new(RECORDS, KEY_LEN, |out, i| write_key(out, i, 'k', KEY_LEN)));
    &POOL
}

/// All prefixes, in random order; each has [`GROUP`] records.
pub(crate) fn prefixes() -> &'static Pool {
    static POOL: LazyLock<Pool> = LazyLock::new(|| {
        Pool::new(RECORDS / GROUP, PREFIX_LEN, |out, i| {
            write_key(out, i * GROUP, 'k', PREFIX_LEN);
        })
    });
    &POOL
}

/// Keys that are no records yet and would lie all over the table.
pub(crate) fn newborn() -> &'static Pool {
    static POOL: LazyLock<Pool> = LazyLock::new(|| {
        Pool::new(NEWBORN, KEY_LEN, |out, i| {
            write_key(out, i * (RECORDS / NEWBORN), 'n', KEY_LEN);
        })
    });
    &POOL
}

impl Pool {
    fn new(count: usize, len: usize, make: impl Fn(&mut String, usize)) -> Self {
        let mut text = String::with_capacity(count * len);
        let mut key = String::new();
        for i in shuffled(count, 1) {
            make(&mut key, i);
            text.push_str(&key);
        }
        Self { text, len }
    }

    fn count(&self) -> usize {
        self.text.len() / self.len
    }

    /// Each key once, in an order that has nothing to do with that of a walk: neighbours of a walk must not be neighbours in memory.
    pub(crate) fn each(&self) -> impl Iterator<Item = &str> {
        let order = shuffled(self.count(), 2);
        order.into_iter().map(|i| &self.text[i * self.len..][..self.len])
    }

    /// Keys without end; each task of a slice begins elsewhere, and so does each round.
    pub(crate) fn walk(&self, lane: &Lane) -> Walk<'_> {
        let count = self.count();
        // Steps of the golden ratio spread the beginnings, so that a round does not find what the last one left in the caches.
        let round = (lane.round as f64 * 0.618_033_988_749_895).fract();
        let begin = lane.task as f64 / lane.tasks as f64 + round;
        Walk::over(&self.text, self.len, (begin.fract() * count as f64) as usize)
    }

    /// A few keys without end.
    pub(crate) fn first(&self, count: usize) -> Walk<'_> {
        Walk::over(&self.text[..count * self.len], self.len, 0)
    }

    /// Keys without end that no other task of the slice has.
    pub(crate) fn own(&self, lane: &Lane) -> Walk<'_> {
        let part = self.count() / lane.tasks * self.len;
        Walk::over(&self.text[lane.task * part..][..part], self.len, 0)
    }
}

/// Walks keys round and round.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    text: &'a str,
    len: usize,
    at: usize,
}

impl<'a> Walk<'a> {
    fn over(text: &'a str, len: usize, begin: usize) -> Self {
        Self { text, len, at: begin * len }
    }

    #[inline]
    pub(crate) fn key(&mut self) -> &'a str {
        let end = self.at + self.len;
        let key = &self.text[self.at..end];
        self.at = if end == self.text.len() { 0 } else { end };
        key
    }
}

/// The numbers below `count` in an order that looks random and is the same for the same seed.
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64.wrapping_mul(2 * seed + 1);
    for last in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_as_long_as_said() {
        let mut all: Vec<&str> = records().each().chain(newborn().each()).collect();
        assert!(all.iter().all(|key| key.len() == KEY_LEN));
        assert_eq!(all.len(), RECORDS + NEWBORN);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), RECORDS + NEWBORN);
    }

    #[test]
    fn each_prefix_has_its_hundred_records() {
        let prefix = prefixes().each().next().unwrap();
        let under = records().each().filter(|key| key.starts_with(prefix));
        assert_eq!(under.count(), GROUP);
    }
}
