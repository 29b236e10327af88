//! The proof that the conformance suite bites: a sound store behind wrappers passes everything, one that is broken in any one way
//! fails the case that is about it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store_core::conformance::{
    Fixture, Options, Report, Status, Target, capability_table, catalogue, run_blocking,
};
use store_core::layer::Layers;
use store_core::{Capability, Feature, Operation, Result, StoreAdmin, async_trait};
use store_memory::Memory;
use store_memory::testkit::{Fault, Faults};
use tests::memory::MemoryTarget;
use tests::mutants::{Broken, Less, MUTANTS, Mutant, MutantTarget, SharedTarget};

fn topic(id: &str) -> String {
    format!("{}/", id.split('/').next().unwrap())
}

/// Runs the topics in which a broken store must fail, and the proofs of the feature that it is about.
fn report(mutant: &Mutant) -> Report {
    let mut only: BTreeSet<_> = mutant.fails.iter().map(|id| topic(id)).collect();
    for id in mutant.fails {
        // `capability/expiry_events` is proven elsewhere.
        if let Some(feature) = id.strip_prefix("capability/") {
            let homes: &[&str] = match feature {
                "expiry" => &["expiry/after-a-duration-it-is-gone"],
                "expiry_events" => &["watch/expiry"],
                "history" => &["history/versions"],
                "increment" => &["counter/counts"],
                _ => &[],
            };
            only.extend(homes.iter().map(|&home| home.to_owned()));
        }
    }
    let target = MutantTarget::new(mutant.name, mutant.make)
        .with_capability((mutant.declares)(MemoryTarget.capability()));
    run_blocking(target, Options::default().with_only(only).with_deadline(Duration::from_secs(6)))
}

