//! Tables and databases are apart, whatever they are called.

use super::prelude::*;
use crate::{MAX_DATABASE_LEN, MAX_TABLE_LEN, Name};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("names/two-tables-same-key", "the same key in two tables is two records")
            .proves(F::Tables)
            .run(|cx| async move {
                let (a, b) = (cx.named("a")?, cx.named("b")?);
                a.write("k", "in a").await?;
                ensure_absent(&b, "k").await?;
                b.write("k", "in b").await?;
                ensure_value(&a, "k", "in a").await?;
                b.delete("k").await?;
                ensure_value(&a, "k", "in a").await?;
                Ok(())
            }),
        apart(
            "names/underscore-joins",
            "table and key joined by an underscore do not meet",
            &[("a_b", "c"), ("a", "b_c"), ("", "a_b_c")],
        ),
        apart(
            "names/dot-joins",
            "table and key joined by a dot do not meet",
            &[("a.b", "c"), ("a", "b.c"), ("", "a.b.c")],
        ),
        apart(
            "names/slash-joins",
            "table and key joined by a slash do not meet",
            &[("a/b", "c"), ("a", "b/c"), ("", "a/b/c"), ("b", "../a/c"), ("a", "c")],
        ),
        apart(
            "names/colon-joins",
            "table and key joined by colons do not meet",
            &[("a:b", "c"), ("a", "b:c"), ("", "a:b:c"), ("a::b", "c"), ("a", ":b::c")],
        ),
        apart(
            "names/plain-joins",
            "table and key joined by nothing do not meet",
            &[("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "c")],
        ),
        apart(
            "names/nul-joins",
            "table and key joined by NUL do not meet",
            &[("a\0b", "c"), ("a", "b\0c"), ("", "a\0b\0c")],
        ),
        apart(
            "names/escaped-joins",
            "escapes in table names do not meet what they stand for",
            &[("a.b", "c"), ("a%2eb", "c"), ("a=2Eb", "c"), ("a\\.b", "c"), ("a_2eb", "c")],
        ),
        apart(
            "names/case",
            "upper and lower case of table names differ",
            &[("users", "k"), ("Users", "k"), ("USERS", "k")],
        ),
        apart(
            "names/normal-forms",
            "composed and decomposed table names differ",
            &[("é", "k"), ("e\u{301}", "k")],
        ),
        apart(
            "names/wildcards",
            "wildcards in table names are plain characters",
            &[("*", "k"), (">", "k"), ("?", "k"), ("a", "k"), ("[a]", "k"), ("{a}", "k")],
        ),
        apart(
            "names/spaces",
            "spaces in table names count",
            &[("a", "k"), (" a", "k"), ("a ", "k"), ("a b", "k"), ("\n", "k")],
        ),
        apart(
            "names/dots-alone",
            "a table may be called by dots alone",
            &[(".", "k"), ("..", "k"), ("", "k"), ("./", "k")],
        ),
        apart(
            "names/reserved",
            "table names that others keep for themselves",
            &[("DELETE_BUCKET", "k"), ("$KV", "k"), ("_", "k"), ("default", "k"), ("__meta", "k")],
        ),
        case("names/root-is-a-table", "the table without a name is one of its own")
            .needs([F::Tables])
            .run(|cx| async move {
                let (root, named) = (cx.named("")?, cx.named("t")?);
                root.write("k", "root").await?;
                named.write("k", "named").await?;
                ensure_value(&root, "k", "root").await?;
                ensure_eq!(cx.keys(&root).await?, ["k"], "keys of the root");
                root.delete("k").await?;
                ensure_value(&named, "k", "named").await?;
                Ok(())
            }),
        case(
            "names/root-lists-only-itself",
            "the root table does not list the records of other tables",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            fill(&cx.named("a")?, &["x"]).await?;
            fill(&cx.named("b")?, &["y"]).await?;
            ensure_eq!(cx.keys(&cx.named("")?).await?, Vec::<String>::new(), "keys of the root");
            fill(&cx.named("")?, &["z"]).await?;
            ensure_eq!(cx.keys(&cx.named("")?).await?, ["z"], "keys of the root");
            Ok(())
        }),
        case(
            "names/a-table-does-not-list-its-namesakes",
            "a table does not list tables whose names begin like its own",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            for table in ["user", "user_settings", "users", "user.x", "use"] {
                if cx.target().accepts_table(table) {
                    fill(&cx.named(table)?, &[format!("in-{table}").replace('.', "-")]).await?;
                }
            }
            ensure_eq!(cx.keys(&cx.named("user")?).await?, ["in-user"], "keys of `user`");
            Ok(())
        }),
        case("names/longest-table", "a table name may be as long as the store says, and no longer")
            .needs([F::Tables])
            .run(|cx| async move {
                let longest = cx.declared().max_table_len.unwrap_or(MAX_TABLE_LEN);
                let (one, two) = ("t".repeat(longest), format!("{}x", "t".repeat(longest - 1)));
                cx.named(&one)?.write("k", "1").await?;
                cx.named(&two)?.write("k", "2").await?;
                ensure_value(&cx.named(&one)?, "k", "1").await?;
                let over =
                    match cx.store().database(cx.name("main")?)?.table("t".repeat(longest + 1)) {
                        Ok(table) => table.write("k", "v").await,
                        Err(error) => Err(error),
                    };
                refused(over, ErrorKind::TooLarge, "a table name of one byte more")?;
                Ok(())
            }),
        case(
            "names/no-empty-table-name",
            "the root table is asked for by name, not by an empty one",
        )
        .run(|cx| async move {
            invalid(cx.database("main")?.table(""), "an empty table name")?;
            Ok(())
        }),
        case("names/database-alphabet", "database names keep to their alphabet on every driver")
            .run(|cx| async move {
                for bad in [
                    "",
                    "a.b",
                    "a b",
                    "é",
                    "a/b",
                    "..",
                    "a\0",
                    "*",
                    ">",
                    "a:b",
                    &"x".repeat(MAX_DATABASE_LEN + 1),
                ] {
                    invalid(cx.store().database(bad), format_args!("the database name {bad:?}"))?;
                    invalid(
                        cx.admin().create(bad, &DatabaseConfig::new()).await,
                        format_args!("creating {bad:?}"),
                    )?;
                    invalid(cx.admin().delete(bad).await, format_args!("deleting {bad:?}"))?;
                }
                Ok(())
            }),
        case(
            "names/databases-are-apart",
            "the same table and key in two databases are two records",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let (a, b) = (cx.table_at("one")?, cx.table_at("two")?);
            a.write("k", "1").await?;
            ensure_absent(&b, "k").await?;
            b.write("k", "2").await?;
            ensure_value(&a, "k", "1").await?;
            ensure_eq!(cx.keys(&b).await?, ["k"], "keys of the second");
            Ok(())
        }),
        case(
            "names/alike-databases-are-apart",
            "databases whose names differ in one character, its case or their end are apart",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let names = ["db", "db-", "db_", "DB", "d", "db-db"];
            for name in names {
                cx.table_at(name)?.write("k", name).await?;
            }
            for name in names {
                ensure_value(&cx.table_at(name)?, "k", name).await.map_err(|e| e.about(name))?;
            }
            Ok(())
        }),
        apart_databases(),
        case("names/longest-database", "a database name has up to 128 bytes on every driver")
            .needs([F::Databases])
            .run(|cx| async move {
                let short = cx.name("long")?;
                let long = Name::new(format!(
                    "{short}{}",
                    "x".repeat(MAX_DATABASE_LEN - short.as_str().len())
                ))?;
                let twin = Name::new(format!("{}y", &long.as_str()[..MAX_DATABASE_LEN - 1]))?;
                let open = |name: &Name| Namespace::root(name.clone());
                let key = Key::new("k")?;
                let result = async {
                    cx.store().write(&open(&long), Put::new(key, "long")).await?;
                    let found = cx.store().read(&open(&long), key, ReadOptions::default()).await?;
                    ensure!(found.is_some(), "what was written is not there");
                    let other = cx.store().read(&open(&twin), key, ReadOptions::default()).await?;
                    ensure!(
                        other.is_none(),
                        "the names are cut off: another long one finds the record"
                    );
                    Ok(())
                };
                let result = result.await;
                cx.store().delete_database(&long).await?;
                cx.store().delete_database(&twin).await?;
                result
            }),
    ]
}

