//! The rows of Go-Micro's own tests.

use super::{
    Admin, Arc, Check, DatabaseConfig, Duration, ErrorKind, Fail, Fixture, MicroCtx, Record, Store,
    absent, four, fresh, json, keys, lives, micro, pass, prefixed, put, refused, suffixed,
};

pub(super) async fn row_01(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (database, table, key, value) in fixture.records() {
        let found = fixture.store.read(key, [micro::read_from(database, table)]).await?;
        ensure_eq!(keys(&found), [key], "Read");
        ensure_eq!(found[0].value, value.as_bytes(), "the value of {key}");
    }
    Ok(())
}

pub(super) async fn row_02(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    absent(&store, "this-is-a-random-key").await?;
    put(&store, &["another-key"]).await?;
    absent(&store, "this-is-a-random-key").await
}

pub(super) async fn row_03(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_04(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let config = DatabaseConfig::new().with_default_ttl(cx.unit);
    Admin::new(Arc::clone(&cx.store)).create(store.options().database, &config).await?;
    put(&store, &["a", "b"]).await?;
    pass(cx, 1).await;
    absent(&store, "a").await?;
    absent(&store, "b").await
}

pub(super) async fn row_05(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_06(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (database, table, key, _) in fixture.records() {
        fixture.store.delete(key, [micro::delete_from(database, table)]).await?;
        let read = fixture.store.read(key, [micro::read_from(database, table)]).await;
        refused(read, ErrorKind::NotFound, key)?;
    }
    Ok(())
}

pub(super) async fn row_07(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let mut want = vec!["FobiddenCharactersAreAllowed:|@..+", "One", "testAnothertest"];
    want.drain(..usize::from(!fixture.any_key));
    ensure_eq!(fixture.store.list([]).await?, want, "List()");
    let tables = Admin::new(Arc::clone(&cx.store)).tables(fixture.store.options().database).await?;
    ensure_eq!(tables, ["", "prefix_test", "some_table"], "tables of the default database");
    Ok(())
}

pub(super) async fn row_08(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_09(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    for (table, count) in [("names", 3), ("cities", 4)] {
        let list = fixture.store.list([micro::list_from(&fixture.prefix_test, table)]).await?;
        ensure_eq!(list.len(), count, "List of {table}");
    }
    Ok(())
}

pub(super) async fn row_10(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_11(cx: &MicroCtx) -> Check {
    let fixture = Fixture::filled(cx).await?;
    let list = fixture.store.list([micro::list_prefix("test")]).await?;
    ensure_eq!(list, ["testAnothertest"], "List");
    prefixed(&fixture.store, "test", &["testAnothertest"], "").await
}

pub(super) async fn row_12(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_13(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_14(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_15(cx: &MicroCtx) -> Check {
    let options = [micro::database((cx.database)()), micro::table("aaa")];
    let store = Store::new(Arc::clone(&cx.store), options);
    store.init([micro::table("bbb")]).await?;
    ensure_eq!(store.options().table, "bbb", "the table");
    put(&store, &["k"]).await?;
    ensure_eq!(store.list([micro::list_from("", "bbb")]).await?, ["k"], "List of bbb");
    Ok(())
}

pub(super) async fn row_16(cx: &MicroCtx) -> Check {
    let options = [micro::database((cx.database)()), micro::table("aaa")];
    let store = Store::new(Arc::clone(&cx.store), options);
    put(&store, &["k"]).await?;
    store.init([micro::table("")]).await?;
    ensure_eq!(store.options().table, "", "the table");
    absent(&store, "k").await
}

pub(super) async fn row_17(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_18(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_19(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_20(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_21(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo"]).await?;
        store.delete("foo", []).await?;
        absent(store, "foo").await?;
        store.delete("foo", []).await?;
    }
    Ok(())
}

pub(super) async fn row_22(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo"]).await?;
        store.delete("foo", []).await?;
        prefixed(store, "foo", &[], "after the last was deleted").await?;
    }
    Ok(())
}

pub(super) async fn row_23(cx: &MicroCtx) -> Check {
    let past = (cx.now)() - Duration::from_secs(1);
    for store in &four(cx).await? {
        put(store, &["foo", "bazbarfoo"]).await?;
        store.write(&Record::new("barfoo", ""), [micro::write_expiry(past)]).await?;
        absent(store, "barfoo").await?;
        suffixed(store, "foo", &["bazbarfoo", "foo"], "beside a past expiry").await?;
    }
    Ok(())
}

pub(super) async fn row_24(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["foo", "bazbarfoo"]).await?;
        store.delete("bazbarfoo", []).await?;
        suffixed(store, "foo", &["foo"], "after one delete").await?;
        store.delete("foo", []).await?;
        suffixed(store, "foo", &[], "after both").await?;
    }
    Ok(())
}

pub(super) async fn row_25(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_26(cx: &MicroCtx) -> Check {
    let stores = four(cx).await?;
    for store in &stores {
        let later = |after| micro::write_expiry((cx.now)() + after);
        let (ttl, hour) = (micro::write_ttl(cx.unit), Duration::from_hours(1));
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

pub(super) async fn row_28(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        shuffled(store).await?;
        let found = store.read("a", [micro::read_prefix(), micro::read_limit(5)]).await?;
        ensure_eq!(keys(&found), A0_TO_A9[..5], "prefix Read, limit 5");
    }
    Ok(())
}

pub(super) async fn row_29(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        shuffled(store).await?;
        let rest = [micro::read_prefix(), micro::read_offset(5), micro::read_limit(30)];
        let found = store.read("a", rest).await?;
        ensure_eq!(keys(&found), A0_TO_A9[5..], "prefix Read, offset 5, limit 30");
    }
    Ok(())
}

pub(super) async fn row_30(cx: &MicroCtx) -> Check {
    for store in &four(cx).await? {
        put(store, &["a", "aa", "aaa"]).await?;
        prefixed(store, "b", &[], "that nothing has").await?;
    }
    Ok(())
}

pub(super) async fn row_31(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_32(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_35(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&lives("myTest", "myValue", Duration::from_mins(2)), []).await?;
    ensure_eq!(store.read("myTest", []).await?[0].value, "myValue", "Read");
    ensure_eq!(store.list([]).await?, ["myTest"], "List");
    store.delete("myTest", []).await?;
    ensure_eq!(store.list([]).await?, [""; 0], "List after Delete");
    Ok(())
}

pub(super) async fn row_36(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let mut record = Record::new("foobar/baz", "hello");
    record.metadata.insert("meta1".into(), json!("val"));
    store.write(&record, []).await?;
    ensure_eq!(store.read("foobar/baz", []).await?, [record], "Read");
    Ok(())
}

pub(super) async fn row_37(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["foo/baz", "foo/bar", "fop"]).await?;
    prefixed(&store, "foo/", &["foo/bar", "foo/baz"], "").await
}

pub(super) async fn row_38(cx: &MicroCtx) -> Check {
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

pub(super) async fn row_39(cx: &MicroCtx) -> Check {
    let (one, two) = (fresh(cx), fresh(cx));
    put(&one, &["k1"]).await?;
    put(&two, &["k2"]).await?;
    ensure_eq!(one.list([]).await?, ["k1"], "d1");
    ensure_eq!(two.list([]).await?, ["k2"], "d2");
    Ok(())
}

pub(super) async fn row_40(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&Record::new("test", "foo"), []).await?;
    store.write(&lives("test", "bar", cx.unit), []).await?;
    ensure_eq!(store.read("test", []).await?[0].value, "bar", "Read");
    pass(cx, 1).await;
    absent(&store, "test").await
}

pub(super) async fn row_41(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["b"]).await?;
    for key in ["aaa", "aaaa", "aaaaa"] {
        store.write(&lives(key, "", cx.unit), []).await?;
    }
    prefixed(&store, "a", &["aaa", "aaaa", "aaaaa"], "at once").await?;
    pass(cx, 1).await;
    prefixed(&store, "a", &[], "after the expiry").await
}
