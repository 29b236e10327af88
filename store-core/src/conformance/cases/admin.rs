//! Databases and tables as a whole.

use super::prelude::*;
use crate::{Name, WhenFull};

pub(super) fn cases() -> Vec<Case> {
    let mut all = databases();
    all.extend(configurations());
    all.extend(tables());
    all
}

fn databases() -> Vec<Case> {
    vec![
        case(
            "admin/create-list-delete",
            "a database can be created, is listed, and can be destroyed",
        )
        .proves(F::Databases)
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("one")?);
            ensure!(!admin.list().await?.contains(&name), "it is listed before it was created");
            admin.create(&name, &DatabaseConfig::new()).await?;
            ensure!(admin.list().await?.contains(&name), "it is not listed");
            admin.delete(&name).await?;
            ensure!(!admin.list().await?.contains(&name), "it is listed after it was destroyed");
            Ok(())
        }),
        case(
            "admin/create-again",
            "to create a database again as it is is fine, and keeps its records",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("main")?);
            admin.create(&name, &DatabaseConfig::new()).await?;
            cx.table()?.write("k", "v").await?;
            admin.create(&name, &DatabaseConfig::new()).await?;
            ensure_value(&cx.table()?, "k", "v").await
        }),
        case(
            "admin/create-differently",
            "to create a database again differently is an error, and changes nothing",
        )
        .needs([F::Databases, F::DefaultExpiry])
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("main")?);
            admin.create(&name, &DatabaseConfig::new()).await?;
            let other = DatabaseConfig::new().with_default_ttl(cx.long());
            refused(
                admin.create(&name, &other).await,
                ErrorKind::AlreadyExists,
                "another configuration",
            )?;
            ensure_eq!(admin.status(&name).await?.config.default_ttl, None, "the default");
            cx.table()?.write("k", "v").await?;
            ensure_eq!(present(&cx.table()?, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case(
            "admin/exists",
            "a database exists from its creation to its destruction, full or empty",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("main")?);
            ensure!(!admin.exists(&name).await?, "it exists before it was created");
            admin.create(&name, &DatabaseConfig::new()).await?;
            ensure!(admin.exists(&name).await?, "it does not exist without a record");
            cx.table()?.write("k", "v").await?;
            ensure!(admin.exists(&name).await?, "it does not exist with a record");
            admin.delete(&name).await?;
            ensure!(!admin.exists(&name).await?, "it exists after it was destroyed");
            Ok(())
        }),
        case("admin/delete-absent", "to destroy what does not exist is fine")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.admin().delete(cx.name("nowhere")?).await?;
                cx.admin().delete(cx.name("nowhere")?).await?;
                Ok(())
            }),
        case("admin/delete-destroys", "a destroyed database has nothing left")
            .needs([F::Databases])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                cx.admin().delete(cx.name("main")?).await?;
                ensure_absent(&t, "a").await?;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                t.write("c", "v").await?;
                ensure_eq!(cx.keys(&t).await?, ["c"], "keys of its successor");
                Ok(())
            }),
        case(
            "admin/delete-forgets-the-configuration",
            "the successor of a destroyed database has none of its configuration",
        )
        .needs([F::Databases, F::DefaultExpiry])
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("main")?);
            admin.create(&name, &DatabaseConfig::new().with_default_ttl(cx.long())).await?;
            let t = cx.table()?;
            t.write("k", "v").await?;
            admin.delete(&name).await?;
            t.write("k", "v").await?;
            ensure_eq!(present(&t, "k").await?.expires_at(), None, "expiry");
            Ok(())
        }),
        case(
            "admin/delete-leaves-others",
            "to destroy a database leaves those whose names begin like its own",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            for name in ["x", "xy", "x-y", "x_"] {
                cx.table_at(name)?.write("k", name).await?;
            }
            cx.admin().delete(cx.name("x")?).await?;
            ensure_absent(&cx.table_at("x")?, "k").await?;
            for name in ["xy", "x-y", "x_"] {
                ensure_value(&cx.table_at(name)?, "k", name).await?;
            }
            Ok(())
        }),
        case(
            "admin/empty",
            "an emptied database is there, with its configuration and without records",
        )
        .needs([F::Databases, F::DefaultExpiry])
        .run(|cx| async move {
            let (admin, name) = (cx.admin(), cx.name("main")?);
            admin.create(&name, &DatabaseConfig::new().with_default_ttl(cx.long())).await?;
            let t = cx.table()?;
            fill(&t, &["a", "b"]).await?;
            fill(&cx.named("")?, &["c"]).await?;
            admin.empty(&name).await?;
            ensure_eq!(cx.keys(&t).await?.len() + cx.keys(&cx.named("")?).await?.len(), 0, "keys");
            ensure!(admin.list().await?.contains(&name), "it is gone");
            ensure_eq!(
                admin.status(&name).await?.config.default_ttl,
                Some(cx.long()),
                "the default"
            );
            t.write("k", "v").await?;
            ensure!(
                present(&t, "k").await?.expires_at().is_some(),
                "the default does not count any more"
            );
            Ok(())
        }),
        case("admin/empty-absent", "to empty what does not exist is fine, and creates nothing")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.admin().empty(cx.name("nowhere")?).await?;
                ensure!(!cx.admin().list().await?.contains(&cx.name("nowhere")?), "it was created");
                Ok(())
            }),
        case("admin/list-is-sorted", "databases are listed by name, each once")
            .needs([F::Databases])
            .run(|cx| async move {
                for part in ["c", "a", "b"] {
                    cx.table_at(part)?.write("k", "v").await?;
                }
                let own: Vec<_> =
                    ["a", "b", "c"].into_iter().map(|part| cx.name(part)).collect::<Check<_>>()?;
                let all = cx.admin().list().await?;
                ensure!(all.windows(2).all(|two| two[0] < two[1]), "not sorted: {all:?}");
                let got: Vec<_> = all.into_iter().filter(|name| own.contains(name)).collect();
                ensure_eq!(got, own, "databases");
                Ok(())
            }),
        case("admin/race-to-create", "many that create the same database at once all succeed")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.together(8, |cx, _| async move {
                    Ok(cx.admin().create(cx.name("main")?, &DatabaseConfig::new()).await?)
                })
                .await?;
                cx.table()?.write("k", "v").await?;
                Ok(())
            }),
        case("admin/created-is-empty", "a created database is empty and has no tables")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.admin().create(cx.name("main")?, &DatabaseConfig::new()).await?;
                ensure_eq!(cx.keys(&cx.table()?).await?, Vec::<String>::new(), "keys");
                ensure_eq!(
                    cx.admin().tables(cx.name("main")?).await?,
                    Vec::<String>::new(),
                    "tables"
                );
                Ok(())
            }),
        case(
            "admin/use-after-delete",
            "every call on a destroyed database is as on one that never was",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a"]).await?;
            cx.admin().delete(cx.name("main")?).await?;
            ensure_absent(&t, "a").await?;
            t.delete("a").await?;
            ensure_eq!(cx.scan(&t).await?.len(), 0, "records");
            ensure!(matches!(&t.read_many(&["a"]).await[..], [Ok(None)]), "read_many");
            if cx.has(F::ScanU64) {
                ensure_eq!(t.scan_u64(0, 10).await?.keys.len(), 0, "scanned keys");
            }
            if cx.has(F::SetExpiry) {
                ensure_eq!(t.set_expiry("a", Expiry::Never).await?, None, "set_expiry");
            }
            ensure_eq!(cx.admin().tables(cx.name("main")?).await?, Vec::<String>::new(), "tables");
            Ok(())
        }),
    ]
}

