use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;

/// What the suite found out about a driver.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The driver.
    pub target: String,
    /// Its layout or server; may be empty.
    pub layout: String,
    /// How long the run took, in milliseconds.
    pub millis: u64,
    /// Of the state machine's sequences.
    pub seed: u64,
    /// Each case, in the order of the catalogue.
    pub cases: Vec<CaseReport>,
    /// Each feature: declared against derived.
    pub features: Vec<FeatureReport>,
    /// The declared limits.
    pub limits: Limits,
}

/// How one case ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseReport {
    /// Its stable id, `topic/what-holds`.
    pub id: String,
    /// The sentence of the contract.
    pub title: String,
    /// How it ended.
    pub status: Status,
    /// What was wrong, or why it did not apply.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
    /// How many runs said nothing, because the calls of the case took longer than its records lived. Each was followed by one in
    /// which they live three times as long; there are three at most.
    #[serde(default)]
    pub slow: u32,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl CaseReport {
    /// The part of the id before the slash.
    pub fn topic(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The contract held.
    Passed,
    /// It did not.
    Failed,
    /// The driver does not declare a feature that the case needs, and refused as it must.
    Refused,
    /// The case could not be asked of this target.
    NotApplicable,
}

/// One feature, as declared and as derived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeatureReport {
    /// [`Feature::as_str`](crate::Feature::as_str).
    pub feature: String,
    /// For people.
    pub describe: String,
    /// What the driver says.
    pub declared: bool,
    /// What it does.
    pub derived: Verdict,
    /// Whether the two agree, or nothing is known.
    pub agrees: bool,
    /// What is wrong, if they do not.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
}

/// What the cases that prove a feature say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They pass: the driver has the feature.
    Has,
    /// The driver refuses: it lacks the feature.
    Lacks,
    /// Neither: it does not refuse and does not keep the contract.
    Broken,
    /// They did not run.
    Unknown,
}

/// The declared limits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as the fields of `Capability` they repeat")]
pub struct Limits {
    pub max_table_len: Option<usize>,
    pub max_key_len: Option<usize>,
    pub max_value_len: Option<usize>,
    pub max_atomic: Option<usize>,
    pub min_ttl_ms: Option<u64>,
    pub expiry_lateness_ms: u64,
    pub alphabet: Option<String>,
}

impl From<Capability> for Limits {
    fn from(capability: Capability) -> Self {
        Self {
            max_table_len: capability.max_table_len,
            max_key_len: capability.max_key_len,
            max_value_len: capability.max_value_len,
            max_atomic: capability.max_atomic,
            min_ttl_ms: capability.min_ttl.map(|ttl| ttl.as_millis() as u64),
            expiry_lateness_ms: capability.expiry_lateness.as_millis() as u64,
            alphabet: capability.alphabet.map(str::to_owned),
        }
    }
}

impl Report {
    /// Driver and layout.
    pub fn name(&self) -> String {
        match self.layout.as_str() {
            "" => self.target.clone(),
            layout => format!("{} ({layout})", self.target),
        }
    }

    /// Whether nothing failed.
    pub fn is_green(&self) -> bool {
        self.failures().is_empty()
    }

    /// The ids of what failed: cases, and `capability/<feature>` where declared and derived differ.
    pub fn failures(&self) -> Vec<String> {
        let cases = self.cases.iter().filter(|case| case.status == Status::Failed);
        let features = self.features.iter().filter(|feature| !feature.agrees);
        cases
            .map(|case| case.id.clone())
            .chain(features.map(|feature| format!("capability/{}", feature.feature)))
            .collect()
    }

    /// How many cases ended so.
    pub fn count(&self, status: Status) -> usize {
        self.cases.iter().filter(|case| case.status == status).count()
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        // Text, numbers and lists always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} cases in {:.1} s: {} passed, {} failed, {} refused, {} not applicable (seed {})",
            self.name(),
            self.cases.len(),
            self.millis as f64 / 1000.0,
            self.count(Status::Passed),
            self.count(Status::Failed),
            self.count(Status::Refused),
            self.count(Status::NotApplicable),
            self.seed,
        )?;
        let mut topics: BTreeMap<&str, BTreeMap<Status, usize>> = BTreeMap::new();
        for case in &self.cases {
            *topics.entry(case.topic()).or_default().entry(case.status).or_default() += 1;
        }
        for (topic, counts) in topics {
            let count = |status| counts.get(&status).copied().unwrap_or_default();
            write!(f, "  {topic:<16} {:>3} passed", count(Status::Passed))?;
            for (status, word) in [
                (Status::Failed, "FAILED"),
                (Status::Refused, "refused"),
                (Status::NotApplicable, "not applicable"),
            ] {
                if count(status) > 0 {
                    write!(f, ", {} {word}", count(status))?;
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "  {:<16} {:<9} derived", "feature", "declared")?;
        for feature in &self.features {
            let declared = if feature.declared { "yes" } else { "no" };
            let derived = match feature.derived {
                Verdict::Has => "yes",
                Verdict::Lacks => "no",
                Verdict::Broken => "BROKEN",
                Verdict::Unknown => "?",
            };
            let differs = if feature.agrees { "" } else { "   <- differs" };
            writeln!(f, "  {:<16} {declared:<9} {derived}{differs}", feature.feature)?;
        }
        for case in self.cases.iter().filter(|case| case.slow > 0) {
            writeln!(
                f,
                "slow {}: calls took longer than records lived in {} of its runs",
                case.id, case.slow
            )?;
        }
        for case in self.cases.iter().filter(|case| case.status == Status::Failed) {
            writeln!(
                f,
                "FAILED {}: {}\n    {}",
                case.id,
                case.title,
                case.why.replace('\n', "\n    ")
            )?;
        }
        for feature in self.features.iter().filter(|feature| !feature.agrees) {
            writeln!(
                f,
                "FAILED capability/{}: {}\n    {}",
                feature.feature, feature.describe, feature.why
            )?;
        }
        Ok(())
    }
}
