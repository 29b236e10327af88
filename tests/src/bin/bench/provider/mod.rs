//! The provider through wRPC and inside wasmtime: what it costs over the store itself, and against the way of wasmCloud's own.
//!
//! One nats-server is the lattice and the backend, as in most deployments. The provider, an echo that answers the same calls at
//! once, and a provider that does as wasmCloud's own does are children of this process: the same program in another role.

mod children;
mod guest;
mod upstream;
mod wire;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use store_core::{DatabaseConfig, Name};
use tests::servers::nats::Server;

use self::children::Child;
use self::wire::{Direct, Keys, Remote, Sum};
use crate::Result;
use crate::args::Args;
use crate::measure::{Bench, Duel, Effort, Round, Slice, Work};
use crate::report::{Report, Row};

pub(crate) use children::serve;

/// The bucket that all work on, and its counters, lists and batches.
const BUCKET: &str = "bench";
/// How many keys a listing finds.
const LISTED: usize = 10_000;
/// How many keys are read at once.
const MANY: usize = 1000;

pub(crate) fn run(args: &Args, report: &mut Report<'_>) -> Result<()> {
    let mut suite = Suite { args, bench: Bench::networked()?, report };
    suite.guest()?;
    suite.wrpc()
}

struct Suite<'a, 'b> {
    args: &'a Args,
    bench: Bench,
    report: &'a mut Report<'b>,
}

impl Suite<'_, '_> {
    fn effort(&self, slice: u64) -> Effort {
        // Servers share the cores: that a thread waits for one belongs to what is measured. Many short rounds, as a call wakes six
        // threads of three processes one after the other, and which core they find is luck.
        let (rounds, part) = if self.args.quick { (9, 4) } else { (25, 2) };
        Effort { rounds, slice: Duration::from_millis(slice / part), retries: 0 }
    }

    fn add(&mut self, case: String, peer_name: &'static str, bar: f64, duel: &Duel) -> Result<()> {
        self.report.add(Row::rates(case, peer_name, duel, bar))?;
        if !self.args.json {
            let work = |slice: fn(&Round) -> Slice| {
                duel.median(|round| slice(round).client + slice(round).server)
            };
            let (ours, peer) = (work(|round| round.ours), work(|round| round.peer));
            writeln!(
                io::stderr(),
                "  of the cores, all processes: {ours:.0} us a call, {peer:.0}"
            )?;
        }
        Ok(())
    }

    /// What a `get` costs a guest over a call that does nothing.
    fn guest(&mut self) -> Result<()> {
        const LIMIT_NS: f64 = 2000.0;
        let (case, peer) = ("wasmtime-get-memory", "limit");
        if !self.args.wants(case, peer) {
            return Ok(());
        }
        let (get, nothing) = self.bench.wait(guest::both())?;
        let duel = self.bench.duel(self.effort(200), 1, guest::Calls, &get, &nothing)?;
        let cost = |round: &Round| (round.ours.nanos() - round.peer.nanos()).max(1.0);
        let (ratio, spread) = duel.figure(|round| LIMIT_NS / cost(round));
        self.report.add(Row {
            case: case.into(),
            ours: duel.median(cost),
            peer: LIMIT_NS,
            peer_name: peer,
            ratio,
            spread: Some(spread),
            lost: Some(duel.median(Round::lost)),
            bar: 1.0,
            unit: "ns",
        })?;
        Ok(())
    }

    fn wrpc(&mut self) -> Result<()> {
        const SUM: &str = "direct+echo";
        const UPSTREAM: &str = "upstream's way";
        let single = ["get", "set"];
        let wants = |case: &str| self.args.wants(case, SUM) || self.args.wants(case, UPSTREAM);
        let flights = [1, 64];
        let all = ["get/1-in-flight", "get/64-in-flight", "set/1-in-flight", "set/64-in-flight"];
        let more = ["get-many-1000", "list-10000-keys", "increment-one-key-32"];
        if !all.iter().chain(&more).any(|case| wants(case)) {
            return Ok(());
        }
        let server = Server::start();
        let url = server.url();
        let children =
            [Child::provider(&url)?, Child::start("echo", &url)?, Child::start("upstream", &url)?];
        let mut bench = Bench::networked()?.with_server(server.pid());
        for child in &children {
            bench = bench.with_server(Some(child.pid()));
        }
        self.bench = bench;
        let (ours, theirs, sum) = self.bench.wait(async {
            let direct = direct(&url).await?;
            let provider = Remote::new(&url, "provider").await?;
            let upstream = Remote::new(&url, "upstream").await?;
            let echo = Remote::new(&url, "echo").await?;
            for remote in [&provider, &upstream, &echo] {
                remote.ready().await?;
            }
            fill(&provider).await?;
            let sum = Arc::new(Sum { direct, echo: Arc::new(echo) });
            Result::<_>::Ok((Arc::new(provider), Arc::new(upstream), sum))
        })?;

        for name in single {
            for tasks in flights {
                let case = format!("{name}/{tasks}-in-flight");
                if self.args.wants(&case, SUM) {
                    let effort = self.effort(500);
                    let duel = if name == "get" {
                        self.bench.duel(effort, tasks, wire::Get, &ours, &sum)?
                    } else {
                        self.bench.duel(effort, tasks, wire::Set, &ours, &sum)?
                    };
                    self.add(case, SUM, 0.9, &duel)?;
                }
            }
        }
        self.against(more[0], 1, wire::GetMany, &ours, &theirs, 3.0)?;
        self.against(more[1], 1, wire::List, &ours, &theirs, 1.0)?;
        self.against(more[2], 32, wire::Increment, &ours, &theirs, 20.0)?;
        let failed = ours.failed();
        if failed > 0 {
            return Err(format!("{failed} increments failed through our provider").into());
        }
        if !self.args.json && self.args.wants(more[2], UPSTREAM) {
            let failed = theirs.failed();
            writeln!(io::stderr(), "  {failed} increments failed upstream's way, none ours")?;
            let duel =
                self.bench.duel(self.effort(1000), 32, wire::Increment, &sum.echo, &theirs)?;
            let (most, _) = duel.figure(Round::ratio);
            writeln!(io::stderr(), "  calls that do nothing: {most:.1} of upstream's way")?;
        }
        Ok(())
    }

    fn against<W: Work<Remote>>(
        &mut self,
        case: &str,
        tasks: usize,
        work: W,
        ours: &Arc<Remote>,
        theirs: &Arc<Remote>,
        bar: f64,
    ) -> Result<()> {
        let peer = "upstream's way";
        if !self.args.wants(case, peer) {
            return Ok(());
        }
        let duel = self.bench.duel(self.effort(1000), tasks, work, ours, theirs)?;
        self.add(case.into(), peer, bar, &duel)
    }
}

/// The store itself, on the layout that the provider has by the same settings.
async fn direct(url: &str) -> Result<Direct> {
    let drivers = provider::wasmcloud::drivers();
    let store = drivers.open(&format!("{url}?layout=plain")).await?.store;
    let name = Name::new(BUCKET)?;
    store.create_database(&name, &DatabaseConfig::new()).await?;
    Ok(Direct(store.database(&name)?.root()))
}

/// The keys of all cases.
async fn fill(provider: &Remote) -> Result<()> {
    let keys = Keys::all();
    for keys in keys.chunks(MANY) {
        provider.set_many(keys).await?;
    }
    Ok(())
}
