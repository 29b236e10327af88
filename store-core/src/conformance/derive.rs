//! What a driver can do, derived from what it did.

use super::case::Failure;
use super::report::{FeatureReport, Verdict};
use crate::capability::{Capability, Feature};

/// How the proofs of one feature ended.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    passed: usize,
    refused: usize,
    /// Id and reason of what is neither.
    broken: Vec<String>,
    /// What the target gave no way to show.
    not_shown: usize,
}

impl Evidence {
    pub(super) fn add(&mut self, id: &str, result: &Result<(), Failure>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(Failure::Unsupported(_)) => self.refused += 1,
            Err(Failure::Wrong(why) | Failure::TooSlow(why)) => {
                self.broken.push(format!("{id}: {why}"));
            }
            Err(Failure::NotApplicable(_)) => self.not_shown += 1,
        }
    }

    fn verdict(&self, feature: Feature) -> Verdict {
        match (self.passed, self.refused, self.broken.len()) {
            (0, 0, 0) => Verdict::Unknown,
            (_, 0, 0) => Verdict::Has,
            (0, _, 0) => Verdict::Lacks,
            _ if !is_asked_for(feature) => Verdict::Lacks,
            _ => Verdict::Broken,
        }
    }
}

/// Whether a call asks for the feature, so that a store without it has something to refuse. The others are simply not there.
fn is_asked_for(feature: Feature) -> bool {
    !matches!(
        feature,
        Feature::Revisions | Feature::ExpiryEvents | Feature::Shared | Feature::OutliveDefault
    )
}

pub(super) fn judge(feature: Feature, evidence: &Evidence, declared: &Capability) -> FeatureReport {
    let declared = declared.has(feature);
    let derived = match evidence.verdict(feature) {
        // Another process cannot be asked for: a target that has no second store to show has nothing shared.
        Verdict::Unknown if feature == Feature::Shared && !declared => Verdict::Lacks,
        other => other,
    };
    let (agrees, why) = match (declared, derived) {
        (true, Verdict::Unknown) if evidence.not_shown > 0 => {
            (false, "declared, but the target gives no way to show it".to_owned())
        }
        // Unknown is what was not selected.
        (true, Verdict::Has) | (false, Verdict::Lacks) | (_, Verdict::Unknown) => {
            (true, String::new())
        }
        (true, Verdict::Lacks) => (false, "declared, but the store refuses it".to_owned()),
        (true, Verdict::Broken) => {
            (false, format!("declared, but not proven by {}", evidence.broken.join("; ")))
        }
        (false, Verdict::Has) => (false, "the store has it and does not declare it".to_owned()),
        (false, Verdict::Broken) => (
            false,
            format!(
                "not declared, so it must be refused with `unsupported`, but {}",
                if evidence.broken.is_empty() {
                    "it was refused in one place and done in another".to_owned()
                } else {
                    evidence.broken.join("; ")
                }
            ),
        ),
    };
    FeatureReport {
        feature: feature.as_str().to_owned(),
        describe: feature.describe().to_owned(),
        declared,
        derived,
        agrees,
        why,
    }
}
