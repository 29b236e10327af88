//! Go-Micro's own test table for its stores, said in terms of this contract. The rows are those of its upstream tests: what is an
//! error there (`ErrNotFound`) is `None` here, and a list of the root table holds the root table only.

use super::prelude::*;

/// Its fixture: database, table, key, value. An empty database is the default one, an empty table the root.
const RECORDS: [(&str, &str, &str, &str); 17] = [
    ("", "", "One", "First value"),
    ("", "", "prefix_test", "Second value"),
    ("new-bucket", "", "Third", "Third value"),
    ("new-bucket", "prefix_test", "Four", "Fourth value"),
    ("new-bucket", "", "empty-value", ""),
    ("prefix-test", "names", "Alex", "Some value"),
    ("prefix-test", "names", "Jones", "Some value"),
    ("prefix-test", "names", "Adrianna", "Some value"),
    ("prefix-test", "cities", "MexicoCity", "Some value"),
    ("prefix-test", "cities", "HoustonCity", "Some value"),
    ("prefix-test", "cities", "ZurichCity", "Some value"),
    ("prefix-test", "cities", "Helsinki", "Some value"),
    ("", "some_table", "testKeytest", "Some value"),
    ("", "some_table", "testSecondtest", "Some value"),
    ("", "some_table", "lalala", "Some value"),
    ("", "", "testAnothertest", "Some value"),
    ("", "", "FobiddenCharactersAreAllowed:|@..+", "data no matter"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut all = table();
    all.extend(expiry());
    all
}

fn table() -> Vec<Case> {
    vec![
        case(
            "go-micro/rows-1-2-round-trip",
            "each record of the fixture is read back, another key is not found",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            for (database, table, key, value) in fixture(&cx).await? {
                ensure_value(&at(&cx, database, table)?, key, value).await?;
            }
            ensure_absent(&at(&cx, "", "")?, "this-is-a-random-key").await
        }),
        case(
            "go-micro/row-4-database-expiry",
            "with a default expiry on fresh databases every record is gone in time",
        )
        .needs([F::Databases, F::Tables, F::DefaultExpiry])
        .waits()
        .run(|cx| async move {
            let databases: BTreeSet<_> = RECORDS.iter().map(|record| record.0).collect();
            for database in databases {
                cx.admin()
                    .create(
                        cx.name(named(database))?,
                        &DatabaseConfig::new().with_default_ttl(cx.ttl()),
                    )
                    .await?;
            }
            let records = fixture(&cx).await?;
            cx.outlive(cx.ttl()).await;
            for (database, table, key, _) in records {
                ensure_absent(&at(&cx, database, table)?, key).await?;
            }
            Ok(())
        }),
        case("go-micro/row-5-metadata", "a text and an integer come back as a text and an integer")
            .needs([F::Metadata])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("meta", "v")
                    .metadata(Metadata::new().with("meta-one", "val")?.with("meta-two", 5)?)
                    .await?;
                let record = present(&t, "meta").await?;
                ensure_eq!(record.metadata().get("meta-one"), Some(&json!("val")), "the text");
                ensure_eq!(
                    record.metadata().get("meta-two"),
                    Some(&json!(5)),
                    "the integer, which Go makes a float"
                );
                Ok(())
            }),
        case(
            "go-micro/row-6-delete",
            "each record of the fixture can be deleted, and the others stay",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            let records = fixture(&cx).await?;
            for (at_, (database, table, key, _)) in records.iter().enumerate() {
                at(&cx, database, table)?.delete(key).await?;
                ensure_absent(&at(&cx, database, table)?, key).await?;
                for (database, table, key, value) in &records[at_ + 1..] {
                    ensure_value(&at(&cx, database, table)?, key, value).await?;
                }
            }
            Ok(())
        }),
        case(
            "go-micro/row-7-list-the-default",
            "the root of the default database lists its own keys, not those of its tables",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            fixture(&cx).await?;
            let root = cx.keys(&at(&cx, "", "")?).await?;
            let want: Vec<_> =
                ["FobiddenCharactersAreAllowed:|@..+", "One", "prefix_test", "testAnothertest"]
                    .into_iter()
                    .filter(|k| cx.target().accepts_key(k))
                    .collect();
            ensure_eq!(root, want, "keys of the root");
            ensure_eq!(cx.keys(&at(&cx, "", "some_table")?).await?.len(), 3, "keys of the table");
            Ok(())
        }),
        case(
            "go-micro/rows-8-9-list-tables",
            "the tables of a database list three and four keys, with offset and limit",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            fixture(&cx).await?;
            let (names, cities) =
                (at(&cx, "prefix-test", "names")?, at(&cx, "prefix-test", "cities")?);
            ensure_eq!(
                (cx.keys(&names).await?.len(), cx.keys(&cities).await?.len()),
                (3, 4),
                "keys"
            );
            ensure_eq!(cx.list(&cities).offset(2).await?.len(), 2, "keys from the third on");
            ensure_eq!(
                cx.list(&cities).offset(1).limit(2).await?.len(),
                2,
                "two keys from the second on"
            );
            Ok(())
        }),
        case(
            "go-micro/row-10-suffix",
            "cities with a suffix, with limit and offset, as keys and as records",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            fixture(&cx).await?;
            let t = at(&cx, "prefix-test", "cities")?;
            for (listed, scanned, want) in [
                (cx.list(&t).suffix("City"), cx.scan(&t).suffix("City"), 3),
                (cx.list(&t).suffix("City").limit(2), cx.scan(&t).suffix("City").limit(2), 2),
                (cx.list(&t).suffix("City").offset(1), cx.scan(&t).suffix("City").offset(1), 2),
            ] {
                ensure_eq!(
                    (listed.await?.len(), scanned.await?.len()),
                    (want, want),
                    "keys and records"
                );
            }
            Ok(())
        }),
        case(
            "go-micro/rows-11-12-prefix-and-suffix",
            "a prefix in the root, a prefix with a suffix in a table",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            fixture(&cx).await?;
            ensure_eq!(
                cx.list(&at(&cx, "", "")?).prefix("test").await?,
                ["testAnothertest"],
                "keys of the root"
            );
            let t = at(&cx, "", "some_table")?;
            ensure_eq!(
                cx.list(&t).prefix("test").suffix("test").await?.len(),
                2,
                "keys of the table"
            );
            ensure_eq!(
                cx.scan(&t).prefix("test").suffix("test").await?.len(),
                2,
                "records of the table"
            );
            Ok(())
        }),
        case(
            "go-micro/row-13-drop-database",
            "a dropped database lists and scans nothing, without an error",
        )
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            fixture(&cx).await?;
            cx.admin().delete(cx.name(named("prefix-test"))?).await?;
            for table in ["names", "cities", ""] {
                let t = at(&cx, "prefix-test", table)?;
                ensure_eq!(
                    (cx.keys(&t).await?.len(), cx.scan(&t).prefix("").await?.len()),
                    (0, 0),
                    "keys and records of {table:?}"
                );
            }
            ensure_value(&at(&cx, "", "")?, "One", "First value").await
        }),
        case(
            "go-micro/row-28-first-five",
            "a prefix with a limit gives the first five of ten, in order",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &(0..10).rev().map(|i| format!("a{i}")).collect::<Vec<_>>()).await?;
            ensure_eq!(
                t.list().prefix("a").limit(5).await?,
                ["a0", "a1", "a2", "a3", "a4"],
                "keys"
            );
            ensure_eq!(
                t.scan().prefix("a").offset(5).limit(30).await?.len(),
                5,
                "records from the sixth on"
            );
            Ok(())
        }),
        case("go-micro/row-32-scopes", "two scopes of one store do not see each other's key")
            .needs([F::Databases, F::Tables])
            .run(|cx| async move {
                let (one, two) = (cx.table_in("agent", "one")?, cx.table_in("agent", "two")?);
                one.write("k", "A").await?;
                two.write("k", "B").await?;
                ensure_value(&one, "k", "A").await?;
                ensure_value(&two, "k", "B").await?;
                ensure_eq!(cx.keys(&one).await?, ["k"], "keys of one");
                Ok(())
            }),
        case(
            "go-micro/rows-36-37-slashes",
            "keys with slashes are found by key and, in order, by prefix",
        )
        .needs([F::ByteOrder])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["foobar/baz", "foo/baz", "foo/bar"]).await?;
            ensure_value(&t, "foobar/baz", "foobar/baz").await?;
            let keys: Vec<_> =
                t.scan().prefix("foo/").await?.iter().map(|r| r.key().to_owned()).collect();
            ensure_eq!(keys, ["foo/bar", "foo/baz"], "keys");
            Ok(())
        }),
        case(
            "go-micro/b4-no-leak-between-tables",
            "the table `user` does not list `user_settings`, nor reads its records by prefix",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            cx.named("user")?.write("u1", "v").await?;
            cx.named("user_settings")?.write("u2", "v").await?;
            let user = cx.named("user")?;
            ensure_eq!(cx.keys(&user).await?, ["u1"], "keys");
            ensure_eq!(
                cx.scan(&user).prefix("settings").await?.len(),
                0,
                "records of the other table"
            );
            Ok(())
        }),
    ]
}

