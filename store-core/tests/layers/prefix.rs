use std::sync::Arc;

use futures_util::StreamExt as _;
use proptest::prelude::*;
use store_core::layer::{Layers, Prefix};
use store_core::{
    Admin, Condition, DatabaseConfig, ErrorKind, Event, EventStream, Feature, Key, ListOptions,
    MAX_KEY_LEN, Order, Outcome, Put, Scope, Start, Store, StoreAdmin, Table, WatchOptions,
};
use store_memory::Memory;

use crate::{key, name, ns};

/// Keys that are not of the part `p/`, however near they come.
const FOREIGN: [&str; 6] = ["p", "p/", "o/a", "q/a", "P/a", "pp/a"];

struct Parts {
    /// Sees all.
    whole: Arc<dyn StoreAdmin>,
    /// Sees what is under `p/`.
    part: Arc<dyn StoreAdmin>,
}

fn part(whole: &Arc<dyn StoreAdmin>, prefix: &str) -> Arc<dyn StoreAdmin> {
    Layers::new().prefix(Prefix::new(prefix).unwrap()).wrap(Arc::clone(whole))
}

fn table(store: &Arc<dyn StoreAdmin>) -> Table {
    store.database("app").unwrap().table("t").unwrap()
}

async fn parts() -> Parts {
    let whole: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
    for foreign in FOREIGN {
        table(&whole).write(foreign, "foreign").await.unwrap();
    }
    Parts { part: part(&whole, "p/"), whole }
}

async fn foreign_is_untouched(whole: &Arc<dyn StoreAdmin>) {
    for record in table(whole).read_many(&FOREIGN).await {
        assert_eq!(record.unwrap().unwrap().value(), b"foreign");
    }
}

#[tokio::test]
async fn nothing_else_is_seen_or_changed() {
    let Parts { whole, part } = parts().await;
    let t = table(&part);
    assert!(t.list().await.unwrap().is_empty() && t.scan().await.unwrap().is_empty());
    assert!(t.list().any_order().await.unwrap().is_empty());
    assert!(t.read("a").await.unwrap().is_none());
    assert!(Admin::new(Arc::clone(&part)).tables("app").await.unwrap().is_empty());
    t.write("a", "mine").await.unwrap();
    t.delete_many(&["a", "b"]).await;
    t.increment("n", 1).await.unwrap();
    assert_eq!(table(&whole).list().prefix("p/n").await.unwrap(), ["p/n"]);
    let admin = Admin::new(Arc::clone(&part));
    admin.delete_table("app", "t").await.unwrap();
    admin.empty("app").await.unwrap();
    assert_eq!(table(&whole).list().await.unwrap().len(), FOREIGN.len());
    foreign_is_untouched(&whole).await;
}

#[tokio::test]
async fn a_database_cannot_be_changed_or_destroyed_from_a_part() {
    let Parts { whole, part } = parts().await;
    let admin = Admin::new(Arc::clone(&part));
    for error in [
        admin.delete("app").await.unwrap_err(),
        admin.update("app", &DatabaseConfig::new()).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::NotApplied));
    }
    foreign_is_untouched(&whole).await;
    let status = admin.status("app").await.unwrap();
    assert_eq!((status.records, status.bytes), (None, None), "they would be about others");
    let capability = part.capability(&name()).await.unwrap();
    assert!(!capability.has(Feature::Databases));
    assert_eq!(capability.max_key_len, Some(MAX_KEY_LEN - 2));
}

#[tokio::test]
async fn emptying_goes_through_every_table_and_page() {
    let Parts { whole, part } = parts().await;
    let keys: Vec<_> = (0..1234).map(|i| format!("k{i}")).collect();
    let database = part.database("app").unwrap();
    for t in [database.root(), database.table("t").unwrap(), database.table("u").unwrap()] {
        t.write_many(keys.iter().map(|key| (key, "v"))).await;
    }
    let admin = Admin::new(Arc::clone(&part));
    assert_eq!(admin.tables("app").await.unwrap(), ["", "t", "u"]);
    admin.delete_table("app", "u").await.unwrap();
    assert_eq!(admin.tables("app").await.unwrap(), ["", "t"]);
    admin.empty("app").await.unwrap();
    assert!(admin.tables("app").await.unwrap().is_empty());
    foreign_is_untouched(&whole).await;
}

#[tokio::test]
async fn long_keys_are_refused_one_by_one() {
    let Parts { part, .. } = parts().await;
    let (fits, over) = ("x".repeat(MAX_KEY_LEN - 2), "x".repeat(MAX_KEY_LEN - 1));
    let t = table(&part);
    t.write(&fits, "v").await.unwrap();
    assert_eq!(t.list().await.unwrap(), [fits.as_str()]);
    let error = t.write(&over, "v").await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::TooLarge, Some(&*over)));
    let answers = t.write_many([(over.as_str(), "1"), ("k", "2"), (over.as_str(), "3")]).await;
    let fine: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [false, true, false]);
    let read = t.read_many(&["k", &over, "absent", "k"]).await;
    assert_eq!(read[3].as_ref().unwrap().as_ref().unwrap().key(), "k");
    assert!(read[1].is_err() && read[2].as_ref().unwrap().is_none());
    for bad in ["", "p".repeat(MAX_KEY_LEN).as_str()] {
        assert!(Prefix::new(bad).is_err());
    }
}

