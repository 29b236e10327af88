//! What a store says about itself.

use super::prelude::*;
use crate::{MAX_KEY_LEN, MAX_TABLE_LEN};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("capability/as-pinned", "the store declares just what its test expects it to declare")
            .run(|cx| async move {
                let told = cx.store().capability(&cx.name("main")?).await?;
                let differing: Vec<_> = F::ALL
                    .into_iter()
                    .filter(|feature| told.has(*feature) != cx.has(*feature))
                    .map(F::as_str)
                    .collect();
                ensure!(differing.is_empty(), "features that differ: {differing:?}");
                ensure_eq!(told, *cx.declared(), "capability");
                Ok(())
            }),
        case(
            "capability/same-when-used",
            "what a store declares does not change when a database comes to be",
        )
        .run(|cx| async move {
            let database = cx.database("main")?;
            let before = database.capability().await?;
            cx.table()?.write("k", "v").await?;
            ensure_eq!(database.capability().await?, before, "capability");
            Ok(())
        }),
        case("capability/creates-nothing", "to ask what a store can do creates no database")
            .needs([F::Databases])
            .run(|cx| async move {
                cx.store().capability(&cx.name("nowhere")?).await?;
                ensure!(!cx.admin().list().await?.contains(&cx.name("nowhere")?), "it was created");
                Ok(())
            }),
        case("capability/limits-make-sense", "declared limits are within those of the contract")
            .run(|cx| async move {
                let told = cx.store().capability(&cx.name("main")?).await?;
                ensure!(
                    told.max_key_len.is_none_or(|n| n > 0 && n <= MAX_KEY_LEN),
                    "longest key: {:?}",
                    told.max_key_len
                );
                ensure!(
                    told.max_table_len.is_none_or(|n| n > 0 && n <= MAX_TABLE_LEN),
                    "longest table name: {:?}",
                    told.max_table_len
                );
                ensure!(
                    told.max_value_len.is_none_or(|n| n > 0),
                    "largest value: {:?}",
                    told.max_value_len
                );
                ensure!(
                    told.max_atomic.is_none_or(|n| n > 1),
                    "operations in a batch: {:?}",
                    told.max_atomic
                );
                ensure!(
                    told.min_ttl.is_none_or(|ttl| ttl <= Duration::from_mins(1)),
                    "shortest time to live: {:?}",
                    told.min_ttl
                );
                ensure!(
                    told.expiry_lateness <= Duration::from_mins(1),
                    "expired records are seen for {:?}",
                    told.expiry_lateness
                );
                Ok(())
            }),
        case(
            "capability/features-go-together",
            "what builds on a feature is not declared without it",
        )
        .run(|cx| async move {
            for (feature, basis) in [
                (F::IfRevision, F::Revisions),
                (F::SetExpiry, F::Expiry),
                (F::KeepExpiry, F::Expiry),
                (F::OutliveDefault, F::DefaultExpiry),
                (F::WatchResume, F::Watch),
                (F::ExpiryEvents, F::Watch),
                (F::ExpiryEvents, F::Expiry),
                (F::WatchResume, F::Revisions),
            ] {
                ensure!(!cx.has(feature) || cx.has(basis), "`{feature}` without `{basis}`");
            }
            Ok(())
        }),
    ]
}
