use std::time::Instant;

use tracing::field::Empty;
use tracing::{Instrument as _, Level, Span};

use crate::call::Call;
use crate::error::{Error, ErrorKind, Outcome};
use crate::layer::{Answer, Around, Items, Run};

/// One [`tracing`] span and one event for each call, under the target `store`.
///
/// | field | |
/// |---|---|
/// | `driver`, `operation`, `database`, `table` | what is called, and where; `table` is empty for the root table |
/// | `key` | only with [`with_keys`](Self::with_keys), for calls on one record |
/// | `items`, `bytes` | how many records it is about, or how many a listing gave; bytes of values that it brings |
/// | `outcome` | `ok`, `not_applied`, `unknown` |
/// | `kind`, `reason` | of the first error |
/// | `failed` | how many items failed |
/// | `elapsed_us` | how long it took, in microseconds |
///
/// Calls are at level DEBUG; errors at WARN, except a `Conflict`, which is the answer to a question. Never a value, never a key that
/// was not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    keys: bool,
}

impl Trace {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the keys of calls on one record. Keys may be personal data.
    pub fn with_keys(mut self) -> Self {
        self.keys = true;
        self
    }
}

impl Around for Trace {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        if !tracing::enabled!(target: "store", Level::WARN) {
            return run.run(Items::All).await;
        }
        let key = call.key.filter(|_| self.keys);
        let span = tracing::debug_span!(
            target: "store",
            "store",
            driver,
            operation = call.operation.as_str(),
            database = call.database(),
            table = call.namespace.map(crate::Namespace::table),
            key,
            items = call.items,
            bytes = call.bytes,
            outcome = Empty,
            kind = Empty,
            elapsed_us = Empty,
        );
        let began = Instant::now();
        let answer = run.run(Items::All).instrument(span.clone()).await;
        let end = End::of(&answer, call.items, began);
        end.record(&span);
        span.in_scope(|| end.event(driver, &call, key));
        answer
    }
}

/// How a call ended.
struct End<'e> {
    items: usize,
    failed: usize,
    error: Option<&'e Error>,
    outcome: &'static str,
    elapsed_us: u64,
}

impl<'e> End<'e> {
    fn of(answer: &'e impl Answer, items: usize, began: Instant) -> Self {
        let mut end = Self {
            items: answer.returned().unwrap_or(items),
            failed: 0,
            error: None,
            outcome: "ok",
            elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        for error in answer.each().filter_map(Result::err) {
            end.failed += 1;
            // A conflict is shown only where nothing is worse.
            if end.error.is_none_or(is_conflict) {
                end.error = Some(error);
            }
            match error.outcome() {
                Outcome::Unknown => end.outcome = "unknown",
                Outcome::NotApplied if end.outcome == "ok" => end.outcome = "not_applied",
                Outcome::NotApplied => {}
            }
        }
        end
    }

    fn record(&self, span: &Span) {
        span.record("items", self.items);
        span.record("outcome", self.outcome);
        span.record("kind", self.error.map(|error| error.kind().as_str()));
        span.record("elapsed_us", self.elapsed_us);
    }

    fn event(&self, driver: &'static str, call: &Call<'_>, key: Option<&str>) {
        // With all fields, as the span may be disabled where the event is not. Not the error's own text, which has the key.
        macro_rules! event {
            ($level:expr, $text:literal) => {
                tracing::event!(
                    target: "store",
                    $level,
                    driver,
                    operation = call.operation.as_str(),
                    database = call.database(),
                    table = call.namespace.map(crate::Namespace::table),
                    key,
                    items = self.items,
                    bytes = call.bytes,
                    outcome = self.outcome,
                    kind = self.error.map(|error| error.kind().as_str()),
                    reason = self.error.map(Error::message),
                    failed = self.failed,
                    elapsed_us = self.elapsed_us,
                    $text
                )
            };
        }
        match self.error {
            Some(error) if !is_conflict(error) => event!(Level::WARN, "store call failed"),
            _ => event!(Level::DEBUG, "store call"),
        }
    }
}

fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}
