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

async fn row_01(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (database, table, key, value) in fixture.records() {
        let found = fixture.store.read(key, [micro::read_from(database, table)]).await?;
        ensure_eq!(keys(&found), [key], "Read");
        ensure_eq!(found[0].value, value.as_bytes(), "the value of {key}");
    }
    Ok(())
}

async fn row_02(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    absent(&store, "this-is-a-random-key").await?;
    put(&store, &["another-key"]).await?;
    absent(&store, "this-is-a-random-key").await
}

async fn row_03(cx: &MicroCtx) -> Check {
    let admin = Admin::new(Arc::clone(&cx.store));
    let fixture = Fixture::new(cx).await?;
    admin.create(&fixture.new_bucket, &DatabaseConfig::new()).await?;
    for (database, table, key, value) in fixture.records() {
        let to = micro::write_to(database, table);
        fixture.store.write(&Record::new(key, value), [to]).await?;
    }
    let names = admin.list().await?;
    for name in [&fixture.new_bucket, &fixture.prefix_test, &fixture.store.options().database] {
        ensure!(names.iter().any(|n| n.as_str() == name), "database {name} is not listed");
    }
    Ok(())
}

async fn row_04(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let config = DatabaseConfig::new().with_default_ttl(cx.unit);
    Admin::new(Arc::clone(&cx.store)).create(store.options().database, &config).await?;
    put(&store, &["a", "b"]).await?;
    pass(cx, 1).await;
    absent(&store, "a").await?;
    absent(&store, "b").await
}

async fn row_05(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let mut record = Record::new("KeyOne", "Some value");
    record.metadata.insert("meta-one".into(), json!("val"));
    record.metadata.insert("meta-two".into(), json!(5));
    // More than a float holds: Go reads ...992.
    record.metadata.insert("meta-three".into(), json!(9_007_199_254_740_993_u64));
    store.write(&record, []).await?;
    let found = store.read("KeyOne", []).await?;
    ensure_eq!(found[0].metadata, record.metadata, "metadata");
    Ok(())
}

async fn row_06(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (database, table, key, _) in fixture.records() {
        fixture.store.delete(key, [micro::delete_from(database, table)]).await?;
        let read = fixture.store.read(key, [micro::read_from(database, table)]).await;
        refused(read, ErrorKind::NotFound, key)?;
    }
    Ok(())
}

async fn row_07(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let mut want = vec!["FobiddenCharactersAreAllowed:|@..+", "One", "testAnothertest"];
    want.drain(..usize::from(!fixture.any_key));
    ensure_eq!(fixture.store.list([]).await?, want, "List()");
    let tables = Admin::new(Arc::clone(&cx.store)).tables(fixture.store.options().database).await?;
    ensure_eq!(tables, ["", "prefix_test", "some_table"], "tables of the default database");
    Ok(())
}

async fn row_08(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let from = || micro::list_from(&fixture.prefix_test, "cities");
    let list = fixture.store.list([from()]).await?;
    ensure_eq!(list, ["Helsinki", "HoustonCity", "MexicoCity", "ZurichCity"], "List");
    let list = fixture.store.list([from(), micro::list_offset(1)]).await?;
    ensure_eq!(list, ["HoustonCity", "MexicoCity", "ZurichCity"], "List, offset 1");
    let list = fixture.store.list([from(), micro::list_offset(1), micro::list_limit(2)]).await?;
    ensure_eq!(list, ["HoustonCity", "MexicoCity"], "List, offset 1, limit 2");
    let list = fixture.store.list([micro::list_from(&fixture.prefix_test, "")]).await?;
    ensure!(list.is_empty(), "the root table has {list:?}");
    Ok(())
}

async fn row_09(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (table, count) in [("names", 3), ("cities", 4)] {
        let list = fixture.store.list([micro::list_from(&fixture.prefix_test, table)]).await?;
        ensure_eq!(list.len(), count, "List of {table}");
    }
    Ok(())
}

