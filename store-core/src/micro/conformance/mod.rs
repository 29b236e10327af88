//! Go-Micro's own tests of its stores, and the regressions of its drivers' bugs, as cases for any driver: part of the conformance
//! suite. `docs/micro.md` has the decision for each row of Go-Micro's tests; ids are the rows' numbers there.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, join};
use serde_json::json;

use crate::admin::DatabaseConfig;
use crate::capability::Feature;
use crate::error::{Error, ErrorKind};
use crate::handle::Admin;
use crate::micro::{self, Record, Store};
use crate::name::Name;
use crate::store::StoreAdmin;

/// What a case works with.
pub struct MicroCtx {
    /// A store object for this case, which may close it.
    pub store: Arc<dyn StoreAdmin>,
    /// The name of a database that nobody else uses; another one each time.
    pub database: Box<dyn Fn() -> String + Send + Sync>,
    /// Waits, by the store's clock.
    pub sleep: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    /// The present instant, by the store's clock.
    pub now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// The time to live that cases use: as short as the driver can tell apart under load. Half of it is the most that an expired
    /// record may be late.
    pub unit: Duration,
}

impl fmt::Debug for MicroCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MicroCtx").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A case: what is wrong with the driver, if it fails.
pub type CaseFn = for<'a> fn(&'a MicroCtx) -> BoxFuture<'a, Result<(), String>>;

/// All cases: id, sentence, code. See [`needs`].
pub fn cases() -> Vec<(&'static str, &'static str, CaseFn)> {
    CASES.iter().map(|case| (case.id, case.title, case.run)).collect()
}

/// What a driver must be able to do for a case; also nothing for an id that is none.
pub fn needs(id: &str) -> &'static [Feature] {
    CASES.iter().find(|case| case.id == id).map_or(&[], |case| case.needs)
}

struct Case {
    id: &'static str,
    title: &'static str,
    needs: &'static [Feature],
    run: CaseFn,
}

/// Why a case failed.
struct Fail(String);

type Check<T = ()> = Result<T, Fail>;

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(Fail(format!($($what)+)));
        }
    };
}

macro_rules! ensure_eq {
    ($got:expr, $want:expr, $($what:tt)+) => {{
        match (&$got, &$want) {
            (got, want) => {
                ensure!(got == want, "{}: expected {want:?}, got {got:?}", format!($($what)+));
            }
        }
    }};
}

macro_rules! cases {
    ($($id:literal $title:literal [$($need:ident),*] $run:ident;)*) => {
        const CASES: &[Case] = &[$(Case {
            id: concat!("micro/", $id),
            title: $title,
            needs: &[$(Feature::$need),*],
            run: |cx| Box::pin(async move { $run(cx).await.map_err(|fail| fail.0) }),
        }),*];
    };
}

mod own;
mod rows;

use own::{
    bucket_refused, bug_churn, bug_collisions, bug_empty, bug_expiry_reset, bug_extremes,
    bug_filter_first, bug_fresh, bug_glob, bug_leak, bug_own_keys, bug_paths, empty_key,
    exact_offset, init_again, past_hides, precedence, remaining, scope_boundary,
};
use rows::{
    row_01, row_02, row_03, row_04, row_05, row_06, row_07, row_08, row_09, row_10, row_11, row_12,
    row_13, row_14, row_15, row_16, row_17, row_18, row_19, row_20, row_21, row_22, row_23, row_24,
    row_25, row_26, row_28, row_29, row_30, row_31, row_32, row_35, row_36, row_37, row_38, row_39,
    row_40, row_41,
};