fn configurations() -> Vec<Case> {
    vec![
        case("admin/status-of-absent", "there is no status of what does not exist")
            .needs([F::Databases])
            .run(|cx| async move {
                refused(
                    cx.admin().status(cx.name("nowhere")?).await,
                    ErrorKind::NotFound,
                    "status",
                )?;
                Ok(())
            }),
        case("admin/update-absent", "what does not exist cannot be changed, and is not created")
            .needs([F::Databases])
            .run(|cx| async move {
                refused(
                    cx.admin().update(cx.name("nowhere")?, &DatabaseConfig::new()).await,
                    ErrorKind::NotFound,
                    "update",
                )?;
                ensure!(!cx.admin().list().await?.contains(&cx.name("nowhere")?), "it was created");
                Ok(())
            }),
        case(
            "admin/status",
            "a status names its database and counts live records, where it counts",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            t.write("a", "again").await?;
            t.delete("b").await?;
            let status = cx.admin().status(cx.name("main")?).await?;
            ensure_eq!(status.database, cx.name("main")?.to_string(), "name");
            ensure!(
                status.records.is_none_or(|n| n == 2),
                "{:?} records, of which 2 live",
                status.records
            );
            Ok(())
        }),
        case("admin/status-is-fresh", "a status is of now, not of when the store was opened")
            .needs([F::Databases])
            .run(|cx| async move {
                let (t, name) = (cx.table()?, cx.name("main")?);
                t.write("k0", "v").await?;
                let before = cx.admin().status(&name).await?;
                fill(&t, &["k1", "k2", "k3"]).await?;
                let after = cx.admin().status(&name).await?;
                if let (Some(before), Some(after)) = (before.records, after.records) {
                    ensure_eq!(after - before, 3, "records more");
                }
                Ok(())
            }),
        case("admin/description", "a description is kept, or refused").needs([F::Databases]).run(
            |cx| async move {
                let config = DatabaseConfig::new().with_description("für Menschen".to_owned());
                match cx.admin().create(cx.name("main")?, &config).await {
                    Ok(()) => ensure_eq!(
                        cx.admin().status(cx.name("main")?).await?.config.description,
                        config.description,
                        "description"
                    ),
                    Err(error) => ensure!(
                        matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidArgument),
                        "{error}"
                    ),
                }
                Ok(())
            },
        ),
        case("admin/update-keeps-records", "a changed configuration leaves the records")
            .needs([F::Databases])
            .run(|cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                cx.admin().update(cx.name("main")?, &DatabaseConfig::new()).await?;
                ensure_eq!(cx.keys(&t).await?, ["a", "b"], "keys");
                ensure_value(&t, "a", "a").await
            }),
        wrong(
            "admin/unknown-setting",
            "a setting that the driver does not know is refused",
            |mut config| {
                config.driver.insert("no_such_setting".into(), "1".into());
                config
            },
        ),
        wrong("admin/no-history-at-all", "a history of no versions is refused", |config| {
            config.with_history(0)
        }),
        wrong("admin/zero-default", "a default time to live of zero is refused", |config| {
            config.with_default_ttl(Duration::ZERO)
        }),
        wrong(
            "admin/overflowing-default",
            "a default time to live beyond the year 9999 is refused",
            |config| config.with_default_ttl(Duration::MAX),
        ),
        case("admin/largest-value", "a database's own largest value counts, or is refused")
            .needs([F::Databases])
            .run(|cx| async move {
                let name = cx.name("main")?;
                if !honoured(
                    cx.admin().create(&name, &DatabaseConfig::new().with_max_value_len(100)).await,
                )? {
                    return Err(Failure::NotApplicable("the driver refuses this setting"));
                }
                let t = cx.table()?;
                t.write("k", vec![b'x'; 100]).await?;
                refused(t.write("k", vec![b'x'; 101]).await, ErrorKind::TooLarge, "one byte more")?;
                ensure_eq!(present(&t, "k").await?.value().len(), 100, "length");
                ensure_eq!(
                    cx.store().capability(&name).await?.max_value_len,
                    Some(100),
                    "the declared largest value"
                );
                Ok(())
            }),
        case(
            "admin/full-refuses",
            "a full database refuses new records and keeps the old, or the setting is refused",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let config = DatabaseConfig::new().with_max_records(3).with_when_full(WhenFull::Refuse);
            if !honoured(cx.admin().create(cx.name("main")?, &config).await)? {
                return Err(Failure::NotApplicable("the driver refuses this setting"));
            }
            let t = cx.table()?;
            fill(&t, &["a", "b", "c"]).await?;
            refused(t.write("d", "v").await, ErrorKind::Full, "a fourth record")?;
            ensure_eq!(cx.keys(&t).await?, ["a", "b", "c"], "keys");
            t.write("a", "rewritten").await?;
            t.delete("b").await?;
            t.write("d", "v").await?;
            ensure_eq!(cx.keys(&t).await?, ["a", "c", "d"], "keys after there was room");
            Ok(())
        }),
        case(
            "admin/full-evicts",
            "a full database that may evict takes new records and holds no more than it may",
        )
        .needs([F::Databases])
        .run(|cx| async move {
            let config = DatabaseConfig::new().with_max_records(10).with_when_full(WhenFull::Evict);
            if !honoured(cx.admin().create(cx.name("main")?, &config).await)? {
                return Err(Failure::NotApplicable("the driver refuses this setting"));
            }
            let t = cx.table()?;
            for i in 0..50 {
                let key = format!("k{i:02}");
                t.write(&key, "v").await?;
                ensure!(t.exists(&key).await?, "the record just written was evicted");
            }
            let left = cx.keys(&t).await?.len();
            ensure!(left <= 10 && left > 0, "{left} records");
            Ok(())
        }),
    ]
}