async fn row_10(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let all = ["HoustonCity", "MexicoCity", "ZurichCity"];
    for (limit, offset, want) in [(0, 0, &all[..]), (2, 0, &all[..2]), (0, 1, &all[1..])] {
        let list = fixture.store.list([
            micro::list_from(&fixture.prefix_test, "cities"),
            micro::list_suffix("City"),
            micro::list_limit(limit),
            micro::list_offset(offset),
        ]);
        ensure_eq!(list.await?, want, "List, limit {limit}, offset {offset}");
        let read = [
            micro::read_from(&fixture.prefix_test, "cities"),
            micro::read_suffix(),
            micro::read_limit(limit),
            micro::read_offset(offset),
        ];
        let found = fixture.store.read("City", read).await?;
        ensure_eq!(keys(&found), want, "Read, limit {limit}, offset {offset}");
    }
    Ok(())
}

async fn row_11(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let list = fixture.store.list([micro::list_prefix("test")]).await?;
    ensure_eq!(list, ["testAnothertest"], "List");
    prefixed(&fixture.store, "test", &["testAnothertest"], "").await
}

async fn row_12(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let want = ["testKeytest", "testSecondtest"];
    let list = fixture.store.list([
        micro::list_from("", "some_table"),
        micro::list_prefix("test"),
        micro::list_suffix("test"),
    ]);
    ensure_eq!(list.await?, want, "List");
    let from = micro::read_from("", "some_table");
    let read = fixture.store.read("test", [from, micro::read_prefix(), micro::read_suffix()]);
    ensure_eq!(keys(&read.await?), want, "Read");
    Ok(())
}

async fn row_13(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    fixture.store.delete(&fixture.prefix_test, [micro::delete_bucket()]).await?;
    for table in ["", "names", "cities"] {
        let list = fixture.store.list([micro::list_from(&fixture.prefix_test, table)]).await?;
        ensure!(list.is_empty(), "List of {table:?} after DeleteBucket: {list:?}");
        let from = micro::read_from(&fixture.prefix_test, table);
        let found = fixture.store.read("", [from, micro::read_prefix()]).await?;
        ensure!(found.is_empty(), "Read of {table:?} after DeleteBucket: {:?}", keys(&found));
    }
    let other = fixture.store.read("Third", [micro::read_from(&fixture.new_bucket, "")]).await?;
    ensure_eq!(keys(&other), ["Third"], "another database");
    // Again is fine, as a second Delete is.
    Ok(fixture.store.delete(&fixture.prefix_test, [micro::delete_bucket()]).await?)
}

async fn row_14(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let all = ["a", "b", "c", "d"];
    put(&store, &all).await?;
    for (offset, limit, want) in [
        (0, 0, &all[..]),
        (1, 3, &all[1..]),
        (1, 1, &all[1..2]),
        (4, 0, &[]),
        (222, 0, &[]),
        (0, 36, &all),
    ] {
        let list = store.list([micro::list_offset(offset), micro::list_limit(limit)]).await?;
        ensure_eq!(list, want, "List, offset {offset}, limit {limit}");
        let part = [micro::read_prefix(), micro::read_offset(offset), micro::read_limit(limit)];
        let found = store.read("", part).await?;
        ensure_eq!(keys(&found), want, "Read, offset {offset}, limit {limit}");
    }
    Ok(())
}

async fn row_15(cx: &MicroCtx) -> Check {
    let options = [micro::database((cx.database)()), micro::table("aaa")];
    let store = Store::new(Arc::clone(&cx.store), options);
    store.init([micro::table("bbb")]).await?;
    ensure_eq!(store.options().table, "bbb", "the table");
    put(&store, &["k"]).await?;
    ensure_eq!(store.list([micro::list_from("", "bbb")]).await?, ["k"], "List of bbb");
    Ok(())
}

