//! Layout `GoMicro` against Go-Micro's own store on the same bucket. Go's calls are timed in Go's process.

use std::time::Instant;

use serde_json::json;
use store_core::Table;
use store_natsjs::{Layout, Nats};
use tests::go_micro::{Driver, GoMicro};

use super::setup::{self, TABLE, check, key, value, wrong};
use super::{Case, Suite};
use crate::Result;

const BUCKET: &str = "gomicro";
/// Records of the table.
const RECORDS: usize = 10_000;
/// What the keys of a tenth of them begin with: all of seven digits that are below 1000.
const PREFIX: &str = "k0000";
const FOUND: usize = 1000;

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    let case = |name, bar| Case { name, peer: "Go-Micro", tasks: 1, bar };
    let (list, read) = (case("go-micro-list", 2.0), case("go-micro-prefix-read", 10.0));
    if ![list, read].into_iter().any(|case| suite.wants(case)) {
        return Ok(());
    }
    let into = std::env::current_exe()?;
    let into = into.parent().ok_or("a program without a directory")?;
    let mut go = match GoMicro::build(Driver::Nats, into) {
        Ok(go) => go,
        Err(why) => {
            setup::progress(&format!("not measured beside the real Go-Micro: {why}"));
            return Ok(());
        }
    };
    let url = suite.ground.url();
    let table = suite.bench.wait(async {
        let ours = Nats::builder().servers([url]).layout(Layout::GoMicro).connect().await?;
        let table = setup::table_of(&ours, BUCKET, TABLE)?;
        for written in table.write_many((0..RECORDS).map(|i| (key(i), value()))).await {
            written?;
        }
        Result::Ok(table)
    })?;
    // Of the buckets that it has not made itself it knows only the one that it is opened for.
    go.must(&json!({
        "do": "open", "store": "go", "url": suite.ground.url(),
        "addressed": true, "database": BUCKET, "table": TABLE,
    }));
    if suite.wants(list) {
        measure(suite, list, &mut go, &table)?;
    }
    if suite.wants(read) {
        measure(suite, read, &mut go, &table)?;
    }
    Ok(())
}

/// The same call by both, in turn.
fn measure(suite: &mut Suite<'_, '_>, case: Case, go: &mut GoMicro, table: &Table) -> Result<()> {
    setup::progress(case.name);
    let reads = case.name.ends_with("read");
    let ours = async || {
        let found = if reads {
            let found = table.scan().prefix(PREFIX).page_size(usize::MAX).await?;
            found.iter().try_for_each(|record| check(record.value()))?;
            found.len()
        } else {
            table.list().prefix(PREFIX).page_size(usize::MAX).await?.len()
        };
        if found == FOUND { Result::Ok(()) } else { Err(wrong("not what has the prefix")) }
    };
    let request = |repeat: usize| {
        let mut request = json!({
            "do": if reads { "read" } else { "list" }, "store": "go", "repeat": repeat,
            "addressed": true, "database": BUCKET, "table": TABLE, "prefix": PREFIX,
        });
        if reads {
            request["key"] = PREFIX.into();
            request["read_prefix"] = true.into();
        }
        request
    };
    // Once to warm up, and to see how often makes a round.
    let begin = Instant::now();
    suite.bench.wait(ours())?;
    go.must(&request(1));
    let often = (suite.effort.slice.as_nanos() / begin.elapsed().as_nanos().max(1)).clamp(1, 100);
    let often = usize::try_from(often)?;
    let mut rounds = Vec::new();
    for _ in 0..suite.effort.rounds {
        let begin = Instant::now();
        for _ in 0..often {
            suite.bench.wait(ours())?;
        }
        let rate = often as f64 / begin.elapsed().as_secs_f64();
        let theirs = go.must(&request(often));
        if theirs.found != FOUND {
            return Err(wrong("Go-Micro has not found what has the prefix"));
        }
        rounds.push((rate, often as f64 * 1e9 / theirs.nanos as f64));
    }
    suite.add(case, "op/s", &rounds)
}