fn tables() -> Vec<Case> {
    vec![
        case(
            "admin/tables",
            "tables that hold a record are listed, sorted, the root as the empty name",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            for table in ["c", "a", "", "b", "B"] {
                cx.named(table)?.write("k", "v").await?;
            }
            ensure_eq!(
                cx.admin().tables(cx.name("main")?).await?,
                ["", "B", "a", "b", "c"],
                "tables"
            );
            Ok(())
        }),
        case("admin/tables-come-and-go", "a table is listed from its first record to its last")
            .needs([F::Tables])
            .run(|cx| async move {
                let (t, name) = (cx.named("a")?, cx.name("main")?);
                cx.named("b")?.write("k", "v").await?;
                ensure_eq!(cx.admin().tables(&name).await?, ["b"], "tables before");
                fill(&t, &["x", "y"]).await?;
                ensure_eq!(cx.admin().tables(&name).await?, ["a", "b"], "tables with records");
                t.delete("x").await?;
                ensure_eq!(
                    cx.admin().tables(&name).await?,
                    ["a", "b"],
                    "tables with a record left"
                );
                t.delete("y").await?;
                ensure_eq!(cx.admin().tables(&name).await?, ["b"], "tables after");
                Ok(())
            }),
        case("admin/tables-of-absent", "a database that does not exist has no tables").run(
            |cx| async move {
                ensure_eq!(
                    cx.admin().tables(cx.name("nowhere")?).await?,
                    Vec::<String>::new(),
                    "tables"
                );
                Ok(())
            },
        ),
        case("admin/delete-table", "a deleted table is empty and can be used again").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &["a", "b"]).await?;
                cx.admin().delete_table(cx.name("main")?, t.name()).await?;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                ensure_absent(&t, "a").await?;
                t.write("c", "v").await?;
                ensure_eq!(cx.keys(&t).await?, ["c"], "keys");
                Ok(())
            },
        ),
        case(
            "admin/delete-table-leaves-others",
            "a deleted table leaves its namesakes and the root",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            for table in ["user", "users", "user_x", "", "u"] {
                cx.named(table)?.write("user", table).await?;
            }
            cx.admin().delete_table(cx.name("main")?, "user").await?;
            ensure_eq!(
                cx.admin().tables(cx.name("main")?).await?,
                ["", "u", "user_x", "users"],
                "tables"
            );
            ensure_value(&cx.named("users")?, "user", "users").await
        }),
        case("admin/delete-root", "a deleted root leaves the other tables").needs([F::Tables]).run(
            |cx| async move {
                fill(&cx.named("")?, &["a", "b"]).await?;
                fill(&cx.named("t")?, &["a"]).await?;
                cx.admin().delete_table(cx.name("main")?, "").await?;
                ensure_eq!(
                    cx.keys(&cx.named("")?).await?,
                    Vec::<String>::new(),
                    "keys of the root"
                );
                ensure_eq!(cx.keys(&cx.named("t")?).await?, ["a"], "keys of the table");
                Ok(())
            },
        ),
        case("admin/delete-absent-table", "to delete a table that does not exist is fine").run(
            |cx| async move {
                cx.store().delete_table(cx.table()?.namespace()).await?;
                cx.table()?.write("k", "v").await?;
                cx.table()?.delete("k").await?;
                cx.store().delete_table(cx.table()?.namespace()).await?;
                cx.store().delete_table(cx.table_at("nowhere")?.namespace()).await?;
                Ok(())
            },
        ),
        case("admin/delete-large-table", "a table of three thousand records is deleted whole").run(
            |cx| async move {
                let t = cx.table()?;
                fill(&t, &(0..3000).map(|i| format!("k{i}")).collect::<Vec<_>>()).await?;
                cx.store().delete_table(t.namespace()).await?;
                ensure_eq!(cx.keys(&t).await?, Vec::<String>::new(), "keys");
                Ok(())
            },
        ),
        case("admin/ping", "a store that serves answers a ping").run(|cx| async move {
            cx.store().ping().await?;
            Ok(())
        }),
    ]
}

/// A configuration that no driver can honour.
fn wrong(
    id: &'static str,
    title: &'static str,
    make: fn(DatabaseConfig) -> DatabaseConfig,
) -> Case {
    case(id, title).needs([F::Databases]).run(move |cx| async move {
        let (admin, name): (_, Name) = (cx.admin(), cx.name("main")?);
        let refuse = |result: crate::Result<()>, what: &str| match result {
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            other => Err(Failure::new(format!("{what}: expected a refusal, got {other:?}"))),
        };
        let bad = make(DatabaseConfig::new());
        refuse(admin.create(&name, &bad).await, "create")?;
        ensure!(!admin.list().await?.contains(&name), "it was created");
        admin.create(&name, &DatabaseConfig::new()).await?;
        cx.table()?.write("k", "v").await?;
        refuse(admin.update(&name, &bad).await, "update")?;
        cx.table()?.write("k2", "v").await?;
        ensure_eq!(cx.keys(&cx.table()?).await?, ["k", "k2"], "keys");
        Ok(())
    })
}

/// Whether a setting was taken; a refusal must be one of the two kinds.
fn honoured(result: crate::Result<()>) -> Check<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidArgument) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