#[tokio::test]
async fn errors_name_the_callers_key() {
    let Parts { part, .. } = parts().await;
    let ns = ns();
    part.write(&ns, Put::new(key("a"), "x")).await.unwrap();
    let put = Put::new(key("a"), "y").with_condition(Condition::Absent);
    let answers = part.write_many(&ns, vec![put.clone(), put]).await;
    for answer in answers {
        assert_ne!(answer.unwrap_err().key(), Some("p/a"));
    }
    let t = table(&part);
    let error = t.batch().create("a", "y").commit().await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("a")));
    let error = t.increment("a", 1).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::NotACounter, Some("a")));
}

/// The next so many changes: what was put, and what is gone.
async fn seen(events: &mut EventStream, changes: usize) -> (Vec<String>, Vec<String>) {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    while put.len() + gone.len() < changes {
        match events.next().await.unwrap().unwrap() {
            Event::Put(record) => put.push(record.key().to_owned()),
            Event::Delete { key, .. } => gone.push(key),
            Event::Synced { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    (put, gone)
}

#[tokio::test]
async fn watches_of_every_scope_see_this_part_only() {
    let Parts { whole, part } = parts().await;
    let ns = ns();
    let scopes = [
        (Scope::Table, vec!["a".to_owned(), "b".to_owned()]),
        (Scope::Prefix("a".into()), vec!["a".to_owned()]),
        (Scope::Key("b".into()), vec!["b".to_owned()]),
    ];
    for start in [Start::Snapshot, Start::Changes] {
        for (scope, expected) in scopes.clone() {
            let options = WatchOptions::new(scope, start);
            if start == Start::Snapshot {
                table(&part).write_many([("a", "1"), ("b", "1")]).await;
            }
            let mut events = part.watch(&ns, options).await.unwrap();
            if start == Start::Changes {
                table(&part).write_many([("a", "1"), ("b", "1")]).await;
            }
            // Each change is taken before the next is made: a watcher that lags may see the last only.
            table(&whole).write_many(FOREIGN.map(|foreign| (foreign, "foreign"))).await;
            assert_eq!(seen(&mut events, expected.len()).await, (expected.clone(), vec![]));
            table(&part).delete_many(&["a", "b"]).await;
            assert_eq!(seen(&mut events, expected.len()).await, (vec![], expected));
        }
    }
    let empty = WatchOptions::new(Scope::Key(String::new()), Start::Changes);
    assert!(part.watch(&ns, empty).await.is_err(), "it would be the foreign key `p/`");
}

#[tokio::test]
async fn a_numeric_scan_gets_past_any_number_of_foreign_keys() {
    let whole: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
    let part = part(&whole, "p/");
    let foreign: Vec<_> = (0..3000).map(|i| format!("f{i}")).collect();
    table(&whole).write_many(foreign.iter().map(|key| (key, "v"))).await;
    let ours: Vec<_> = (0..20).map(|i| format!("k{i:02}")).collect();
    table(&part).write_many(ours.iter().map(|key| (key, "v"))).await;
    let (mut found, mut cursor, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = table(&part).scan_u64(cursor, 5).await.unwrap();
        pages += 1;
        found.extend(page.keys);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found, ours);
    assert!(pages < 100, "foreign pages are gone through within: {pages}");
    assert!(table(&part).scan_u64(0, 0).await.is_ok(), "asks for nothing, and ends");
}

/// Texts over a tiny alphabet, so that keys, prefixes and suffixes meet often.
fn text(len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!['a', 'b', 'é']), len)
        .prop_map(String::from_iter)
}

/// All pages of a listing.
async fn listed(store: &dyn Store, mut o: ListOptions) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..200 {
        let page = store.list(&ns(), &o).await.unwrap();
        assert!(page.items.len() <= o.limit);
        all.extend(page.items);
        match page.next {
            Some(next) => o.cursor = Some(next),
            None => return all,
        }
    }
    panic!("the listing does not end")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// A part lists as a store of its own that holds the same records.
    #[test]
    fn a_part_lists_like_a_store_of_its_own(
        prefix in text(1..4),
        ours in proptest::collection::btree_set(text(1..4), 0..12),
        foreign in proptest::collection::btree_set(text(1..5), 0..12),
        with in text(0..3),
        suffix in text(0..4),
        after in proptest::option::of(text(1..3)),
        offset in 0usize..4,
        limit in 1usize..5,
        any in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let whole: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
            let alone: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
            let part = part(&whole, &prefix);
            for foreign in foreign.iter().filter(|f| !f.starts_with(&prefix) || **f == prefix) {
                whole.write(&ns(), Put::new(Key::new(foreign).unwrap(), "f")).await.unwrap();
            }
            for store in [&alone, &part] {
                for key in &ours {
                    store.write(&ns(), Put::new(Key::new(key).unwrap(), "v")).await.unwrap();
                }
            }
            let mut o = ListOptions::default();
            (o.prefix, o.suffix, o.start_after) = (with, suffix, after);
            (o.offset, o.limit) = (offset, limit);
            if any {
                o.order = Order::Any;
            }
            let (mut mine, mut theirs) = (listed(&*part, o.clone()).await, listed(&*alone, o).await);
            if any {
                // Which ones the offset leaves out is open then.
                assert_eq!(mine.len(), theirs.len());
                if offset == 0 {
                    mine.sort();
                    theirs.sort();
                }
            }
            if !any || offset == 0 {
                assert_eq!(mine, theirs);
            }
        });
    }
}