/// Tables and keys that would meet in a careless layout.
fn apart(
    id: &'static str,
    title: &'static str,
    places: &'static [(&'static str, &'static str)],
) -> Case {
    case(id, title).needs([F::Tables]).run(move |cx| async move {
        let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let value = |table: &str, key: &str| format!("{table:?} {key:?}");
        for (table, key) in places {
            if cx.target().accepts_table(table) && cx.target().accepts_key(key) {
                cx.named(table)?.write(key, value(table, key)).await?;
                used.entry(table).or_default().insert(key);
            }
        }
        for (table, keys) in &used {
            let t = cx.named(table)?;
            for key in keys {
                ensure_value(&t, key, &value(table, key))
                    .await
                    .map_err(|e| e.about(format_args!("table {table:?}")))?;
            }
            ensure_eq!(
                cx.keys(&t).await?,
                keys.iter().copied().collect::<Vec<_>>(),
                "keys of table {table:?}"
            );
        }
        let want: Vec<_> = used.keys().copied().collect();
        ensure_eq!(cx.admin().tables(cx.name("main")?).await?, want, "the tables");
        // Deleting one table leaves the others.
        if let Some((first, _)) = used.pop_first() {
            cx.admin().delete_table(cx.name("main")?, first).await?;
            for (table, keys) in &used {
                ensure_eq!(
                    cx.keys(&cx.named(table)?).await?.len(),
                    keys.len(),
                    "keys of {table:?} after {first:?} was deleted"
                );
            }
        }
        Ok(())
    })
}

fn apart_databases() -> Case {
    case("names/database-and-table-joins", "database, table and key joined do not meet")
        .needs([F::Databases, F::Tables])
        .run(|cx| async move {
            let places = [
                ("a", "b", "c"),
                ("a-b", "c", "c"),
                ("a_b", "c", "c"),
                ("a", "b_c", "c"),
                ("a", "b-c", "c"),
            ];
            for (database, table, key) in places {
                let value = format!("{database} {table} {key}");
                cx.table_in(database, table)?.write(key, value).await?;
            }
            for (database, table, key) in places {
                let value = format!("{database} {table} {key}");
                ensure_value(&cx.table_in(database, table)?, key, &value).await?;
            }
            Ok(())
        })
}
