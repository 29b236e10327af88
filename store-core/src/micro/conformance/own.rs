//! Regressions of its drivers' bugs, and what its tests leave out.

use super::{
    Arc, Check, Duration, ErrorKind, Fail, Fixture, MicroCtx, Record, Store, StoreAdmin,
    SystemTime, absent, fresh, join, keys, lives, micro, pass, prefixed, put, refused, suffixed,
};

pub(super) async fn bug_empty(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_fresh(cx: &MicroCtx) -> Check {
    let (writer, reader) = (fresh(cx), fresh(cx));
    let name = writer.options().database;
    writer.write(&Record::new("k", "v"), [micro::write_to("", "t")]).await?;
    let found = reader.read("k", [micro::read_from(&name, "t")]).await?;
    ensure_eq!(found[0].value, "v", "Read");
    ensure_eq!(reader.list([micro::list_from(&name, "t")]).await?, ["k"], "List");
    reader.delete("k", [micro::delete_from(&name, "t")]).await?;
    refused(writer.read("k", [micro::read_from("", "t")]).await, ErrorKind::NotFound, "after it")
}

pub(super) async fn bug_collisions(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_leak(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    for table in ["user", "user_settings", "users"] {
        store.write(&Record::new(format!("of_{table}"), ""), [micro::write_to("", table)]).await?;
    }
    ensure_eq!(store.list([micro::list_from("", "user")]).await?, ["of_user"], "List");
    let all = [micro::read_from("", "user"), micro::read_prefix()];
    ensure_eq!(keys(&store.read("", all).await?), ["of_user"], "prefix Read");
    Ok(())
}

pub(super) async fn bug_churn(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_extremes(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_paths(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_glob(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_filter_first(cx: &MicroCtx) -> Check {
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

pub(super) async fn bug_own_keys(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["my1", "my2"]).await?;
    for record in store.read("my", [micro::read_prefix()]).await? {
        ensure_eq!(record.value, record.key.as_bytes(), "the record {:?}", record.key);
        ensure!(record.key != "my", "a record named by the prefix");
    }
    Ok(())
}

pub(super) async fn bug_expiry_reset(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    store.write(&lives("k", "1", cx.unit), []).await?;
    store.write(&Record::new("k", "2"), []).await?;
    ensure_eq!(store.read("k", []).await?[0].expiry, Duration::ZERO, "Record.expiry");
    pass(cx, 1).await;
    ensure_eq!(store.read("k", []).await?[0].value, "2", "Read after the first expiry");
    Ok(())
}

pub(super) async fn precedence(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let hour = Duration::from_hours(1);
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

pub(super) async fn remaining(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let hour = Duration::from_hours(1);
    store.write(&lives("k", "", hour), []).await?;
    let left = store.read("k", []).await?[0].expiry;
    ensure!(left <= hour + Duration::from_secs(1) && left > hour / 2, "{left:?} left of an hour");
    let left = store.read("k", [micro::read_prefix()]).await?[0].expiry;
    ensure!(left <= hour + Duration::from_secs(1) && left > hour / 2, "{left:?}, prefix Read");
    Ok(())
}

pub(super) async fn past_hides(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    let past = || micro::write_expiry(SystemTime::UNIX_EPOCH);
    put(&store, &["k"]).await?;
    store.write(&Record::new("k", "2"), [past()]).await?;
    absent(&store, "k").await?;
    ensure_eq!(store.list([]).await?, [""; 0], "List");
    let empty = store.write(&Record::new("", "2"), [past()]).await;
    refused(empty, ErrorKind::InvalidArgument, "a past write of an empty key")
}

pub(super) async fn exact_offset(cx: &MicroCtx) -> Check {
    let store = fresh(cx);
    put(&store, &["k"]).await?;
    ensure_eq!(store.read("k", [micro::read_limit(1)]).await?.len(), 1, "limit 1");
    ensure_eq!(store.read("k", [micro::read_offset(1)]).await?.len(), 0, "offset 1");
    let missing = store.read("none", [micro::read_offset(1)]).await;
    refused(missing, ErrorKind::NotFound, "offset 1 of a missing key")
}

pub(super) async fn empty_key(cx: &MicroCtx) -> Check {
    const KIND: ErrorKind = ErrorKind::InvalidArgument;
    let store = fresh(cx);
    refused(store.read("", []).await, KIND, "Read")?;
    refused(store.write(&Record::new("", ""), []).await, KIND, "Write")?;
    refused(store.delete("", []).await, KIND, "Delete")?;
    refused(store.delete("", [micro::delete_bucket()]).await, KIND, "DeleteBucket")
}

pub(super) async fn bucket_refused(cx: &MicroCtx) -> Check {
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

pub(super) async fn scope_boundary(cx: &MicroCtx) -> Check {
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

pub(super) async fn init_again(cx: &MicroCtx) -> Check {
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
