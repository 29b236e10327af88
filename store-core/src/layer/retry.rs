use std::time::Duration;

use tokio::time::Instant;

use crate::call::Call;
use crate::error::Outcome;
use crate::layer::pause::{jittered, pause};
use crate::layer::{Answer, Around, Items, Run};

/// Makes a call again that failed for a passing reason, if nothing was changed or a second time changes nothing more
/// ([`Error::is_retryable`](crate::Error::is_retryable)). A conditional write, an atomic batch with conditions or an increment whose
/// outcome is unknown is never repeated.
///
/// Pauses grow twofold from the first, each by chance between half and all of it. Attempts and the time for them all are bounded.
/// Of a batch, only the items that failed are sent again, in their order, and none whose record the batch changes again later.
///
/// A watch is opened again in the same way; once it is open, the driver itself reconnects it.
///
/// What was tried twice and may have happened the first time stays [unknown](crate::Outcome::Unknown) if it fails for good.
#[derive(Clone, Debug)]
pub struct Retry {
    attempts: u32,
    first: Duration,
    most: Duration,
    budget: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            first: Duration::from_millis(50),
            most: Duration::from_secs(2),
            budget: Duration::from_secs(10),
        }
    }
}

impl Retry {
    /// At most 4 attempts, pauses from 50 ms to 2 s, within 10 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most attempts, the first included.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The first pause, and the most that it grows to.
    pub fn pauses(mut self, first: Duration, most: Duration) -> Self {
        (self.first, self.most) = (first, most);
        self
    }

    /// No attempt begins later than this after the first one began.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// The pauses, where they are given; the longest is never shorter than the first.
    pub(crate) fn pauses_or(self, first: Option<Duration>, most: Option<Duration>) -> Self {
        let (first, most) = match (first, most) {
            (Some(first), None) => (first, self.most.max(first)),
            (None, Some(most)) => (self.first.min(most), most),
            (first, most) => (first.unwrap_or(self.first), most.unwrap_or(self.most)),
        };
        self.pauses(first, most)
    }

    /// How long to wait after so many attempts.
    fn pause_after(&self, attempts: u32) -> Duration {
        let doubled = 1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        jittered(self.first.saturating_mul(doubled).min(self.most))
    }
}

impl Around for Retry {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        _call: Call<'a>,
        mut run: R,
    ) -> T {
        let began = Instant::now();
        let mut answer = run.run(Items::All).await;
        let mut doubtful = Vec::new();
        for attempt in 1..self.attempts {
            let mut again = retryable(&answer);
            run.retain_repeatable(&mut again);
            if again.is_empty() {
                break;
            }
            let wait = self.pause_after(attempt);
            if began.elapsed() + wait > self.budget || !pause(wait).await {
                break;
            }
            doubtful.extend(unknown(&answer, &again));
            let answers = run.run(Items::These(again.clone())).await;
            answer.put(&again, answers);
        }
        for place in doubtful {
            answer.doubt(place);
        }
        answer
    }
}

/// The places that may be tried again.
fn retryable(answer: &impl Answer) -> Vec<usize> {
    places(answer, crate::Error::is_retryable).collect()
}

/// Those of these places whose attempt may have had an effect.
fn unknown(answer: &impl Answer, among: &[usize]) -> Vec<usize> {
    places(answer, |error| error.outcome() == Outcome::Unknown)
        .filter(|place| among.binary_search(place).is_ok())
        .collect()
}

fn places<T: Answer>(
    answer: &T,
    matches: impl Fn(&crate::Error) -> bool,
) -> impl Iterator<Item = usize> {
    answer
        .each()
        .enumerate()
        .filter_map(move |(place, each)| each.err().is_some_and(&matches).then_some(place))
}
