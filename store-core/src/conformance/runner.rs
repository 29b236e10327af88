use std::any::Any;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::case::{Case, Check, Failure};
use super::cases;
use super::cx::Cx;
use super::derive::{Evidence, judge};
use super::options::Options;
use super::pace::Pace;
use super::report::{CaseReport, Report, Status};
use super::target::Target;
use crate::capability::{Capability, Feature};

/// Runs the suite.
pub async fn run(target: impl Target, options: Options) -> Report {
    let started = Instant::now();
    let target: Arc<dyn Target> = Arc::new(target);
    let declared = target.capability();
    let run = run_id();
    let mut chosen: Vec<_> =
        cases::all().into_iter().filter(|case| options.selects(case.id)).enumerate().collect();
    // Those that wait begin first, so that all of them wait at the same time.
    chosen.sort_by_key(|(_, case)| !case.waits);

    let permits = Arc::new(Semaphore::new(options.concurrency.max(1)));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, case) in chosen {
        let (target, options, permits) =
            (Arc::clone(&target), options.clone(), Arc::clone(&permits));
        let prefix = format!("cf-{run:x}-{number}");
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            (number, attempt(case, target, options, prefix).await)
        });
    }
    let mut done: Vec<_> = tasks.join_all().await;
    done.sort_by_key(|(number, _)| *number);

    let mut evidence: HashMap<Feature, Evidence> = HashMap::new();
    let mut reports = Vec::with_capacity(done.len());
    for (_, ended) in done {
        if let Some(feature) = ended.case.proves {
            evidence.entry(feature).or_default().add(ended.case.id, &ended.result);
        }
        reports.push(ended.report(&declared));
    }
    let features = Feature::ALL
        .into_iter()
        .map(|feature| {
            judge(feature, evidence.get(&feature).unwrap_or(&Evidence::default()), &declared)
        })
        .collect();
    Report {
        target: target.name(),
        layout: target.layout(),
        millis: started.elapsed().as_millis() as u64,
        seed: options.seed,
        cases: reports,
        features,
        limits: declared.into(),
    }
}

/// Runs the suite on a runtime of its own.
///
/// # Panics
/// When the system gives no threads for a runtime.
pub fn run_blocking(target: impl Target, options: Options) -> Report {
    #[expect(clippy::expect_used, reason = "a test without a runtime cannot go on")]
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    let report = runtime.block_on(run(target, options));
    // A driver that hangs does not keep the test from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    report
}

/// Runs the suite, prints the report, and fails with it: what [`conformance_suite!`](crate::conformance_suite) calls.
///
/// # Panics
/// When a case failed, or no case was selected.
pub fn check(target: impl Target, options: Options) {
    let report = run_blocking(target, options);
    // Not `println`: a test's report is worth seeing also when it passes.
    let _ = write!(std::io::stdout().lock(), "\n{report}");
    assert!(!report.cases.is_empty(), "no case was selected");
    assert!(report.is_green(), "{} failed:\n{report}", report.name());
}

struct Ended {
    case: Case,
    result: Check,
    /// In so many runs its calls took too long to show anything.
    slow: u32,
    millis: u64,
}

async fn attempt(case: Case, target: Arc<dyn Target>, options: Options, prefix: String) -> Ended {
    let declared = target.capability();
    let started = Instant::now();
    let (mut result, mut slow) = (obstacle(&case, &declared), 0);
    if result.is_ok() {
        for factor in Pace::FACTORS {
            let prefix = format!("{prefix}-{factor}");
            result = in_fixture(&case, Arc::clone(&target), &options, factor, prefix).await;
            if !matches!(result, Err(Failure::TooSlow(_))) {
                break;
            }
            slow += 1;
        }
    }
    Ended { case, result, slow, millis: started.elapsed().as_millis() as u64 }
}

/// Why a case need not run. What proves a feature always runs.
fn obstacle(case: &Case, declared: &Capability) -> Check {
    let lacks = |feature: &Feature| !declared.has(*feature) && case.proves != Some(*feature);
    if case.without.is_some_and(|feature| declared.has(feature)) {
        return Err(Failure::NotApplicable(
            "the driver has the feature whose absence this is about",
        ));
    }
    if case.needs.iter().any(lacks) {
        return Err(Failure::NotApplicable("needs a feature that the driver does not declare"));
    }
    Ok(())
}

async fn in_fixture(
    case: &Case,
    target: Arc<dyn Target>,
    options: &Options,
    factor: u32,
    prefix: String,
) -> Check {
    let deadline = options.deadline_of(case.searches);
    let hangs = |what: &str| Failure::new(format!("{what} did not end within {deadline:?}"));
    let opened = tokio::spawn({
        let target = Arc::clone(&target);
        async move { target.open().await }
    });
    let fixture = match tokio::time::timeout(deadline, opened).await {
        Err(_) => return Err(hangs("opening the store")),
        Ok(Err(died)) => {
            return Err(Failure::new(format!("opening the store panicked: {}", words(died))));
        }
        Ok(Ok(Err(error))) => {
            return Err(Failure::new(format!("the store does not open: {error:?}")));
        }
        Ok(Ok(Ok(fixture))) => fixture,
    };
    let cx = Cx::new(target, fixture, options.clone(), factor, prefix);
    let mut body = tokio::spawn((case.body)(cx.clone()));
    let result = match tokio::time::timeout(deadline, &mut body).await {
        Ok(Ok(result)) => result,
        Ok(Err(died)) => Err(Failure::new(format!("panicked: {}", words(died)))),
        Err(_) => {
            body.abort();
            Err(hangs(case.id))
        }
    };
    let result = result.map_err(|e| if cx.was_too_slow() { e.in_slow_run() } else { e });
    // In a task of its own: a driver that panics here must not take the run down.
    let cleaning = tokio::spawn(async move { cx.clean_up().await });
    let _ = tokio::time::timeout(deadline.min(Duration::from_secs(10)), cleaning).await;
    result
}

impl Ended {
    fn report(self, declared: &Capability) -> CaseReport {
        let lacking = self.case.needs.iter().any(|feature| !declared.has(*feature));
        let (status, why) = match self.result {
            Ok(()) => (Status::Passed, String::new()),
            Err(Failure::NotApplicable(why)) => (Status::NotApplicable, why.to_owned()),
            Err(Failure::Unsupported(why)) if lacking => (Status::Refused, why),
            Err(Failure::Unsupported(why)) => (
                Status::Failed,
                format!("refused, though the driver declares what it takes: {why}"),
            ),
            // What an undeclared feature does instead of refusing is judged with the feature.
            Err(Failure::Wrong(why) | Failure::TooSlow(why)) if lacking => {
                (Status::NotApplicable, why)
            }
            Err(Failure::Wrong(why) | Failure::TooSlow(why)) => (Status::Failed, why),
        };
        CaseReport {
            id: self.case.id.to_owned(),
            title: self.case.title.to_owned(),
            status,
            why,
            slow: self.slow,
            millis: self.millis,
        }
    }
}

/// What a task that died had to say.
fn words(died: tokio::task::JoinError) -> String {
    let said = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    };
    let spoke = if died.is_panic() { said(died.into_panic()) } else { None };
    spoke.unwrap_or_else(|| "without words".to_owned())
}

/// Differs from run to run, so that runs on one server never meet.
fn run_id() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}
