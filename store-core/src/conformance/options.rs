use std::time::Duration;

/// How the suite runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Run only the cases whose ids begin with one of these; all if empty.
    pub only: Vec<String>,
    /// How many cases run side by side.
    pub concurrency: usize,
    /// When a case counts as hanging, in real time.
    pub deadline: Duration,
    /// The seed of the state machine's sequences.
    pub seed: u64,
    /// How many sequences each state machine runs; where time is real, a quarter of it.
    pub sequences: u32,
    /// How many operations a sequence has at most.
    pub steps: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            concurrency: 32,
            deadline: Duration::from_mins(1),
            seed: 0x5EED,
            sequences: 64,
            steps: 40,
        }
    }
}

impl Options {
    /// The defaults, changed by `CONFORMANCE_ONLY` (ids or their beginnings, with commas), `CONFORMANCE_SEED` and
    /// `CONFORMANCE_SEQUENCES`.
    pub fn from_env() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let mut options = Self::default();
        if let Ok(only) = std::env::var("CONFORMANCE_ONLY") {
            options = options.with_only(only.split(',').map(str::trim).filter(|id| !id.is_empty()));
        }
        if let Some(seed) = number("CONFORMANCE_SEED") {
            options.seed = seed;
        }
        if let Some(sequences) = number("CONFORMANCE_SEQUENCES") {
            options.sequences = u32::try_from(sequences).unwrap_or(u32::MAX);
        }
        options
    }

    /// Only the cases whose ids begin with one of these.
    pub fn with_only<S: Into<String>>(mut self, only: impl IntoIterator<Item = S>) -> Self {
        self.only = only.into_iter().map(Into::into).collect();
        self
    }

    /// With this many cases side by side.
    pub fn with_concurrency(mut self, cases: usize) -> Self {
        self.concurrency = cases.max(1);
        self
    }

    /// With this deadline for a case.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// With this many sequences for each state machine.
    pub fn with_sequences(mut self, sequences: u32) -> Self {
        self.sequences = sequences;
        self
    }

    /// With this seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// When a case counts as hanging; one that searches has as many deadlines as it has times the usual sequences.
    pub(super) fn deadline_of(&self, searches: bool) -> Duration {
        let times =
            if searches { self.sequences.div_ceil(Self::default().sequences).max(1) } else { 1 };
        self.deadline * times
    }

    pub(super) fn selects(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|start| id.starts_with(&**start))
    }
}