cases! {
    "row-01-works-without-init" "a store works before Init; every record of every table comes back" [Databases, Tables] row_01;
    "row-02-missing-is-not-found" "an exact key that is missing is NotFound" [] row_02;
    "row-03-databases-appear" "databases appear with a write, beside declared ones" [Databases, Tables] row_03;
    "row-04-default-expiry" "records of a database with a default expiry expire" [Databases, DefaultExpiry] row_04;
    "row-05-metadata" "metadata comes back, integers exactly" [Metadata] row_05;
    "row-06-deleted-is-not-found" "a deleted record is NotFound" [Databases, Tables] row_06;
    "row-07-list-is-of-one-table" "List without a table lists the root table, not all tables" [Databases, Tables] row_07;
    "row-08-list-offset-limit" "List skips the offset, then stops at the limit" [Databases, Tables] row_08;
    "row-09-list-of-a-table" "List of a table lists that table" [Databases, Tables] row_09;
    "row-10-suffix" "suffix, limit and offset select, in List and Read" [Databases, Tables] row_10;
    "row-11-prefix-in-the-root" "a prefix in the root table does not reach into tables" [Databases, Tables] row_11;
    "row-12-prefix-and-suffix" "prefix and suffix together are both" [Databases, Tables] row_12;
    "row-13-delete-bucket" "DeleteBucket destroys a database and no other" [Databases, Tables] row_13;
    "row-14-offsets-and-limits" "every offset and limit gives just its part" [] row_14;
    "row-15-init-sets-the-table" "Init sets a table, for calls that follow" [Tables] row_15;
    "row-16-init-clears-the-table" "Init with an empty table is the root table" [Tables] row_16;
    "row-17-tables-and-databases-are-apart" "the same key in four places is four records" [Databases, Tables] row_17;
    "row-18-expiry" "a record with an expiry is read until it has expired" [Databases, Tables, Expiry] row_18;
    "row-19-prefix-read-expires" "a prefix read leaves out what has expired" [Databases, Tables, Expiry] row_19;
    "row-20-prefix-read-step-by-step" "records expire one after the other under a prefix" [Databases, Tables, Expiry] row_20;
    "row-21-delete" "Delete deletes, and again is fine" [Databases, Tables] row_21;
    "row-22-no-match-is-empty" "a prefix whose last match was deleted is empty, no error" [Databases, Tables] row_22;
    "row-23-past-is-expired" "a past expiry is expired at once" [Databases, Tables, Expiry] row_23;
    "row-24-suffix-after-delete" "a suffix read follows deletes down to nothing" [Databases, Tables] row_24;
    "row-25-suffix-read-step-by-step" "records expire one after the other under a suffix" [Databases, Tables, Expiry] row_25;
    "row-26-27-ttl-before-expiry" "WriteTTL comes before WriteExpiry; each counts" [Databases, Tables, Expiry] row_26;
    "row-28-limit-in-order" "a limit takes the first, in order of the keys" [Databases, Tables] row_28;
    "row-29-offset-in-order" "an offset leaves the rest, in order of the keys" [Databases, Tables] row_29;
    "row-30-no-such-prefix" "a prefix that nothing has is empty" [Databases, Tables] row_30;
    "row-31-closed" "after Close every call is Closed; closing a scope closes only it" [Tables] row_31;
    "row-32-scopes" "two scopes of one store are apart" [Databases, Tables] row_32;
    "row-35-round-trip" "write with two minutes to live, read, list, delete, list" [Expiry] row_35;
    "row-36-slash-and-metadata" "a key with a slash, with metadata" [Metadata] row_36;
    "row-37-prefix-in-order" "a prefix read is in order of the keys" [] row_37;
    "row-38-two-tables" "two stores with tables of their own see only their own" [Tables] row_38;
    "row-39-two-databases" "two stores with databases of their own see only their own" [Databases] row_39;
    "row-40-overwritten-expires" "an overwritten record has the new value, then expires" [Expiry] row_40;
    "row-41-all-expired-is-empty" "a prefix under which all has expired is empty" [Expiry] row_41;
    "bug-empty-database" "List and prefix Read of a database without records are empty" [Databases] bug_empty;
    "bug-fresh-handle" "a new store object sees what is there, without writing first" [Databases, Tables] bug_fresh;
    "bug-collisions" "tables and keys with underscores, or joined, never meet" [Tables] bug_collisions;
    "bug-table-leak" "a table whose name begins another's lists only its own" [Tables] bug_leak;
    "bug-prefix-read-under-churn" "a prefix read while records come and go returns those that stay" [] bug_churn;
    "bug-limit-extremes" "the largest offsets and limits are no trouble" [] bug_extremes;
    "bug-path-keys" "keys are not paths: dots, slashes and stars are characters" [Tables] bug_paths;
    "bug-glob-prefix" "a prefix or suffix is no pattern" [] bug_glob;
    "bug-filter-before-limit" "filters come before limit and offset" [] bug_filter_first;
    "bug-own-keys" "a prefix read names each record by its own key" [] bug_own_keys;
    "bug-expiry-is-set-as-a-whole" "a write without expiry lives for ever, whatever was there" [Expiry] bug_expiry_reset;
    "expiry-precedence" "TTL before expiry before the record's own; zero is not set" [Expiry] precedence;
    "expiry-remaining" "Read returns what is left of a life" [Expiry] remaining;
    "past-hides-what-was-there" "a write that is expired at once leaves no older state" [Expiry] past_hides;
    "exact-read-offset" "offset and limit count for an exact read too" [] exact_offset;
    "empty-key-refused" "an empty key is refused" [] empty_key;
    "delete-bucket-refused" "DeleteBucket is refused with DeleteFrom, on a scope, without the right; no table name means it" [Databases, Tables] bucket_refused;
    "scope-is-a-boundary" "no option of a call or scope leaves a scope" [Databases, Tables] scope_boundary;
    "init-again" "Init can be called again, keeps what it is not told, and sets nothing when it fails" [Tables] init_again;
}

/// A store whose default is a database of its own.
fn fresh(cx: &MicroCtx) -> Store {
    Store::new(Arc::clone(&cx.store), [micro::database((cx.database)())])
}