/// Runs the suite on several stores at once: most of the time a broken one is waited for in vain.
fn several_at_once<T: Send, I: IntoIterator<Item = String>>(
    all: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> I + Sync,
) -> Vec<String> {
    let todo = Mutex::new(all);
    let worker = || {
        let mut found = Vec::new();
        while let Some(one) = { todo.lock().unwrap().next() } {
            found.extend(work(one));
        }
        found
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// The cases that should have failed and did not.
fn unnoticed(mutant: &Mutant) -> Vec<String> {
    let failures = report(mutant).failures();
    let missed = mutant.fails.iter().filter(|id| !failures.iter().any(|failure| failure == *id));
    missed.map(|id| format!("{}: {id} did not fail, but {failures:?}", mutant.name)).collect()
}

#[test]
fn every_broken_store_fails_where_it_is_broken() {
    let unnoticed = several_at_once(MUTANTS.iter(), unnoticed);
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn a_sound_store_behind_wrappers_passes_everything() {
    let sound = |inner: Arc<dyn StoreAdmin>| -> Arc<dyn StoreAdmin> {
        Arc::new(Broken(Less::new(inner, Vec::new())))
    };
    let report = run_blocking(MutantTarget::new("sound", sound), Options::from_env());
    assert!(report.is_green(), "{report}");
    assert!(report.count(Status::Passed) >= 500, "{report}");
}

/// Real time, records that live for so long in the first run of a case, and reads that go wrong so.
struct Strained {
    unit: Duration,
    reads: Fault,
}

#[async_trait]
impl Target for Strained {
    fn name(&self) -> String {
        "strained".into()
    }

    fn capability(&self) -> Capability {
        MemoryTarget.capability()
    }

    fn unit(&self) -> Duration {
        self.unit
    }

    async fn open(&self) -> Result<Fixture> {
        let faults = Faults::new();
        faults.add(self.reads.clone().on(Operation::Read));
        let memory: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
        Ok(Fixture::new(Layers::new().layer(faults).wrap(memory)))
    }
}

#[test]
fn a_case_whose_calls_outlast_its_records_runs_again_with_longer_ones() {
    let run = |unit, reads| {
        let options = Options::default().with_only(["expiry/after-a-duration-it-is-gone"]);
        run_blocking(Strained { unit: Duration::from_millis(unit), reads }, options)
    };
    let ended = |report: &Report| (report.cases[0].status, report.cases[0].slow);
    let late = || Fault::delay(Duration::from_millis(100));
    let again = run(60, late());
    assert!(matches!(ended(&again), (Status::Passed, 1 | 2)), "{again}");
    let too_late = run(1, late());
    assert_eq!(ended(&too_late), (Status::Failed, 3), "{too_late}");
    assert!(too_late.to_string().contains("in 3 of its runs"), "{too_late}");

    assert_eq!(ended(&run(5000, Fault::before())), (Status::Failed, 0), "it failed in time");
}

/// Features that can be absent together, each with what builds on it: a dozen runs instead of twenty. `Shared` and `OutliveDefault`
/// are not refused but simply not there.
fn groups() -> Vec<Vec<Feature>> {
    use Feature as F;
    vec![
        vec![F::Databases, F::DefaultExpiry, F::OutliveDefault, F::History],
        vec![F::Tables, F::StrongRead],
        vec![F::Revisions, F::IfRevision, F::WatchResume, F::History],
        vec![F::Create, F::ScanU64],
        vec![F::IfRevision, F::Metadata],
        vec![F::IfValue, F::Increment],
        vec![
            F::Expiry,
            F::SetExpiry,
            F::KeepExpiry,
            F::ExpiryEvents,
            F::DefaultExpiry,
            F::OutliveDefault,
        ],
        vec![F::SetExpiry, F::AtomicBatch],
        vec![F::KeepExpiry, F::ByteOrder],
        vec![F::Watch, F::WatchResume, F::ExpiryEvents],
        vec![F::WatchResume, F::History],
        vec![F::ExpiryEvents, F::DefaultExpiry, F::OutliveDefault],
    ]
}

#[test]
fn a_store_that_lacks_a_feature_and_refuses_it_passes() {
    let red = several_at_once(groups().into_iter(), |lacks| {
        let all = MemoryTarget.capability();
        let declares = lacks.iter().fold(all, |left, one| left.without(*one));
        let name = format!("without {lacks:?}");
        let less = move |inner: Arc<dyn StoreAdmin>| -> Arc<dyn StoreAdmin> {
            Arc::new(Broken(Less::new(inner, lacks.clone())))
        };
        let target = MutantTarget::new(&name, less).with_capability(declares);
        let report = run_blocking(target, Options::default().with_sequences(4));
        (!report.is_green()).then(|| report.to_string())
    });
    assert!(red.is_empty(), "{}", red.join("\n"));
}

#[test]
fn a_case_that_panics_or_hangs_names_itself_and_stops_nobody() {
    let named = |name: &str| MUTANTS.iter().find(|mutant| mutant.name == name).unwrap();
    let panics = report(named("panics on NUL in a key"));
    let case = panics.cases.iter().find(|case| case.id == "keys/nul").unwrap();
    assert!(case.why.contains("end at NUL"), "{}", case.why);
    assert!(
        panics.cases.iter().any(|case| case.id == "keys/dots" && case.status == Status::Passed)
    );

    let target = MutantTarget::new("hangs", named("hangs").make);
    let options = Options::default().with_only(["read/"]).with_deadline(Duration::from_millis(500));
    let hangs = run_blocking(target, options);
    let case = hangs.cases.iter().find(|case| case.id == "read/strong").unwrap();
    assert!(case.why.contains("read/strong did not end within"), "{}", case.why);
    assert!(
        hangs
            .cases
            .iter()
            .any(|case| case.id == "read/empty-value" && case.status == Status::Passed)
    );
}

#[test]
fn every_expectation_is_about_a_case_that_there_is() {
    let ids: BTreeSet<_> = catalogue().into_iter().map(|(id, _)| id).collect();
    for id in MUTANTS.iter().flat_map(|mutant| mutant.fails) {
        let feature = id.strip_prefix("capability/");
        let derived = feature.is_some_and(|f| Feature::ALL.iter().any(|one| one.as_str() == f));
        assert!(ids.contains(id) || derived, "{id}");
    }
    let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len());
}

#[test]
fn store_objects_on_one_backend_pass_what_is_about_several() {
    let options = || Options::default().with_only(["shared/"]);
    let report = run_blocking(SharedTarget { honest: true }, options());
    assert!(report.is_green(), "{report}");
    assert!(report.count(Status::Passed) >= 15, "{report}");

    let report = run_blocking(SharedTarget { honest: false }, options());
    for id in ["shared/second-store-sees", "shared/restart", "capability/shared"] {
        assert!(report.failures().iter().any(|failure| failure == id), "{id}: {report}");
    }
}

#[test]
fn a_declared_feature_that_cannot_be_shown_is_not_believed() {
    let target = MutantTarget::new("shared, it says", |inner| inner)
        .with_capability(MemoryTarget.capability().with(Feature::Shared));
    let report = run_blocking(target, Options::default().with_only(["shared/"]));
    assert_eq!(report.failures(), ["capability/shared"], "{report}");
}

#[test]
fn a_report_is_readable_by_people_and_machines() {
    let options = Options::default().with_only(["read/", "cas/create"]);
    let report = run_blocking(MutantTarget::new("memory", |inner| inner), options);
    let text = report.to_string();
    assert!(text.contains("read ") && text.contains("15 passed"), "{text}");
    let back: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(back.to_string(), text);

    let table = capability_table(&[report.clone(), back]);
    assert!(table.starts_with("| | memory | memory |\n|---|:---:|:---:|\n"), "{table}");
    assert!(table.contains("| write only if absent | yes | yes |"), "{table}");
    assert!(table.contains("| tables | ? | ? |"), "what was not looked at is not claimed: {table}");
    let widths: BTreeSet<_> = table.lines().map(|line| line.matches('|').count()).collect();
    assert_eq!(widths, BTreeSet::from([4]));
}

#[test]
fn the_state_machine_shows_the_shortest_sequence_that_fails() {
    let named = MUTANTS.iter().find(|mutant| mutant.name == "counts garbage as zero").unwrap();
    let options = || Options::default().with_only(["model/batches"]).with_seed(7);
    let runs = [0, 1].map(|_| {
        let report = run_blocking(MutantTarget::new(named.name, named.make), options());
        report.cases[0].why.clone()
    });
    assert!(runs[0].contains("with seed 7") && runs[0].contains("Increment"), "{}", runs[0]);
    // One write of what is no number, and one increment.
    assert!(runs[0].lines().count() <= 5, "{}", runs[0]);
    let steps = |why: &str| why.lines().skip_while(|line| !line.contains("with seed")).count();
    assert_eq!(steps(&runs[0]), steps(&runs[1]), "the same seed finds the same");
}