async fn row_16(cx: &MicroCtx) -> Check {
    let options = [micro::database((cx.database)()), micro::table("aaa")];
    let store = Store::new(Arc::clone(&cx.store), options);
    put(&store, &["k"]).await?;
    store.init([micro::table("")]).await?;
    ensure_eq!(store.options().table, "", "the table");
    absent(&store, "k").await
}

async fn row_17(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for (i, store) in stores.iter().enumerate() {
        store.write(&Record::new("k", vec![i as u8]), []).await?;
    }
    for (i, store) in stores.iter().enumerate() {
        ensure_eq!(store.read("k", []).await?[0].value, [i as u8][..], "place {i}");
        ensure_eq!(store.list([]).await?, ["k"], "List of place {i}");
    }
    stores[1].delete("k", []).await?;
    absent(&stores[1], "k").await?;
    for i in [0, 2, 3] {
        ensure_eq!(stores[i].list([]).await?, ["k"], "place {i} after a delete in place 1");
    }
    Ok(())
}

async fn row_18(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        store.write(&lives("Hello", "World", cx.unit), []).await?;
        let found = store.read("Hello", []).await?;
        ensure_eq!(keys(&found), ["Hello"], "Read at once");
        ensure_eq!(found[0].value, "World", "the value");
    }
    pass(cx, 1).await;
    for store in &stores {
        absent(store, "Hello").await?;
    }
    Ok(())
}

async fn row_19(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        put(store, &["foo"]).await?;
        store.write(&lives("foobar", "foobarfoobar", cx.unit), []).await?;
        prefixed(store, "foo", &["foo", "foobar"], "at once").await?;
    }
    pass(cx, 1).await;
    for store in &stores {
        prefixed(store, "foo", &["foo"], "after the expiry").await?;
    }
    Ok(())
}

async fn row_20(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        put(store, &["foo"]).await?;
        store.write(&lives("foobarbaz", "", cx.unit * 4), []).await?;
        store.write(&lives("foobar", "", cx.unit), []).await?;
        prefixed(store, "foo", &["foo", "foobar", "foobarbaz"], "at once").await?;
    }
    pass(cx, 1).await;
    for store in &stores {
        prefixed(store, "foo", &["foo", "foobarbaz"], "after the first expiry").await?;
    }
    pass(cx, 3).await;
    for store in &stores {
        prefixed(store, "foo", &["foo"], "after both").await?;
    }
    Ok(())
}

async fn row_21(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo"]).await?;
        store.delete("foo", []).await?;
        absent(store, "foo").await?;
        store.delete("foo", []).await?;
    }
    Ok(())
}

async fn row_22(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo"]).await?;
        store.delete("foo", []).await?;
        prefixed(store, "foo", &[], "after the last was deleted").await?;
    }
    Ok(())
}

async fn row_23(cx: &MicroCtx) -> Check {
    let past = (cx.now)() - Duration::from_secs(1);
    for store in &four(cx).await? {
        put(store, &["foo", "bazbarfoo"]).await?;
        store.write(&Record::new("barfoo", ""), [micro::write_expiry(past)]).await?;
        absent(store, "barfoo").await?;
        suffixed(store, "foo", &["bazbarfoo", "foo"], "beside a past expiry").await?;
    }
    Ok(())
}

async fn row_24(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo", "bazbarfoo"]).await?;
        store.delete("bazbarfoo", []).await?;
        suffixed(store, "foo", &["foo"], "after one delete").await?;
        store.delete("foo", []).await?;
        suffixed(store, "foo", &[], "after both").await?;
    }
    Ok(())
}

async fn row_25(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        put(store, &["foo"]).await?;
        store.write(&lives("bazbarfoo", "", cx.unit * 4), []).await?;
        store.write(&lives("barfoo", "", cx.unit), []).await?;
        suffixed(store, "foo", &["barfoo", "bazbarfoo", "foo"], "at once").await?;
    }
    pass(cx, 1).await;
    for store in &stores {
        suffixed(store, "foo", &["bazbarfoo", "foo"], "after the first expiry").await?;
    }
    pass(cx, 3).await;
    for store in &stores {
        suffixed(store, "foo", &["foo"], "after both").await?;
    }
    Ok(())
}

