//! The NATS driver against the client that everybody uses, and against raw requests, on one nats-server with file storage.
//!
//! Both sides have a connection of their own with the same TCP options; values have 100 bytes. A driver's bucket is made by the
//! driver, a peer's by the peer, but for listings, which go through the same bucket.

pub(crate) mod counters;
mod go_micro;
mod lists;
mod loads;
mod points;
mod raw;
mod setup;
mod watching;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use setup::{Ground, Scale};

use crate::Result;
use crate::args::Args;
use crate::measure::{Bench, Effort, Repeat, Side, Step};
use crate::report::{Report, Row};

pub(crate) fn run(args: &Args, report: &mut Report<'_>) -> Result<()> {
    let bench = Bench::networked()?;
    let scale = Scale::of(args.quick);
    let ground = bench.wait(Ground::open(scale))?;
    let bench = bench.with_server(ground.pid());
    let mut suite = Suite { args, bench, effort: effort(args.quick), ground, report };
    points::run(&mut suite)?;
    loads::run(&mut suite)?;
    counters::run(&mut suite)?;
    watching::run(&mut suite)?;
    lists::run(&mut suite)?;
    go_micro::run(&mut suite)
}

fn effort(quick: bool) -> Effort {
    // Client and server share the cores, so threads always wait for one: a round is not measured again for that.
    if quick {
        Effort { rounds: 3, slice: Duration::from_millis(60), retries: 0 }
    } else {
        Effort { rounds: 7, slice: Duration::from_millis(300), retries: 0 }
    }
}

/// What a row is called and what is asked of it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    peer: &'static str,
    tasks: usize,
    bar: f64,
}

pub(crate) struct Suite<'a, 'b> {
    args: &'a Args,
    bench: Bench,
    effort: Effort,
    ground: Ground,
    report: &'a mut Report<'b>,
}

impl Suite<'_, '_> {
    pub(crate) fn wants(&self, case: Case) -> bool {
        self.args.wants(case.name, case.peer)
    }

    /// Repeats a step of each side in turn.
    fn duel<F, G, A, B>(&mut self, case: Case, ours: F, peer: G) -> Result<()>
    where
        F: Fn(Step) -> A + Send + Sync + 'static,
        A: Future<Output = Result<usize>> + Send,
        G: Fn(Step) -> B + Send + Sync + 'static,
        B: Future<Output = Result<usize>> + Send,
    {
        setup::progress(case.name);
        let (ours, peer) = (Arc::new(Side(ours)), Arc::new(Side(peer)));
        let duel = self.bench.duel(self.effort, case.tasks, Repeat, &ours, &peer)?;
        // More steady than the time it took, on a machine that does other things too.
        setup::progress(&format!(
            "  client + server, us of a processor an operation: ours {:.1} + {:.1}, {} {:.1} + {:.1}",
            duel.median(|round| round.ours.client),
            duel.median(|round| round.ours.server),
            case.peer,
            duel.median(|round| round.peer.client),
            duel.median(|round| round.peer.server),
        ));
        self.report.add(Row::rates(case.name, case.peer, &duel, case.bar))?;
        Ok(())
    }

    /// As [`duel`](Self::duel) where a step of the peer takes longer than a slice: few rounds say enough.
    fn long_duel<F, G, A, B>(&mut self, case: Case, ours: F, peer: G) -> Result<()>
    where
        F: Fn(Step) -> A + Send + Sync + 'static,
        A: Future<Output = Result<usize>> + Send,
        G: Fn(Step) -> B + Send + Sync + 'static,
        B: Future<Output = Result<usize>> + Send,
    {
        let effort = self.effort;
        self.effort.rounds = effort.rounds.min(3);
        let done = self.duel(case, ours, peer);
        self.effort = effort;
        done
    }

    /// A row of figures that were measured in another way, one pair (ours, peer) a round; more is better.
    fn add(&mut self, case: Case, unit: &'static str, rounds: &[(f64, f64)]) -> Result<()> {
        let median = |of: fn(&(f64, f64)) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(of).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, peer)| ours / peer).collect();
        ratios.sort_by(f64::total_cmp);
        let end = |i: usize| ratios.get(i).copied().unwrap_or(f64::NAN);
        self.report.add(Row {
            case: case.name.into(),
            ours: median(|round| round.0),
            peer: median(|round| round.1),
            peer_name: case.peer,
            ratio: end(ratios.len() / 2),
            spread: Some(end(0)..=end(ratios.len().saturating_sub(1))),
            lost: None,
            bar: case.bar,
            unit,
        })?;
        Ok(())
    }
}
