use std::io::Write;
use std::sync::{Arc, Mutex};

use store_core::layer::{Layers, Trace};
use store_core::{Condition, ErrorKind, Operation, Put, ReadOptions};
use tracing_subscriber::filter::LevelFilter;

use crate::recorder::When::{After, Before};
use crate::{key, ns, wrapped};

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged at this level, one line per call, while a write, two failures and a conflict happen.
async fn logged(trace: Trace, level: LevelFilter) -> Vec<String> {
    let text = Text::default();
    let writer = text.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(level)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let (recorder, store) = wrapped(&Layers::new().trace_with(trace));
    let ns = ns();
    store.write(&ns, Put::new(key("secretkey"), "secretvalue")).await.unwrap();
    recorder.fail(Operation::Read, None, 1, ErrorKind::Unavailable, Before);
    store.read(&ns, key("secretkey"), ReadOptions::default()).await.unwrap_err();
    recorder.fail(Operation::WriteMany, "b", 1, ErrorKind::Timeout, After);
    let puts = ["a", "b"].map(|k| Put::new(key(k), "secretvalue")).to_vec();
    store.write_many(&ns, puts).await;
    let put = Put::new(key("secretkey"), "secretvalue").with_condition(Condition::Absent);
    store.write(&ns, put).await.unwrap_err();
    store.list(&ns, &store_core::ListOptions::default()).await.unwrap();
    drop(guard);
    let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn calls_are_at_debug_and_failures_at_warn_with_stable_fields() {
    let lines = logged(Trace::new(), LevelFilter::DEBUG).await;
    let expected: [(&str, &[&str]); 5] = [
        ("DEBUG", &["operation=\"write\"", "table=\"t\"", "bytes=11", "outcome=\"ok\""]),
        ("WARN", &["operation=\"read\"", "outcome=\"not_applied\"", "kind=\"unavailable\""]),
        ("WARN", &["operation=\"write_many\"", "items=2", "failed=1", "outcome=\"unknown\""]),
        ("DEBUG", &["operation=\"write\"", "kind=\"conflict\"", "reason=\"the record exists"]),
        ("DEBUG", &["operation=\"list\"", "items=3", "outcome=\"ok\""]),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, fields)) in lines.iter().zip(expected) {
        let common = ["store{driver=\"recorder\"", "database=\"app\"", "elapsed_us="];
        for part in fields.iter().chain(&common).chain(&[level]) {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}

#[tokio::test]
async fn values_are_never_shown_and_keys_only_when_asked_for() {
    let lines = logged(Trace::new(), LevelFilter::TRACE).await.join("\n");
    assert!(!lines.contains("secret"), "{lines}");
    let lines = logged(Trace::new().with_keys(), LevelFilter::TRACE).await.join("\n");
    assert!(lines.contains("key=\"secretkey\"") && !lines.contains("secretvalue"), "{lines}");
}

#[tokio::test]
async fn a_failure_says_where_also_when_its_span_is_off() {
    let lines = logged(Trace::new(), LevelFilter::WARN).await;
    assert_eq!(lines.len(), 2);
    let fields = ["operation=\"read\"", "driver=\"recorder\"", "database=\"app\"", "table=\"t\""];
    assert!(fields.iter().all(|field| lines[0].contains(field)), "{}", lines[0]);
    assert!(logged(Trace::new(), LevelFilter::OFF).await.is_empty());
}