async fn row_26(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        let later = |after| micro::write_expiry((cx.now)() + after);
        let (ttl, hour) = (micro::write_ttl(cx.unit), Duration::from_secs(3600));
        store.write(&Record::new("foofoobarbar", ""), [ttl.clone()]).await?;
        store.write(&Record::new("barbar", ""), [later(hour), ttl]).await?;
        store.write(&Record::new("foofoo", ""), [later(cx.unit)]).await?;
        let both = [micro::read_prefix(), micro::read_suffix()];
        ensure_eq!(keys(&store.read("foo", both).await?), ["foofoo"], "prefix and suffix Read");
    }
    pass(cx, 1).await;
    for store in &stores {
        ensure_eq!(store.list([]).await?, [""; 0], "List after all have expired");
    }
    Ok(())
}

const A0_TO_A9: [&str; 10] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];

async fn shuffled(store: &Store) -> Check {
    put(store, &["a7", "a2", "a9", "a0", "a4", "a1", "a8", "a6", "a3", "a5"]).await
}

async fn row_28(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        shuffled(store).await?;
        let found = store.read("a", [micro::read_prefix(), micro::read_limit(5)]).await?;
        ensure_eq!(keys(&found), A0_TO_A9[..5], "prefix Read, limit 5");
    }
    Ok(())
}

async fn row_29(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        shuffled(store).await?;
        let rest = [micro::read_prefix(), micro::read_offset(5), micro::read_limit(30)];
        let found = store.read("a", rest).await?;
        ensure_eq!(keys(&found), A0_TO_A9[5..], "prefix Read, offset 5, limit 30");
    }
    Ok(())
}

async fn row_30(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["a", "aa", "aaa"]).await?;
        prefixed(store, "b", &[], "that nothing has").await?;
    }
    Ok(())
}

async fn row_31(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let scope = store.scope("", "t")?;
    put(&scope, &["k"]).await?;
    scope.close().await?;
    scope.close().await?;
    refused(scope.read("k", []).await, ErrorKind::Closed, "Read of a closed scope")?;
    refused(scope.write(&Record::new("k", ""), []).await, ErrorKind::Closed, "Write to it")?;
    ensure_eq!(store.list([micro::list_from("", "t")]).await?, ["k"], "its store");

    store.close().await?;
    store.close().await?;
    refused(store.read("k", []).await, ErrorKind::Closed, "Read")?;
    refused(store.write(&Record::new("k", ""), []).await, ErrorKind::Closed, "Write")?;
    refused(store.delete("k", []).await, ErrorKind::Closed, "Delete")?;
    refused(store.list([]).await, ErrorKind::Closed, "List")?;
    refused(store.init([]).await, ErrorKind::Closed, "Init")?;
    refused(store.scope("", "t"), ErrorKind::Closed, "Scope")?;
    refused(store.delete("k", [micro::delete_bucket()]).await, ErrorKind::Closed, "DeleteBucket")
}

async fn row_32(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let agent = (cx.database)();
    let (one, two) = (store.scope(&agent, "one")?, store.scope(&agent, "two")?);
    one.write(&Record::new("k", "A"), []).await?;
    two.write(&Record::new("k", "B"), []).await?;
    ensure_eq!(one.read("k", []).await?[0].value, "A", "one");
    ensure_eq!(two.read("k", []).await?[0].value, "B", "two");
    ensure_eq!(one.list([]).await?, ["k"], "List of one");
    Ok(())
}

