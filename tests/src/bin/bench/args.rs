//! The command line.

use std::path::PathBuf;

use crate::Result;

pub(crate) const USAGE: &str = "\
Usage: bench <suite> [--quick] [--json] [--plot DIR] [--only TEXT]

  --quick       fewer and shorter rounds: under a minute
  --json        one JSON object per line instead of a table
  --plot DIR    also write DIR/<suite>.svg
  --only TEXT   only cases whose `case vs peer` contains TEXT";

/// What to do.
pub(crate) enum Command {
    Help,
    Run {
        suite: String,
        args: Args,
    },
    /// Internal: this process is the child that one structure's memory is measured in.
    Footprint {
        structure: String,
        key_len: usize,
    },
    /// Internal: this process is a child of the suite `provider`, in this role.
    Serve {
        role: String,
    },
    /// Internal: this process is one of several that increment the same counter.
    Increments(Increments),
}

/// What a child process that increments is to do.
pub(crate) struct Increments {
    pub(crate) url: String,
    /// `ours` or the peer.
    pub(crate) side: String,
    pub(crate) tasks: usize,
    pub(crate) millis: u64,
}

/// How to run a suite.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
    only: Option<String>,
}

impl Args {
    /// Whether a case was asked for.
    pub(crate) fn wants(&self, case: &str, peer: &str) -> bool {
        self.only.as_ref().is_none_or(|text| format!("{case} vs {peer}").contains(text.as_str()))
    }
}

pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Command> {
    let mut words = words;
    let mut suite = None;
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = |of: &str| words.next().ok_or_else(|| format!("{of} needs a value"));
        match word.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--quick" => args.quick = true,
            "--json" => args.json = true,
            "--plot" => args.plot = Some(value("--plot")?.into()),
            "--only" => args.only = Some(value("--only")?),
            "footprint" if suite.is_none() => {
                return Ok(Command::Footprint {
                    structure: value("footprint")?,
                    key_len: value("footprint")?.parse()?,
                });
            }
            "serve" if suite.is_none() => return Ok(Command::Serve { role: value("serve")? }),
            "increments" if suite.is_none() => {
                return Ok(Command::Increments(Increments {
                    url: value("increments")?,
                    side: value("increments")?,
                    tasks: value("increments")?.parse()?,
                    millis: value("increments")?.parse()?,
                }));
            }
            flag if flag.starts_with('-') => {
                return Err(format!("no option {flag}\n\n{USAGE}").into());
            }
            _ if suite.is_none() => suite = Some(word),
            more => return Err(format!("{more:?} is one word too many\n\n{USAGE}").into()),
        }
    }
    Ok(suite.map_or(Command::Help, |suite| Command::Run { suite, args }))
}
