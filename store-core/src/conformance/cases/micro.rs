//! Go-Micro's calls over the store: the rows of its own tests that apply, kept with the module that has the calls.

use super::prelude::*;
use crate::micro::conformance::{MicroCtx, cases as rows, needs};

pub(super) fn cases() -> Vec<Case> {
    let rows = rows().into_iter().map(|(id, title, row)| {
        let draft =
            needs(id).iter().fold(case(id, title), |draft, feature| draft.needs([*feature]));
        draft.waits().run(move |cx| async move {
            let (names, sleeper, teller) = (cx.clone(), cx.clone(), cx.clone());
            let next = std::sync::atomic::AtomicUsize::new(0);
            // All names are made here, where a wrong one can still be reported.
            let databases = (0..32)
                .map(|n| Ok(names.name(&format!("m{n}"))?.to_string()))
                .collect::<Check<Vec<_>>>()?;
            let micro = MicroCtx {
                store: Arc::clone(cx.store()),
                database: Box::new(move || {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    databases[n % databases.len()].clone()
                }),
                sleep: Box::new(move |time| {
                    let cx = sleeper.clone();
                    Box::pin(async move { cx.advance(time).await })
                }),
                now: Box::new(move || teller.now()),
                unit: cx.ttl(),
            };
            row(&micro).await.map_err(Failure::new)
        })
    });
    rows.collect()
}