async fn row_35(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&lives("myTest", "myValue", Duration::from_secs(120)), []).await?;
    ensure_eq!(store.read("myTest", []).await?[0].value, "myValue", "Read");
    ensure_eq!(store.list([]).await?, ["myTest"], "List");
    store.delete("myTest", []).await?;
    ensure_eq!(store.list([]).await?, [""; 0], "List after Delete");
    Ok(())
}

async fn row_36(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let mut record = Record::new("foobar/baz", "hello");
    record.metadata.insert("meta1".into(), json!("val"));
    store.write(&record, []).await?;
    ensure_eq!(store.read("foobar/baz", []).await?, [record], "Read");
    Ok(())
}

async fn row_37(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["foo/baz", "foo/bar", "fop"]).await?;
    prefixed(&store, "foo/", &["foo/bar", "foo/baz"], "").await
}

async fn row_38(cx: &MicroCtx) -> Check {
    let name = (cx.database)();
    let store =
        |table| Store::new(Arc::clone(&cx.store), [micro::database(&name), micro::table(table)]);
    let (one, two) = (store("t1"), store("t2"));
    put(&one, &["k1"]).await?;
    put(&two, &["k2"]).await?;
    ensure_eq!(one.list([]).await?, ["k1"], "t1");
    ensure_eq!(two.list([]).await?, ["k2"], "t2");
    Ok(())
}

async fn row_39(cx: &MicroCtx) -> Check {
    let (one, two) = (fresh(cx), fresh(cx));
    put(&one, &["k1"]).await?;
    put(&two, &["k2"]).await?;
    ensure_eq!(one.list([]).await?, ["k1"], "d1");
    ensure_eq!(two.list([]).await?, ["k2"], "d2");
    Ok(())
}

async fn row_40(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&Record::new("test", "foo"), []).await?;
    store.write(&lives("test", "bar", cx.unit), []).await?;
    ensure_eq!(store.read("test", []).await?[0].value, "bar", "Read");
    pass(cx, 1).await;
    absent(&store, "test").await
}

async fn row_41(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["b"]).await?;
    for key in ["aaa", "aaaa", "aaaaa"] {
        store.write(&lives(key, "", cx.unit), []).await?;
    }
    prefixed(&store, "a", &["aaa", "aaaa", "aaaaa"], "at once").await?;
    pass(cx, 1).await;
    prefixed(&store, "a", &[], "after the expiry").await
}

async fn bug_empty(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    for when in ["before the first write", "after the last delete"] {
        ensure_eq!(store.list([]).await?, [""; 0], "List {when}");
        prefixed(&store, "", &[], when).await?;
        suffixed(&store, "k", &[], when).await?;
        put(&store, &["k"]).await?;
        store.delete("k", []).await?;
    }
    Ok(())
}

async fn bug_fresh(cx: &MicroCtx) -> Check {
    let (writer, reader) = (fresh(cx), fresh(cx));
    let name = writer.options().database;
    writer.write(&Record::new("k", "v"), [micro::write_to("", "t")]).await?;
    let found = reader.read("k", [micro::read_from(&name, "t")]).await?;
    ensure_eq!(found[0].value, "v", "Read");
    ensure_eq!(reader.list([micro::list_from(&name, "t")]).await?, ["k"], "List");
    reader.delete("k", [micro::delete_from(&name, "t")]).await?;
    refused(writer.read("k", [micro::read_from("", "t")]).await, ErrorKind::NotFound, "after it")
}

async fn bug_collisions(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let places = [("a", "b_c"), ("a_b", "c"), ("", "a_b_c"), ("ab", "c"), ("a", "bc"), ("", "abc")];
    for (i, (table, key)) in places.iter().enumerate() {
        let to = micro::write_to("", *table);
        store.write(&Record::new(*key, vec![i as u8]), [to]).await?;
    }
    for (i, (table, key)) in places.iter().enumerate() {
        let found = store.read(key, [micro::read_from("", *table)]).await?;
        ensure_eq!(found[0].value, [i as u8][..], "{table:?} {key:?}");
    }
    Ok(())
}

