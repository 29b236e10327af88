//! All broken stores, and the case of the suite that finds each.

use std::sync::Arc;

use store_core::{Capability, Feature, StoreAdmin};

use super::{batches, claims, counters, databases, expiry, lists, reads, values, watches, writes};

/// A way to be broken.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What is broken.
    pub name: &'static str,
    /// Cases that must fail, by their ids.
    pub fails: &'static [&'static str],
    /// Breaks a store.
    pub make: fn(Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin>,
    /// What it is expected to declare, where that is not what the sound store declares.
    pub declares: fn(Capability) -> Capability,
}

/// What every driver's structure and its table entry need.
macro_rules! broken {
    ($($name:ident $({ $($field:ident: $type:ty),* })?),* $(,)?) => {$(
        #[derive(Debug)]
        pub(super) struct $name {
            inner: std::sync::Arc<dyn store_core::StoreAdmin>,
            $($($field: $type,)*)?
        }

        impl $name {
            pub(super) fn wrap(
                inner: std::sync::Arc<dyn store_core::StoreAdmin>,
            ) -> std::sync::Arc<dyn store_core::StoreAdmin> {
                std::sync::Arc::new(super::Broken(Self { inner, $($($field: Default::default(),)*)? }))
            }
        }
    )*};
}

/// The store that a broken one wraps.
macro_rules! inner {
    () => {
        fn inner(&self) -> &dyn store_core::StoreAdmin {
            &*self.inner
        }
    };
}

pub(super) use {broken, inner};

const fn mutant(
    name: &'static str,
    make: fn(Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin>,
    fails: &'static [&'static str],
) -> Mutant {
    Mutant { name, fails, make, declares: |capability| capability }
}

