//! Random sequences of operations, compared step by step with a small reference model.

use super::prelude::*;
use crate::conformance::model::{Focus, explore};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "model/records",
            "random writes, deletes, conditions and listings do what a sorted map does",
        )
        .searches()
        .run(|cx| explore(cx, Focus::Records)),
        case(
            "model/expiry",
            "random expiries, extensions and passing time do what a sorted map with a clock does",
        )
        .needs([F::Expiry])
        .searches()
        .run(|cx| explore(cx, Focus::Expiry)),
        case(
            "model/batches",
            "random batches, counters and whole-table deletes do what a sorted map does",
        )
        .searches()
        .run(|cx| explore(cx, Focus::Batches)),
    ]
}