fn expiry() -> Vec<Case> {
    vec![
        case(
            "go-micro/row-20-prefix-over-time",
            "a prefix matches three, two, one as time goes by",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let (t, ttl) = (cx.table()?, cx.ttl());
            t.write("foo", "v").await?;
            t.write("foobar", "v").ttl(ttl).await?;
            t.write("foobarbaz", "v").ttl(ttl * 4).await?;
            ensure_eq!(cx.scan(&t).prefix("foo").await?.len(), 3, "records at first");
            cx.outlive(ttl).await;
            ensure_eq!(cx.scan(&t).prefix("foo").await?.len(), 2, "records later");
            cx.outlive(ttl * 3).await;
            ensure_eq!(cx.scan(&t).prefix("foo").await?.len(), 1, "records in the end");
            t.delete("foo").await?;
            ensure_eq!(
                cx.scan(&t).prefix("foo").await?.len(),
                0,
                "records after the last was deleted"
            );
            Ok(())
        }),
        case(
            "go-micro/row-25-suffix-over-time",
            "a suffix matches three, two, one as time goes by",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let (t, ttl) = (cx.table()?, cx.ttl());
            t.write("foo", "v").await?;
            t.write("barfoo", "v").ttl(ttl).await?;
            t.write("bazbarfoo", "v").ttl(ttl * 4).await?;
            ensure_eq!(cx.list(&t).suffix("foo").await?.len(), 3, "keys at first");
            cx.outlive(ttl).await;
            ensure_eq!(cx.list(&t).suffix("foo").await?.len(), 2, "keys later");
            cx.outlive(ttl * 3).await;
            ensure_eq!(cx.list(&t).suffix("foo").await?, ["foo"], "keys in the end");
            Ok(())
        }),
        case("go-micro/rows-26-27-both-kinds-of-expiry", "a duration and an instant both count")
            .needs([F::Expiry])
            .waits()
            .run(|cx| async move {
                let (t, ttl) = (cx.table()?, cx.ttl());
                t.write("foofoobarbar", "v").ttl(ttl).await?;
                t.write("foofoo", "v").expires_at(cx.now() + ttl).await?;
                t.write("barbar", "v").ttl(ttl).await?;
                ensure_eq!(cx.scan(&t).prefix("foo").suffix("foo").await?.len(), 1, "records");
                cx.outlive(ttl).await;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                Ok(())
            }),
        case(
            "go-micro/row-40-rewrite-keeps-its-own-expiry",
            "a rewritten record lives by its rewrite",
        )
        .needs([F::Expiry])
        .waits()
        .run(|cx| async move {
            let (t, ttl) = (cx.table()?, cx.ttl());
            t.write("test", "foo").await?;
            t.write("test", "bar").ttl(ttl).await?;
            ensure_value(&t, "test", "bar").await?;
            cx.outlive(ttl).await;
            ensure_absent(&t, "test").await
        }),
    ]
}

fn named(database: &str) -> &str {
    if database.is_empty() { "default" } else { database }
}

fn at(cx: &Cx, database: &str, table: &str) -> Check<Table> {
    cx.table_in(named(database), table)
}

/// Writes the records that are within the layout's alphabet.
async fn fixture(cx: &Cx) -> Check<Vec<(&'static str, &'static str, &'static str, &'static str)>> {
    let mut records = RECORDS.to_vec();
    records.retain(|record| cx.target().accepts_key(record.2));
    for (database, table, key, value) in &records {
        at(cx, database, table)?.write(key, *value).await?;
    }
    Ok(records)
}