async fn bug_leak(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    for table in ["user", "user_settings", "users"] {
        store.write(&Record::new(format!("of_{table}"), ""), [micro::write_to("", table)]).await?;
    }
    ensure_eq!(store.list([micro::list_from("", "user")]).await?, ["of_user"], "List");
    let all = [micro::read_from("", "user"), micro::read_prefix()];
    ensure_eq!(keys(&store.read("", all).await?), ["of_user"], "prefix Read");
    Ok(())
}

async fn bug_churn(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let stay: Vec<String> = (0..10).map(|i| format!("p{i}/stays")).collect();
    put(&store, &stay.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let churn = async {
        for i in 0..60 {
            let record = Record::new(format!("p{}/goes", i % 10), "");
            store.write(&record, []).await?;
            store.delete(&record.key, []).await?;
        }
        Ok::<_, Fail>(())
    };
    let read = async {
        for _ in 0..30 {
            let found = store.read("p", [micro::read_prefix()]).await?;
            let staying = keys(&found).into_iter().filter(|key| key.ends_with("/stays"));
            let staying: Vec<_> = staying.collect();
            ensure_eq!(staying, stay, "what stays");
        }
        Ok::<_, Fail>(())
    };
    let (churned, read) = join(churn, read).await;
    churned.and(read)
}

async fn bug_extremes(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["a", "b", "c"]).await?;
    for (offset, limit, want) in [
        (3, usize::MAX, &[][..]),
        (usize::MAX, usize::MAX, &[]),
        (usize::MAX, 1, &[]),
        (0, usize::MAX, &["a", "b", "c"]),
        (2, 1, &["c"]),
    ] {
        let list = store.list([micro::list_offset(offset), micro::list_limit(limit)]).await?;
        ensure_eq!(list, want, "List, offset {offset}, limit {limit}");
        let part = [micro::read_prefix(), micro::read_offset(offset), micro::read_limit(limit)];
        ensure_eq!(keys(&store.read("", part).await?), want, "Read, {offset}, {limit}");
    }
    Ok(())
}

async fn bug_paths(cx: &MicroCtx) -> Check {
    let fixture = Fixture::new(cx).await?;
    if !fixture.any_key {
        return Ok(());
    }
    let names = ["%", "../x", "/x", "_", "a\0b", "x", "x*y", "x//y", "x/y", "é", "日本"];
    put(&fixture.store, &names).await?;
    ensure_eq!(fixture.store.list([]).await?, names, "List");
    for key in names {
        ensure_eq!(fixture.store.read(key, []).await?[0].value, key.as_bytes(), "Read({key:?})");
    }
    let list = fixture.store.list([micro::list_from("", "x")]).await?;
    ensure_eq!(list, [""; 0], "table x, which \"../x\" would reach as a path");
    Ok(())
}

async fn bug_glob(cx: &MicroCtx) -> Check {
    let fixture = Fixture::new(cx).await?;
    if !fixture.any_key {
        return Ok(());
    }
    let store = &fixture.store;
    put(store, &["x*y1", "xZZy1", "a_b", "aXb", "100%", "100x", "[a]", "a"]).await?;
    prefixed(store, "x*y", &["x*y1"], "with a star").await?;
    prefixed(store, "a_", &["a_b"], "with an underscore").await?;
    prefixed(store, "100%", &["100%"], "with a percent sign").await?;
    prefixed(store, "[a]", &["[a]"], "with brackets").await?;
    suffixed(store, "*y1", &["x*y1"], "with a star").await?;
    suffixed(store, "_b", &["a_b"], "with an underscore").await
}

