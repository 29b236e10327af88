use super::prelude::*;

pub(super) fn cases() -> Vec<Case> {
    vec![]
}
