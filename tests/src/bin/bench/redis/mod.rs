//! The Redis driver against the bare client that it is built on, and against OpenDAL's Redis service: one server, records of 100
//! bytes, in a table of 1,000,000.

mod server;
mod sides;
mod work;

use std::io::{self, Write as _};
use std::sync::Arc;

use server::Server;
use sides::{Bare, CompareLoop, OpenDal, Ours, Scan, Singles, Writes, WritesMany as _};
use work::{FEW, Records, VALUE};

use crate::Result;
use crate::args::Args;
use crate::measure::{Bench, Effort, Work};
use crate::memory::keys;
use crate::report::{Report, Row};

const BARE: &str = "redis";
const OPENDAL: &str = "opendal";

/// How much server time the first page of a large table may take, in microseconds.
const PAGE_LIMIT: f64 = 300.0;

pub(crate) fn run(args: &Args, report: &mut Report<'_>) -> Result<()> {
    let server = Server::start()?;
    // The server has a core, too: what it takes from ours is not a disturbance.
    let effort = Effort { retries: 0, ..Effort::of(args.quick) };
    let mut suite = Suite { args, bench: Bench::networked()?, effort, report };

    let ours = suite.bench.wait(Ours::table(&server, "t"))?;
    let bare = suite.bench.wait(Bare::connect(&server, "{bench/t}:"))?;
    progress("loading 1,000,000 records");
    suite.bench.wait(load(&ours))?;

    for tasks in [1, 64] {
        let read = work::Read { of: Records::All };
        suite.duel("read-value", tasks, read, (&ours, &bare), BARE, 0.95)?;
    }
    suite.duel("read-many-100", 1, work::ReadMany, (&ours, &bare), "redis MGET", 0.9)?;

    // In a key space of its own: a SET behind the back of a table would leave its metadata behind.
    let apart = suite.bench.wait(Bare::connect(&server, "{apart}:"))?;
    let few = suite.bench.wait(Ours::table(&server, "few"))?;
    let plain = suite.bench.wait(Ours::plain(&server))?;
    for side in [&few, &plain] {
        suite.bench.wait(load_few(&**side))?;
    }
    suite.bench.wait(load_few(&*apart))?;
    let write = work::Write { of: Records::Few };
    for (tasks, bar) in [(1, 0.55), (64, 0.45)] {
        // Two cases: each has a bar of its own.
        let case = if tasks == 1 { "write-table-alone" } else { "write-table" };
        suite.duel(case, tasks, write, (&few, &apart), BARE, bar)?;
    }
    for tasks in [1, 64] {
        suite.duel("write-plain", tasks, write, (&plain, &apart), BARE, 0.95)?;
    }
    let singles = Arc::new(Singles(Arc::clone(&ours)));
    suite.duel("write-many-100", 1, work::WriteMany, (&ours, &singles), "single writes", 1.3)?;

    let io = suite.bench.wait(Ours::io_thread(&server, "t"))?;
    let read = work::Read { of: Records::All };
    suite.duel("read-value-io-thread", 64, read, (&io, &ours), "without", 1.5)?;

    suite.duel("increment-one-key", 64, work::Increment, (&ours, &apart), "redis INCRBY", 0.35)?;
    let compare = CompareLoop::new(Arc::clone(&apart));
    suite.duel(
        "increment-one-key",
        64,
        work::Increment,
        (&ours, &compare),
        "compare loop",
        20.0,
    )?;

    suite.opendal(&server, &few, &plain)?;

    // One scan of the peer takes as long as several slices: few rounds say enough.
    suite.effort.rounds = if args.quick { 1 } else { 3 };
    let page = work::FirstPage { keys: 100 };
    let scan = Arc::new(Scan(Arc::clone(&bare)));
    suite.duel("first-page-of-1m", 1, page, (&ours, &scan), "redis SCAN", 1000.0)?;
    let small = suite.bench.wait(Ours::table(&server, "small"))?;
    let keys: Vec<&str> = keys::records().each().take(10).collect();
    suite.bench.wait(small.write_many(&keys, &VALUE))?;
    let bare = suite.bench.wait(Bare::connect(&server, "{bench/small}:"))?;
    let (page, scan) = (work::FirstPage { keys: 10 }, Arc::new(Scan(bare)));
    suite.duel("list-10-beside-1m", 1, page, (&small, &scan), "redis SCAN", 1000.0)?;
    suite.server_time(&server, &ours)
}

/// Fills the large table.
async fn load(ours: &Arc<Ours>) -> Result<()> {
    let mut some = Vec::with_capacity(500);
    for key in keys::records().each() {
        some.push(key);
        if some.len() == some.capacity() {
            ours.write_many(&some, &VALUE).await?;
            some.clear();
        }
    }
    ours.write_many(&some, &VALUE).await
}

/// Writes the records that a case with [`Records::Few`] uses.
async fn load_few(side: &impl Writes) -> Result<()> {
    let mut keys = keys::records().first(FEW);
    for _ in 0..FEW {
        side.write(keys.key(), &VALUE).await?;
    }
    Ok(())
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
        (ours, peer): (&Arc<A>, &Arc<B>),
        peer_name: &'static str,
        bar: f64,
    ) -> Result<()>
    where
        A: Send + Sync + 'static,
        B: Send + Sync + 'static,
        W: Work<A> + Work<B>,
    {
        let case = format!("{case}/{tasks}-task{}", if tasks == 1 { "" } else { "s" });
        if !self.args.wants(&case, peer_name) {
            return Ok(());
        }
        progress(&format!("{case} vs {peer_name}"));
        let duel = self.bench.duel(self.effort, tasks, work, ours, peer)?;
        self.report.add(Row::rates(case, peer_name, &duel, bar))?;
        Ok(())
    }

    fn opendal(&mut self, server: &Server, table: &Arc<Ours>, plain: &Arc<Ours>) -> Result<()> {
        let cases = ["read-value", "write-plain", "write-table"];
        if !cases.iter().any(|case| self.args.wants(&format!("{case}/64-tasks"), OPENDAL)) {
            return Ok(());
        }
        let opendal = OpenDal::connect(server)?;
        self.bench.wait(load_few(&*opendal))?;
        let (read, write) = (work::Read { of: Records::Few }, work::Write { of: Records::Few });
        self.duel("read-value", 64, read, (table, &opendal), OPENDAL, 5.0)?;
        self.duel("write-plain", 64, write, (plain, &opendal), OPENDAL, 5.0)?;
        self.duel("write-table", 64, write, (table, &opendal), OPENDAL, 3.0)
    }

    /// What a page of 100 of the large table costs the server, by its own statistics.
    fn server_time(&mut self, server: &Server, ours: &Arc<Ours>) -> Result<()> {
        let (case, peer_name) = ("first-page-server-time", "limit");
        if !self.args.wants(case, peer_name) {
            return Ok(());
        }
        progress(case);
        server.command("CONFIG RESETSTAT")?;
        self.bench.wait(async {
            for _ in 0..1000 {
                let page = ours.table.list().limit(100).page().await?;
                if page.items.len() != 100 {
                    return Err("a page has not the keys that it should have".into());
                }
            }
            Result::<_>::Ok(())
        })?;
        let took = server.micros_per_call("evalsha")?;
        self.report.add(Row {
            case: case.into(),
            ours: took,
            peer: PAGE_LIMIT,
            peer_name,
            ratio: PAGE_LIMIT / took,
            spread: None,
            lost: None,
            bar: 1.0,
            unit: "us",
        })?;
        Ok(())
    }
}

/// What is being done, for whoever waits.
fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "  {what}");
}