/// Go-Micro's fixture: seventeen records in three databases.
struct Fixture {
    store: Store,
    new_bucket: String,
    prefix_test: String,
    /// The layout takes any key.
    any_key: bool,
}

const T17: [(&str, &str, &str, &str); 17] = [
    ("", "", "One", "First value"),
    ("", "prefix_test", "Two", "Second value"),
    ("new-bucket", "", "Third", "Third value"),
    ("new-bucket", "prefix_test", "Four", "Fourth value"),
    ("new-bucket", "", "empty-value", ""),
    ("prefix-test", "names", "Alex", "Has Only Birthday On 29th Of February"),
    ("prefix-test", "names", "Jones", "Doesn't have a birthday"),
    ("prefix-test", "names", "Adrianna", "Has a birthday every year"),
    ("prefix-test", "cities", "MexicoCity", "Mexico"),
    ("prefix-test", "cities", "HoustonCity", "USA"),
    ("prefix-test", "cities", "ZurichCity", "Switzerland"),
    ("prefix-test", "cities", "Helsinki", "Finland"),
    ("", "some_table", "testKeytest", "Some value"),
    ("", "some_table", "testSecondtest", "Another value"),
    ("", "some_table", "lalala", "One more"),
    ("", "", "testAnothertest", "Last"),
    ("", "", "FobiddenCharactersAreAllowed:|@..+", "data no matter"),
];

impl Fixture {
    async fn new(cx: &MicroCtx) -> Check<Self> {
        let name = (cx.database)();
        let capability = cx.store.capability(&Name::new(&name)?).await?;
        Ok(Self {
            store: Store::new(Arc::clone(&cx.store), [micro::database(name)]),
            new_bucket: (cx.database)(),
            prefix_test: (cx.database)(),
            any_key: capability.alphabet.is_none(),
        })
    }

    async fn filled(cx: &MicroCtx) -> Check<Self> {
        let fixture = Self::new(cx).await?;
        for (database, table, key, value) in fixture.records() {
            let to = micro::write_to(database, table);
            fixture.store.write(&Record::new(key, value), [to]).await?;
        }
        Ok(fixture)
    }

    fn records(&self) -> impl Iterator<Item = (&str, &'static str, &'static str, &'static str)> {
        let all = if self.any_key { T17.len() } else { T17.len() - 1 };
        T17[..all].iter().map(|&(database, table, key, value)| {
            let database = match database {
                "new-bucket" => &self.new_bucket,
                "prefix-test" => &self.prefix_test,
                _ => "",
            };
            (database, table, key, value)
        })
    }
}

/// Four places for the same keys: default, a table, a database, both.
async fn four(cx: &MicroCtx) -> Check<[Store; 4]> {
    let (one, two) = ((cx.database)(), (cx.database)());
    let place = |database: &str, table| {
        let options = [micro::database(database), micro::table(table)];
        Store::new(Arc::clone(&cx.store), options)
    };
    let stores = [place(&one, ""), place(&one, "t"), place(&two, ""), place(&two, "t")];
    for store in &stores {
        // What takes time at first is not to count against the records' lives.
        store.write(&Record::new("warm", ""), []).await?;
        store.delete("warm", []).await?;
    }
    Ok(stores)
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

fn lives(key: &str, value: &str, expiry: Duration) -> Record {
    let mut record = Record::new(key, value.to_owned());
    record.expiry = expiry;
    record
}

async fn put(store: &Store, names: &[&str]) -> Check {
    for key in names {
        store.write(&Record::new(*key, key.as_bytes().to_vec()), []).await?;
    }
    Ok(())
}

fn refused<T>(result: crate::Result<T>, kind: ErrorKind, what: &str) -> Check {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Fail(format!("{what}: expected {kind}, got {error:?}"))),
        Ok(_) => Err(Fail(format!("{what}: expected {kind}, got success"))),
    }
}

async fn absent(store: &Store, key: &str) -> Check {
    refused(store.read(key, []).await, ErrorKind::NotFound, &format!("Read({key:?})"))
}

async fn prefixed(store: &Store, prefix: &str, want: &[&str], when: &str) -> Check {
    let found = store.read(prefix, [micro::read_prefix()]).await?;
    ensure_eq!(keys(&found), want, "prefix Read({prefix:?}) {when}");
    Ok(())
}

async fn suffixed(store: &Store, suffix: &str, want: &[&str], when: &str) -> Check {
    let found = store.read(suffix, [micro::read_suffix()]).await?;
    ensure_eq!(keys(&found), want, "suffix Read({suffix:?}) {when}");
    Ok(())
}

/// Lets a life of `units` pass, and as much again as an expired record may be late. A life of twice as many is then not over.
async fn pass(cx: &MicroCtx, units: u32) {
    (cx.sleep)(cx.unit * units + cx.unit / 2).await;
}
