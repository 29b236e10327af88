//! Benchmarks against peers: `cargo run --release -p tests --bin bench -- <suite>`.
//!
//! A suite measures cases; a case has a peer and a bar, the ratio that it must reach. Ours and the peer are measured in turn, in
//! one process, on one runtime; a ratio over 1 means that ours is better. See [`measure`] for how, and [`SUITES`] for where to add
//! a suite.

mod args;
mod measure;
mod memory;
mod nats;
mod plot;
#[cfg_attr(not(feature = "provider"), path = "provider/absent.rs")]
mod provider;
mod redis;
mod report;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use args::{Args, Command};
use report::Report;

/// Whatever stops a benchmark.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// Some cases under one name.
struct Suite {
    name: &'static str,
    about: &'static str,
    run: fn(&Args, &mut Report<'_>) -> Result<()>,
}

/// All suites; another driver's goes here.
const SUITES: &[Suite] = &[
    Suite {
        name: "memory",
        about: "the embedded store against other structures in memory, 1,000,000 records of 100 bytes",
        run: memory::run,
    },
    Suite {
        name: "provider",
        about: "the provider through wRPC on NATS, and inside wasmtime; needs `--features provider`",
        run: provider::run,
    },
    Suite {
        name: "redis",
        about: "the Redis driver against the bare client and OpenDAL, on a redis-server of its own",
        run: redis::run,
    },
    Suite {
        name: "nats",
        about: "the NATS driver against async-nats and raw requests, on a nats-server that it starts",
        run: nats::run,
    },
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    match args::parse(std::env::args().skip(1))? {
        Command::Help => {
            writeln!(out, "{}\n\nSuites:", args::USAGE)?;
            for suite in SUITES {
                writeln!(out, "  {:<10} {}", suite.name, suite.about)?;
            }
        }
        Command::Footprint { structure, key_len } => {
            writeln!(out, "{}", memory::footprint::measure(&structure, key_len)?)?;
        }
        Command::Serve { role } => provider::serve(&role)?,
        Command::Increments(work) => nats::counters::child(&work)?,
        Command::Run { suite, args } => {
            let Some(suite) = SUITES.iter().find(|known| known.name == suite) else {
                let known: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
                return Err(format!("no suite {suite:?}; there is: {}", known.join(", ")).into());
            };
            let mut report = Report::new(suite.name, args.json, &mut out);
            (suite.run)(&args, &mut report)?;
            let rows = report.rows();
            if rows.is_empty() {
                return Err("no case has that in its name".into());
            }
            if let Some(dir) = &args.plot {
                let file = plot::write(dir, suite.name, &rows)?;
                writeln!(io::stderr(), "plotted to {}", file.display())?;
            }
            let (met, bars) = report::bars(&rows);
            writeln!(out, "bars met: {met} of {bars}")?;
        }
    }
    Ok(())
}
