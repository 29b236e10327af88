//! What an error says, and what it never shows.

use super::prelude::*;
use crate::Operation;

const SECRET: &str = "s3cr3t-value";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("error/conflict", "a conflict changed nothing and is not worth repeating")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let error = conflict(t.write("k", "w").if_absent().await, "create")?;
                ensure_eq!(
                    (error.outcome(), error.is_retryable()),
                    (Outcome::NotApplied, false),
                    "outcome, and whether to repeat"
                );
                Ok(())
            }),
        case("error/address", "an error tells driver, operation, database, table and key")
            .needs([F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", "v").await?;
                let error = conflict(t.write("k", "w").if_absent().await, "create")?;
                ensure_eq!(error.driver(), Some(cx.store().driver()), "driver");
                ensure_eq!(error.operation(), Some(Operation::Write), "operation");
                ensure_eq!(error.database(), Some(cx.name("main")?.as_str()), "database");
                ensure_eq!(error.table(), Some(t.name()), "table");
                ensure_eq!(error.key(), Some("k"), "key");
                Ok(())
            }),
        case("error/operations", "errors of different calls tell different operations").run(
            |cx| async move {
                let t = cx.table()?;
                let told = [
                    (t.read("").await.map(drop), Operation::Read),
                    (t.value("").await.map(drop), Operation::Read),
                    (t.exists("").await.map(drop), Operation::Exists),
                    (t.delete("").await.map(drop), Operation::Delete),
                    (t.increment("", 1).await.map(drop), Operation::Increment),
                    (t.set_expiry("", Expiry::Never).await.map(drop), Operation::SetExpiry),
                    (t.batch().write("", "v").commit().await.map(drop), Operation::Atomic),
                    (t.read_many(&[""]).await.remove(0).map(drop), Operation::ReadMany),
                    (
                        cx.admin().create("a.b", &DatabaseConfig::new()).await,
                        Operation::CreateDatabase,
                    ),
                ];
                for (result, want) in told {
                    let Err(error) = result else {
                        return Err(Failure::new(format!("{want} succeeded with an empty key")));
                    };
                    ensure_eq!(error.operation(), Some(want), "operation of {error}");
                    ensure_eq!(error.driver(), Some(cx.store().driver()), "driver of {error}");
                }
                Ok(())
            },
        ),
        case(
            "error/no-value-of-a-conflict",
            "a conflict shows neither the value that is there nor the one that was brought",
        )
        .needs([F::Create])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", SECRET).await?;
            discreet(&conflict(t.write("k", format!("{SECRET}-2")).if_absent().await, "create")?)?;
            if cx.has(F::IfValue) {
                discreet(&conflict(
                    t.write("k", "v").if_value(format!("{SECRET}-3").into_bytes()).await,
                    "value",
                )?)?;
                discreet(&conflict(
                    t.delete("k").if_value(format!("{SECRET}-3").into_bytes()).await,
                    "value",
                )?)?;
            }
            Ok(())
        }),
        case(
            "error/no-value-of-a-counter",
            "the error of a counter does not show what is no number",
        )
        .needs([F::Increment])
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("k", SECRET).await?;
            discreet(&refused(t.increment("k", 1).await, ErrorKind::NotACounter, "increment")?)
        }),
        case("error/no-value-of-a-batch", "the error of a batch shows no values")
            .needs([F::AtomicBatch, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", SECRET).await?;
                discreet(&conflict(
                    t.batch().write("a", SECRET).create("k", SECRET).commit().await,
                    "batch",
                )?)?;
                discreet(&invalid(
                    t.batch().write("a", SECRET).write("a", SECRET).commit().await,
                    "batch",
                )?)
            }),
        case("error/no-value-of-a-refusal", "the error of a refused write shows no value")
            .needs([F::Expiry])
            .run(|cx| async move {
                let t = cx.table()?;
                discreet(&invalid(t.write("k", SECRET).ttl(Duration::ZERO).await, "write")?)?;
                discreet(&invalid(t.write("", SECRET).await, "write")?)?;
                if let Some(most) = cx.declared().max_value_len.filter(|most| *most < 64 << 20) {
                    discreet(&refused(
                        t.write("k", SECRET.repeat(most / SECRET.len() + 1)).await,
                        ErrorKind::TooLarge,
                        "write",
                    )?)?;
                }
                Ok(())
            }),
        case("error/no-metadata", "an error shows no metadata")
            .needs([F::Metadata, F::Create])
            .run(|cx| async move {
                let t = cx.table()?;
                let metadata = Metadata::new().with("m", SECRET)?;
                t.write("k", "v").metadata(metadata.clone()).await?;
                discreet(&conflict(
                    t.write("k", "v").metadata(metadata).if_absent().await,
                    "create",
                )?)
            }),
        case("error/a-record-in-a-log", "a record and an event show no value when they are logged")
            .run(|cx| async move {
                let t = cx.table()?;
                t.write("k", SECRET).await?;
                let record = present(&t, "k").await?;
                let logged = format!(
                    "{record:?} {:?} {:?}",
                    Event::Put(record.clone()),
                    cx.scan(&t).page().await?
                );
                ensure!(!logged.contains(SECRET), "the value is shown");
                Ok(())
            }),
        case(
            "error/names-the-rule-of-the-alphabet",
            "a key outside of the layout's alphabet is refused with the rule",
        )
        .run(|cx| async move {
            let Some(rule) = cx.declared().alphabet else {
                return Err(Failure::NotApplicable("the driver takes any key"));
            };
            let odd = [" ", "a b", ".", "*", ">", "é", "\0", "a\n"]
                .into_iter()
                .find(|key| !cx.target().accepts_key(key));
            let Some(key) = odd else {
                return Err(Failure::NotApplicable(
                    "none of the odd keys is outside of the alphabet",
                ));
            };
            let error = invalid(cx.table()?.write(key, "v").await, format_args!("{key:?}"))?;
            ensure!(
                error.message().contains(rule),
                "{:?} does not name the rule {rule:?}",
                error.message()
            );
            Ok(())
        }),
        case("error/driver-name", "a store's name is short, lower case and the same each time")
            .run(|cx| async move {
                let name = cx.store().driver();
                ensure!(
                    !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_lowercase()
                            || b.is_ascii_digit()
                            || b == b'-'
                            || b == b'_'),
                    "{name:?}"
                );
                ensure_eq!(cx.store().driver(), name, "name");
                Ok(())
            }),
        case("error/debug-of-a-store", "a store can be logged, without its records").run(
            |cx| async move {
                cx.table()?.write("k", SECRET).await?;
                let logged = format!("{:?} {:?} {:?}", cx.store(), cx.table()?, cx.admin());
                ensure!(!logged.contains(SECRET), "a value is shown");
                Ok(())
            },
        ),
    ]
}

/// An error that shows no secret, however it is printed.
fn discreet(error: &crate::Error) -> Check {
    let shown = format!("{error} {error:?} {error:#?}");
    ensure!(!shown.contains(SECRET), "the error shows a value: {error}");
    Ok(())
}
