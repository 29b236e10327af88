//! The operations of a sequence, and how they are made up.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::Focus;
use crate::capability::Feature as F;
use crate::conformance::cx::Cx;

/// One step. Conditions are said in terms of what the model knows, so that a shortened sequence still means something.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Write),
    Delete { key: &'static str, when: When },
    SetExpiry { key: &'static str, expiry: Until, when: When },
    Increment { key: &'static str, delta: i64 },
    Read { key: &'static str },
    ReadMany { keys: Vec<&'static str> },
    WriteMany { writes: Vec<Write> },
    DeleteMany { keys: Vec<&'static str> },
    Atomic { items: Vec<Item> },
    List { ask: Ask, records: bool },
    ScanU64 { limit: usize },
    Advance { ms: u64 },
    DeleteTable,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) note: Option<u8>,
    pub(super) expiry: Until,
    pub(super) when: When,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    Write(Write),
    Delete { key: &'static str, when: When },
    Check { key: &'static str, when: When },
}

/// An expiry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Default,
    Never,
    After(Duration),
    At(Duration),
    Keep,
}

/// A condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Any,
    Absent,
    /// The revision the record has; a foreign one if it is absent.
    Current,
    /// The revision the record had before its last change.
    Stale,
    /// The value the record has; some value if it is absent.
    SameValue,
    OtherValue,
}

#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) prefix: &'static str,
    pub(super) suffix: &'static str,
    pub(super) start_after: Option<&'static str>,
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    pub(super) page: usize,
}

/// Keys that begin and end like each other.
const KEYS: [&str; 8] = ["a", "ab", "aba", "b", "ba", "bab", "c", "B"];
const PARTS: [&str; 6] = ["", "a", "ab", "b", "ba", "x"];
const VALUES: [&str; 6] = ["", "0", "7", "-3", "text", "9223372036854775807"];

pub(super) fn sequence(cx: &Cx, focus: Focus, steps: usize) -> BoxedStrategy<Vec<Step>> {
    vec(step(cx, focus), 1..=steps.max(2)).boxed()
}

fn key() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn step(cx: &Cx, focus: Focus) -> BoxedStrategy<Step> {
    let (records, times, batches) = match focus {
        Focus::Records => (4, 1, 1),
        Focus::Expiry => (1, 4, 1),
        Focus::Batches => (1, 1, 4),
    };
    let times = if cx.has(F::Expiry) { times } else { 0 };
    let when = || when(cx);
    let mut all: Vec<(u32, BoxedStrategy<Step>)> = vec![
        (6, write(cx, focus).prop_map(Step::Write).boxed()),
        (2 * records, (key(), when()).prop_map(|(key, when)| Step::Delete { key, when }).boxed()),
        (1, key().prop_map(|key| Step::Read { key }).boxed()),
        (batches, vec(key(), 0..6).prop_map(|keys| Step::ReadMany { keys }).boxed()),
        (
            batches,
            vec(write(cx, focus), 0..4).prop_map(|writes| Step::WriteMany { writes }).boxed(),
        ),
        (batches, vec(key(), 0..4).prop_map(|keys| Step::DeleteMany { keys }).boxed()),
        (
            2 * records,
            (ask(cx), any::<bool>()).prop_map(|(ask, records)| Step::List { ask, records }).boxed(),
        ),
    ];
    if focus == Focus::Batches {
        all.push((1, Just(Step::DeleteTable).boxed()));
    }
    if cx.has(F::Increment) {
        let delta = prop_oneof![-3i64..=3, Just(i64::MAX), Just(i64::MIN)];
        all.push((
            2 * batches,
            (key(), delta).prop_map(|(key, delta)| Step::Increment { key, delta }).boxed(),
        ));
    }
    if cx.has(F::ScanU64) {
        all.push((1, (1usize..5).prop_map(|limit| Step::ScanU64 { limit }).boxed()));
    }
    if cx.has(F::SetExpiry) && times > 0 {
        let made = (key(), until(cx, focus), when());
        all.push((
            times,
            made.prop_map(|(key, expiry, when)| Step::SetExpiry { key, expiry, when }).boxed(),
        ));
    }
    if cx.is_movable() && times > 0 {
        all.push((times, (1u64..4000).prop_map(|ms| Step::Advance { ms }).boxed()));
    }
    if cx.has(F::AtomicBatch) {
        all.push((
            2 * batches,
            vec(item(cx, focus), 0..5).prop_map(|items| Step::Atomic { items }).boxed(),
        ));
    }
    proptest::strategy::Union::new_weighted(all).boxed()
}

fn item(cx: &Cx, focus: Focus) -> BoxedStrategy<Item> {
    prop_oneof![
        3 => write(cx, focus).prop_map(Item::Write),
        1 => (key(), when(cx)).prop_map(|(key, when)| Item::Delete { key, when }),
        1 => (key(), when(cx)).prop_map(|(key, when)| Item::Check { key, when }),
    ]
    .boxed()
}

fn write(cx: &Cx, focus: Focus) -> BoxedStrategy<Write> {
    let note = if cx.has(F::Metadata) { option::of(0u8..3).boxed() } else { Just(None).boxed() };
    (key(), select(&VALUES[..]), note, until(cx, focus), when(cx))
        .prop_map(|(key, value, note, expiry, when)| Write { key, value, note, expiry, when })
        .boxed()
}

/// Short where time can be moved; where it is real nothing expires during a sequence.
fn until(cx: &Cx, focus: Focus) -> BoxedStrategy<Until> {
    let mut all = vec![(3, Just(Until::Default).boxed()), (1, Just(Until::Never).boxed())];
    if cx.has(F::Expiry) {
        let weight = if focus == Focus::Expiry { 4 } else { 1 };
        let least = cx.declared().min_ttl.unwrap_or(Duration::from_millis(1)).as_millis() as u64;
        let ttl = if cx.is_movable() { least..least + 5000 } else { 600_000..700_000 };
        all.push((
            weight,
            ttl.clone().prop_map(|ms| Until::After(Duration::from_millis(ms))).boxed(),
        ));
        all.push((1, ttl.prop_map(|ms| Until::At(Duration::from_millis(ms))).boxed()));
    }
    if cx.has(F::KeepExpiry) {
        all.push((1, Just(Until::Keep).boxed()));
    }
    proptest::strategy::Union::new_weighted(all).boxed()
}

fn when(cx: &Cx) -> BoxedStrategy<When> {
    let mut all = vec![(6, When::Any)];
    if cx.has(F::Create) {
        all.push((1, When::Absent));
    }
    if cx.has(F::IfRevision) {
        all.extend([(2, When::Current), (1, When::Stale)]);
    }
    if cx.has(F::IfValue) {
        all.extend([(1, When::SameValue), (1, When::OtherValue)]);
    }
    let all = all.into_iter().map(|(weight, when)| (weight, Just(when).boxed()));
    proptest::strategy::Union::new_weighted(all.collect()).boxed()
}

fn ask(cx: &Cx) -> BoxedStrategy<Ask> {
    // Most listings have few filters: what passes several is mostly nothing. Without an order, a slice could be any.
    let part = || prop_oneof![2 => Just(""), 1 => select(&PARTS[..])];
    let (offset, limit) = if cx.has(F::ByteOrder) {
        let limit = prop_oneof![0usize..6, Just(usize::MAX)];
        (
            prop_oneof![6 => Just(0), 3 => 1usize..5, 1 => Just(usize::MAX)].boxed(),
            option::weighted(0.3, limit).boxed(),
        )
    } else {
        (Just(0).boxed(), Just(None).boxed())
    };
    (part(), part(), option::weighted(0.2, key()), offset, limit, 1usize..10)
        .prop_map(|(prefix, suffix, start_after, offset, limit, page)| Ask {
            prefix,
            suffix,
            start_after,
            offset,
            limit,
            page,
        })
        .boxed()
}