/// Every broken store.
pub const MUTANTS: &[Mutant] = &[
    mutant(
        "ignores the condition of a create",
        writes::IgnoresAbsent::wrap,
        &["cas/create", "race/one-create-wins"],
    ),
    mutant(
        "ignores the condition of a delete",
        writes::IgnoresDeleteCondition::wrap,
        &["cas/revision-delete", "cas/value-delete"],
    ),
    mutant(
        "takes any revision where there is no record",
        writes::RevisionOnAbsent::wrap,
        &["cas/revision-on-absent"],
    ),
    mutant(
        "checks a condition, then writes",
        writes::CheckThenWrite::wrap,
        &["race/one-update-wins", "race/compare-and-set-loop"],
    ),
    mutant(
        "compares the beginning of a value only",
        writes::ComparesBeginning::wrap,
        &["cas/value-whole"],
    ),
    mutant(
        "reuses a revision after a delete",
        writes::ReusesRevisions::wrap,
        &["revision/delete-and-recreate", "revision/many-lives"],
    ),
    mutant("drops metadata", writes::DropsMetadata::wrap, &["metadata/comes-back"]),
    mutant("trims values", writes::TrimsValues::wrap, &["read/no-trimming"]),
    mutant(
        "takes an empty value for a delete",
        writes::LosesEmptyValues::wrap,
        &["read/empty-value"],
    ),
    mutant("folds the case of keys", writes::FoldsCase::wrap, &["keys/case"]),
    mutant("cleans keys like paths", writes::CleansPaths::wrap, &["keys/paths", "keys/slashes"]),
    mutant("panics on NUL in a key", writes::PanicsOnNul::wrap, &["keys/nul"]),
    mutant("shows values in errors", writes::ShowsValues::wrap, &["error/no-value-of-a-conflict"]),
    mutant(
        "does not know whether a refused write happened",
        writes::UnsureConflicts::wrap,
        &["error/conflict"],
    ),
    mutant(
        "says that every deleted record existed",
        writes::LiesAboutDeletes::wrap,
        &["delete/tells-whether-it-existed"],
    ),
    mutant(
        "turns a network fault into a conflict",
        writes::FaultIsConflict::wrap,
        &["fault/no-conflict"],
    ),
    mutant(
        "repeats an increment whose answer was lost",
        counters::Repeats::wrap,
        &["fault/increments-count-once"],
    ),
    mutant(
        "answers reads from before the last write",
        reads::Stale::wrap,
        &["consistency/read-after-write"],
    ),
    mutant(
        "makes an absent record an error",
        reads::MissingIsError::wrap,
        &["read/missing-is-none"],
    ),
    mutant("hangs", reads::Hangs::wrap, &["read/strong"]),
    mutant(
        "reads nothing while the backend is away",
        reads::EmptyOnFault::wrap,
        &["fault/reads-are-not-empty"],
    ),
    mutant(
        "reads values alone from before the last write",
        values::Stale::wrap,
        &["value/after-a-write"],
    ),
    mutant(
        "has an empty value for no record",
        values::EmptyForNone::wrap,
        &["value/missing-is-none"],
    ),
    mutant("has no record for an empty value", values::NoneForEmpty::wrap, &["value/empty"]),
    mutant("reads values alone that have expired", values::Expired::wrap, &["value/expired"]),
    mutant(
        "reads values alone in its one cache of all tables",
        values::ForgetsTable::wrap,
        &["value/own-table"],
    ),
    mutant(
        "reads the present value for a past one",
        values::IgnoresRevision::wrap,
        &["value/at-revision"],
    ),
    mutant("reads values alone when closed", values::OpenForEver::wrap, &["close/reads"]),
    mutant(
        "has no value while the backend is away",
        values::EmptyOnFault::wrap,
        &["fault/reads-are-not-empty"],
    ),
    mutant("answers several values in its own order", values::SortsMany::wrap, &["value/many"]),
    mutant("answers a batch in its own order", reads::SortsBatches::wrap, &["batch/read-order"]),
    mutant(
        "drops expiry",
        expiry::Drops::wrap,
        &["expiry/after-a-duration-it-is-gone", "capability/expiry"],
    ),
    mutant(
        "keeps the old expiry on a rewrite",
        expiry::KeepsOld::wrap,
        &["expiry/rewrite-clears-it", "model/expiry"],
    ),
    mutant(
        "expires early",
        expiry::Early::wrap,
        &["expiry/to-the-millisecond", "expiry/never-early-never-late"],
    ),
    mutant("rounds times to live to seconds", expiry::WholeSeconds::wrap, &["expiry/sub-second"]),
    mutant("takes a time to live of zero for none", expiry::ZeroIsNever::wrap, &["expiry/zero"]),
    mutant("lists expired records", expiry::ListsExpired::wrap, &["expired/list"]),
    mutant(
        "loses the value with a change of expiry",
        expiry::LosesMetadata::wrap,
        &["set-expiry/keeps-the-rest"],
    ),
    mutant(
        "lists in no order",
        lists::Unordered::wrap,
        &["list/byte-order", "scan/byte-order", "model/records"],
    ),
    mutant("slices before it filters", lists::OffsetFirst::wrap, &["list/offset-after-filter"]),
    mutant("repeats a key on the next page", lists::Repeats::wrap, &["page/add-up"]),
    mutant(
        "loses its place when the cursor's key is deleted",
        lists::LosesPlace::wrap,
        &["page/its-key-deleted"],
    ),
    mutant("takes any cursor", lists::AnyCursor::wrap, &["page/garbage", "page/of-another-table"]),
    mutant("takes a prefix for a pattern", lists::Globs::wrap, &["list/prefix-is-no-pattern"]),
    mutant(
        "misses what is written again meanwhile",
        lists::MissesRewritten::wrap,
        &[
            "page/rewritten-meanwhile",
            "batch/read-rewritten-meanwhile",
            "watch/snapshot-beside-writers",
        ],
    ),
    mutant("ends a numeric scan after a page", lists::OnePage::wrap, &["scan-u64/complete"]),
    mutant("swallows a watch event", watches::Swallows::wrap, &["watch/every-change-in-order"]),
    mutant("loses the end of a key that never rests", watches::LosesEnds::wrap, &["watch/hot"]),
    mutant(
        "sends events twice",
        watches::Twice::wrap,
        &["watch/every-change-in-order", "watch/no-duplicates", "watch/ends-once"],
    ),
    mutant(
        "never says that a snapshot is complete",
        watches::NeverSynced::wrap,
        &["watch/synced-on-empty", "watch/snapshot-then-changes"],
    ),
    mutant(
        "resumes a watch with changes from now on",
        watches::ResumesNow::wrap,
        &["resume/after-an-event"],
    ),
    mutant(
        "watches keys that begin with the one asked for",
        watches::KeyAsPrefix::wrap,
        &["watch/key"],
    ),
    mutant(
        "calls an expiry a delete",
        watches::ExpiryIsDelete::wrap,
        &["watch/expiry", "capability/expiry_events"],
    ),
    mutant(
        "ends watches silently when it is closed",
        watches::EndsSilently::wrap,
        &["close/ends-watches"],
    ),
    mutant("loses concurrent increments", counters::ReadThenWrite::wrap, &["counter/race-total"]),
    mutant(
        "counts garbage as zero",
        counters::GarbageIsZero::wrap,
        &["counter/not-a-number", "model/batches"],
    ),
    mutant(
        "wraps counters around",
        counters::Wraps::wrap,
        &["counter/overflow-above", "counter/overflow-below"],
    ),
    mutant(
        "forgets the expiry of a counter",
        counters::ForgetsExpiry::wrap,
        &["counter/keeps-expiry"],
    ),
    mutant(
        "does an atomic batch by halves",
        batches::Halves::wrap,
        &["atomic/nothing", "atomic/never-half-seen"],
    ),
    mutant(
        "checks conditions in the middle of a batch",
        batches::ChecksInTheMiddle::wrap,
        &["atomic/conditions-are-about-before"],
    ),
    mutant(
        "lets the last of two writes in a batch win",
        batches::LastWins::wrap,
        &["atomic/key-twice"],
    ),
    mutant(
        "answers deletes in the wrong order",
        batches::DeletesBackwards::wrap,
        &["batch/delete-order"],
    ),
    mutant(
        "stops a batch at its first failure",
        batches::StopsAtFailure::wrap,
        &["batch/write-item-fails-alone"],
    ),
    mutant("mixes two tables", databases::MixesTables::wrap, &["names/case"]),
    mutant("joins table and key", databases::JoinsNames::wrap, &["names/underscore-joins"]),
    mutant(
        "destroys databases that begin alike",
        databases::DropsAlike::wrap,
        &["admin/delete-leaves-others"],
    ),
    mutant(
        "empties a database that is created again",
        databases::CreateEmpties::wrap,
        &["admin/create-again"],
    ),
    mutant(
        "takes a database without records for none",
        databases::ExistsWithRecords::wrap,
        &["admin/exists"],
    ),
    mutant(
        "goes on after it was closed",
        databases::NeverCloses::wrap,
        &["close/reads", "close/writes"],
    ),
    Mutant {
        name: "declares a feature that it lacks",
        fails: &["capability/history", "history/versions"],
        make: claims::NoHistory::wrap,
        declares: |capability| capability,
    },
    Mutant {
        name: "lacks the declaration of a feature that it has",
        fails: &["capability/increment", "refusal/increment"],
        make: claims::SecretIncrement::wrap,
        declares: |capability| capability.without(Feature::Increment),
    },
    Mutant {
        name: "ignores an expiry that it does not declare",
        fails: &["capability/expiry", "refusal/expiry"],
        make: claims::IgnoresExpiry::wrap,
        declares: claims::without_expiry,
    },
    Mutant {
        name: "declares other features than its test expects",
        fails: &["capability/as-pinned"],
        make: claims::NoHistory::wrap,
        declares: |capability| capability.without(Feature::StrongRead),
    },
];
