//! The embedded store against other structures that hold the same records: 1,000,000 of 100 bytes.

mod contestant;
pub(crate) mod footprint;
pub(crate) mod keys;
mod ours;
mod peers;
mod work;

use std::cell::OnceCell;
use std::io::{self, Write as _};
use std::sync::Arc;

use contestant::{Contestant, Points};
use ours::Ours;
use peers::{Dash, GoMicro, IndexedDash, LockedCounters, LockedTree, Moka};

use crate::Result;
use crate::args::Args;
use crate::measure::{Bench, Effort, Round, Work};
use crate::report::{Report, Row};

/// The peer's name where a figure has an absolute limit.
const LIMIT: &str = "limit";

/// How many tasks work at the same time.
const TASKS: [usize; 3] = [1, 2, 4];

pub(crate) fn run(args: &Args, report: &mut Report<'_>) -> Result<()> {
    let mut suite = Suite { args, bench: Bench::new()?, effort: Effort::of(args.quick), report };
    // In children, so before this process has anything loaded.
    suite.footprints()?;

    let ours = Loaded::<Ours>::default();
    let dashmap = Loaded::<Dash>::default();
    let moka = Loaded::<Moka>::default();
    let gomicro = Loaded::<GoMicro>::default();
    let tree = Loaded::<LockedTree>::default();
    for tasks in TASKS {
        suite.duel("read", tasks, work::Read, &ours, &dashmap, 1.2)?;
        suite.duel("read", tasks, work::Read, &ours, &moka, 4.0)?;
        suite.duel("read", tasks, work::Read, &ours, &gomicro, 2.0)?;
    }
    for tasks in TASKS {
        suite.duel("read-95-write-5", tasks, work::Mixed, &ours, &dashmap, 1.2)?;
        suite.duel("read-95-write-5", tasks, work::Mixed, &ours, &moka, 3.0)?;
        suite.duel("read-95-write-5", tasks, work::Mixed, &ours, &gomicro, 1.8)?;
    }
    for tasks in TASKS {
        suite.duel("overwrite", tasks, work::Write, &ours, &dashmap, 1.0)?;
        suite.duel("overwrite", tasks, work::Write, &ours, &moka, 5.0)?;
    }
    for tasks in TASKS {
        suite.duel("create-delete", tasks, work::CreateDelete, &ours, &tree, 1.0)?;
    }
    for tasks in TASKS {
        let scan = work::Scan { batch: 8 };
        suite.duel("prefix-scan-100", tasks, scan, &ours, &tree, 0.7)?;
    }
    // One scan of the peer takes as long as a slice: few rounds say enough.
    suite.effort.rounds = if args.quick { 1 } else { 3 };
    suite.effort.retries = 0;
    for tasks in TASKS {
        let scan = work::Scan { batch: 1 };
        suite.duel("prefix-scan-100", tasks, scan, &ours, &gomicro, 1000.0)?;
    }
    suite.effort = Effort::of(args.quick);
    suite.counters()?;
    suite.call(&ours)
}

struct Suite<'a, 'b> {
    args: &'a Args,
    bench: Bench,
    effort: Effort,
    report: &'a mut Report<'b>,
}

impl Suite<'_, '_> {
    /// The same work on ours and a peer, if it was asked for.
    fn duel<A, B, W>(
        &mut self,
        case: &str,
        tasks: usize,
        work: W,
        ours: &Loaded<A>,
        peer: &Loaded<B>,
        bar: f64,
    ) -> Result<()>
    where
        A: Points,
        B: Points,
        W: Work<A> + Work<B>,
    {
        let case = in_tasks(case, tasks);
        if !self.args.wants(&case, B::NAME) {
            return Ok(());
        }
        let (ours, peer) = (ours.get(&self.bench)?, peer.get(&self.bench)?);
        self.measure(case, tasks, work, &ours, &peer, bar)
    }