async fn bug_filter_first(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["a1", "a2", "a3", "b1", "b2", "b3"]).await?;
    let list = store.list([micro::list_prefix("b"), micro::list_limit(2)]).await?;
    ensure_eq!(list, ["b1", "b2"], "List, prefix b, limit 2");
    let list = store.list([micro::list_prefix("b"), micro::list_offset(2)]).await?;
    ensure_eq!(list, ["b3"], "List, prefix b, offset 2");
    let found = store.read("3", [micro::read_suffix(), micro::read_offset(1)]).await?;
    ensure_eq!(keys(&found), ["b3"], "Read, suffix 3, offset 1");
    Ok(())
}

async fn bug_own_keys(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["my1", "my2"]).await?;
    for record in store.read("my", [micro::read_prefix()]).await? {
        ensure_eq!(record.value, record.key.as_bytes(), "the record {:?}", record.key);
        ensure!(record.key != "my", "a record named by the prefix");
    }
    Ok(())
}

async fn bug_expiry_reset(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&lives("k", "1", cx.unit), []).await?;
    store.write(&Record::new("k", "2"), []).await?;
    ensure_eq!(store.read("k", []).await?[0].expiry, Duration::ZERO, "Record.expiry");
    pass(cx, 1).await;
    ensure_eq!(store.read("k", []).await?[0].value, "2", "Read after the first expiry");
    Ok(())
}

async fn precedence(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let hour = Duration::from_secs(3600);
    let soon = |after| micro::write_expiry((cx.now)() + after);
    let short = lives("record", "", cx.unit);
    store.write(&short, [micro::write_ttl(hour)]).await?;
    let found = store.read("record", []).await?;
    ensure!(found[0].expiry > hour / 2, "TTL before the record's: {:?}", found[0].expiry);
    store.write(&short, [soon(hour)]).await?;
    let found = store.read("record", []).await?;
    ensure!(found[0].expiry > hour / 2, "expiry before the record's: {:?}", found[0].expiry);

    let past = micro::write_expiry((cx.now)() - hour);
    store.write(&Record::new("ttl", ""), [past, micro::write_ttl(hour)]).await?;
    ensure_eq!(store.read("ttl", []).await?.len(), 1, "TTL before a past expiry");
    store.write(&Record::new("zero", ""), [micro::write_ttl(Duration::ZERO)]).await?;
    ensure_eq!(store.read("zero", []).await?[0].expiry, Duration::ZERO, "a TTL of zero");
    store
        .write(&lives("last", "", hour), [micro::write_ttl(hour), micro::write_ttl(cx.unit)])
        .await?;
    let found = store.read("last", []).await?;
    ensure!(found[0].expiry <= hour / 2, "the last TTL counts: {:?}", found[0].expiry);
    Ok(())
}

async fn remaining(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let hour = Duration::from_secs(3600);
    store.write(&lives("k", "", hour), []).await?;
    let left = store.read("k", []).await?[0].expiry;
    ensure!(left <= hour + Duration::from_secs(1) && left > hour / 2, "{left:?} left of an hour");
    let left = store.read("k", [micro::read_prefix()]).await?[0].expiry;
    ensure!(left <= hour + Duration::from_secs(1) && left > hour / 2, "{left:?}, prefix Read");
    Ok(())
}

async fn past_hides(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let past = || micro::write_expiry(SystemTime::UNIX_EPOCH);
    put(&store, &["k"]).await?;
    store.write(&Record::new("k", "2"), [past()]).await?;
    absent(&store, "k").await?;
    ensure_eq!(store.list([]).await?, [""; 0], "List");
    let empty = store.write(&Record::new("", "2"), [past()]).await;
    refused(empty, ErrorKind::InvalidArgument, "a past write of an empty key")
}

async fn exact_offset(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["k"]).await?;
    ensure_eq!(store.read("k", [micro::read_limit(1)]).await?.len(), 1, "limit 1");
    ensure_eq!(store.read("k", [micro::read_offset(1)]).await?.len(), 0, "offset 1");
    let missing = store.read("none", [micro::read_offset(1)]).await;
    refused(missing, ErrorKind::NotFound, "offset 1 of a missing key")
}