    fn measure<A, B, W>(
        &mut self,
        case: String,
        tasks: usize,
        work: W,
        ours: &Arc<A>,
        peer: &Arc<B>,
        bar: f64,
    ) -> Result<()>
    where
        A: Contestant,
        B: Contestant,
        W: Work<A> + Work<B>,
    {
        progress(&format!("{case} vs {}", B::NAME));
        let duel = self.bench.duel(self.effort, tasks, work, ours, peer)?;
        self.report.add(Row::rates(case, B::NAME, &duel, bar))?;
        Ok(())
    }

    /// What handle, `Arc<dyn Store>` and future cost over the structure itself, in nanoseconds a read.
    fn call(&mut self, ours: &Loaded<Ours>) -> Result<()> {
        const LIMIT_NS: f64 = 25.0;
        let case = "cost-of-handle-and-dyn";
        if !self.args.wants(case, LIMIT) {
            return Ok(());
        }
        let ours = ours.get(&self.bench)?;
        progress(case);
        let duel = self.bench.duel(self.effort, 1, work::HotRead, &ours, &ours.bare())?;
        // A cost below what can be told apart from none counts as a tenth of a nanosecond.
        let cost = |round: &Round| (round.ours.nanos() - round.peer.nanos()).max(0.1);
        let (ratio, spread) = duel.figure(|round| LIMIT_NS / cost(round));
        self.report.add(Row {
            case: case.into(),
            ours: duel.median(cost),
            peer: LIMIT_NS,
            peer_name: LIMIT,
            ratio,
            spread: Some(spread),
            lost: Some(duel.median(Round::lost)),
            bar: 1.0,
            unit: "ns",
        })?;
        Ok(())
    }

    fn counters(&mut self) -> Result<()> {
        let case = in_tasks("increment-one-key", 4);
        if !self.args.wants(&case, LockedCounters::NAME) {
            return Ok(());
        }
        let (ours, peer) = (Arc::new(Ours::new()?), Arc::new(LockedCounters::new()?));
        self.measure(case, 4, work::Increment, &ours, &peer, 1.0)
    }

    fn footprints(&mut self) -> Result<()> {
        for (key_len, limit) in [(19, 150.0), (40, 200.0)] {
            let case = format!("memory-{key_len}-byte-keys");
            let compared = key_len == 19 && self.args.wants(&case, IndexedDash::NAME);
            let limited = self.args.wants(&case, LIMIT);
            if !compared && !limited {
                continue;
            }
            progress(&case);
            let ours = footprint::of::<Ours>(key_len)?;
            let mut against = |peer, peer_name, bar| {
                self.report.add(Row {
                    case: case.clone(),
                    ours,
                    peer,
                    peer_name,
                    ratio: peer / ours,
                    spread: None,
                    lost: None,
                    bar,
                    unit: "B/record",
                })
            };
            if compared {
                let peer = footprint::of::<IndexedDash>(key_len)?;
                against(peer, IndexedDash::NAME, 1.2)?;
            }
            if limited {
                against(limit, LIMIT, 1.0)?;
            }
        }
        Ok(())
    }
}

/// A structure that is loaded when the first case needs it, and then serves all.
struct Loaded<C>(OnceCell<Arc<C>>);

impl<C> Default for Loaded<C> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<C: Points> Loaded<C> {
    fn get(&self, bench: &Bench) -> Result<Arc<C>> {
        if let Some(loaded) = self.0.get() {
            return Ok(Arc::clone(loaded));
        }
        progress(&format!("loading {}", C::NAME));
        let structure = Arc::new(C::new()?);
        bench.wait(async {
            for key in keys::records().each() {
                structure.write(key, &work::LOADED).await?;
            }
            // What a structure does at the first read of a record is not what is measured.
            for key in keys::records().each() {
                structure.read(key).await?;
            }
            Result::<_>::Ok(())
        })?;
        Ok(Arc::clone(self.0.get_or_init(|| structure)))
    }
}

fn in_tasks(case: &str, tasks: usize) -> String {
    format!("{case}/{tasks}-task{}", if tasks == 1 { "" } else { "s" })
}

/// What is being done, for whoever waits.
fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "  {what}");
}