async fn empty_key(cx: &MicroCtx) -> Check {
    const KIND: ErrorKind = ErrorKind::InvalidArgument;
    let store = fresh(cx);
    refused(store.read("", []).await, KIND, "Read")?;
    refused(store.write(&Record::new("", ""), []).await, KIND, "Write")?;
    refused(store.delete("", []).await, KIND, "Delete")?;
    refused(store.delete("", [micro::delete_bucket()]).await, KIND, "DeleteBucket")
}

async fn bucket_refused(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let name = store.options().database;
    put(&store, &["k"]).await?;
    let both = [micro::delete_from("", "t"), micro::delete_bucket()];
    refused(store.delete(&name, both).await, ErrorKind::InvalidArgument, "with DeleteFrom")?;
    let scoped = store.scope("", "t")?.delete(&name, [micro::delete_bucket()]).await;
    refused(scoped, ErrorKind::PermissionDenied, "on a scope")?;
    let plain = Store::without_admin(Arc::<dyn StoreAdmin>::clone(&cx.store), []);
    let plain = plain.delete(&name, [micro::delete_bucket()]).await;
    refused(plain, ErrorKind::PermissionDenied, "without the right")?;

    // The name that is magic in Go.
    let magic = Record::new(name.as_str(), "v");
    store.write(&magic, [micro::write_to("", "DELETE_BUCKET")]).await?;
    store.delete(&name, [micro::delete_from("", "DELETE_BUCKET")]).await?;
    ensure_eq!(store.list([]).await?, ["k"], "the database, after all that");
    Ok(())
}

async fn scope_boundary(cx: &MicroCtx) -> Check {
    const KIND: ErrorKind = ErrorKind::InvalidArgument;
    let (store, other) = (fresh(cx), (cx.database)());
    let name = store.options().database;
    let scope = store.scope("", "mine")?;
    put(&scope, &["k"]).await?;
    for (database, table) in [(&*other, ""), ("", "yours"), (&*name, "yours"), (&*other, "mine")] {
        let record = Record::new("x", "");
        refused(scope.read("k", [micro::read_from(database, table)]).await, KIND, "Read")?;
        let write = scope.write(&record, [micro::write_to(database, table)]).await;
        refused(write, KIND, "Write")?;
        refused(scope.delete("k", [micro::delete_from(database, table)]).await, KIND, "Delete")?;
        refused(scope.list([micro::list_from(database, table)]).await, KIND, "List")?;
        refused(scope.scope(database, table), KIND, "Scope")?;
    }
    refused(scope.init([micro::table("yours")]).await, KIND, "Init")?;
    scope.init([]).await?;
    // Naming where one is is no leaving.
    ensure_eq!(scope.list([micro::list_from(&name, "mine")]).await?, ["k"], "List");
    ensure_eq!(scope.scope("", "mine")?.list([]).await?, ["k"], "a scope of the scope");
    // What the store is set to later does not move the scope.
    store.init([micro::table("later"), micro::database(other)]).await?;
    ensure_eq!(scope.list([]).await?, ["k"], "List after Init of the store");
    Ok(())
}

async fn init_again(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let name = store.options().database;
    for _ in 0..5 {
        store.init([micro::nodes(["one", "two"])]).await?;
        store.init([micro::table("t")]).await?;
    }
    let bad = store.init([micro::table("u"), micro::database("no such.name")]).await;
    refused(bad, ErrorKind::InvalidArgument, "a bad name")?;
    let options = store.options();
    ensure_eq!((options.database, options.table), (name, "t".to_owned()), "what is set");
    ensure_eq!(options.nodes, ["one", "two"], "nodes");
    put(&store, &["k"]).await?;
    ensure_eq!(store.list([]).await?, ["k"], "List");
    ensure_eq!(store.string(), cx.store.driver(), "String");
    Ok(())
}
