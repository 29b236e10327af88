//! Honest measuring on a small, busy machine.
//!
//! The two sides of a ratio run in turn, in short slices, on the same runtime of two workers with the same number of spawned
//! tasks; what drifts (clock speed, neighbours, heat) meets both. Each round gives a ratio, every other round the other side goes
//! first, and the median of the rounds counts. A round in which other processes took the cores away is measured again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::task::yield_now;

use crate::Result;

/// Worker threads of the runtime, for both sides.
const WORKERS: usize = 2;
/// A slice is disturbed when a thread waited for a core for more than this part of its time.
const DISTURBED: f64 = 0.04;

/// What one slice of work is to do: `task` of `tasks`, in round number `round`.
#[derive(Clone)]
pub(crate) struct Lane {
    pub(crate) task: usize,
    pub(crate) tasks: usize,
    pub(crate) round: usize,
    length: Duration,
    start: Arc<Barrier>,
}

impl Lane {
    /// Waits until all tasks of the slice have prepared themselves; from then on the time counts.
    pub(crate) async fn start(&self) -> Lap {
        self.start.wait().await;
        // The last to arrive woke the others on its own worker, where an idle worker takes them from only now.
        yield_now().await;
        let waits = waits();
        Lap { waits, begin: Instant::now(), length: self.length, operations: 0 }
    }
}

/// The timed part of a slice.
pub(crate) struct Lap {
    waits: HashMap<OsString, u64>,
    begin: Instant,
    length: Duration,
    operations: u64,
}

impl Lap {
    /// Notes so many operations, lets other tasks run, and says whether to go on.
    #[inline]
    pub(crate) async fn more(&mut self, operations: usize) -> bool {
        self.operations += operations as u64;
        yield_now().await;
        self.begin.elapsed() < self.length
    }

    /// Stops the time.
    pub(crate) fn done(self) -> Done {
        let end = Instant::now();
        let waited = waited_since(&self.waits);
        Done { begin: self.begin, end, operations: self.operations, waited }
    }
}

/// What a task did in a slice.
pub(crate) struct Done {
    begin: Instant,
    end: Instant,
    operations: u64,
    /// How long the thread that waited most had no core.
    waited: Duration,
}

/// Work on a contestant, the same for each.
pub(crate) trait Work<C>: Copy + Send + 'static {
    /// One task's part of a slice.
    fn run(self, on: Arc<C>, lane: Lane) -> impl Future<Output = Result<Done>> + Send;
}

/// One side of a case: a step that is done again and again.
pub(crate) struct Side<F>(pub(crate) F);

/// Which step this is.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) task: usize,
    pub(crate) tasks: usize,
    pub(crate) round: usize,
    /// How many this task did before in this slice.
    pub(crate) done: usize,
}

/// Repeats the steps of a side, which say how many operations each of them was.
#[derive(Clone, Copy)]
pub(crate) struct Repeat;

impl<F, Fut> Work<Side<F>> for Repeat
where
    F: Fn(Step) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<usize>> + Send,
{
    async fn run(self, on: Arc<Side<F>>, lane: Lane) -> Result<Done> {
        let mut step = Step { task: lane.task, tasks: lane.tasks, round: lane.round, done: 0 };
        let mut lap = lane.start().await;
        loop {
            let operations = (on.0)(step).await?;
            step.done += 1;
            if !lap.more(operations).await {
                return Ok(lap.done());
            }
        }
    }
}

/// How often and how long.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
    /// How often a disturbed round is measured again.
    pub(crate) retries: usize,
}

impl Effort {
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self { rounds: 5, slice: Duration::from_millis(25), retries: 1 }
        } else {
            Self { rounds: 9, slice: Duration::from_millis(120), retries: 3 }
        }
    }
}

/// Both sides of one round.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) ours: Slice,
    pub(crate) peer: Slice,
}

impl Round {
    pub(crate) fn ratio(&self) -> f64 {
        self.ours.rate / self.peer.rate
    }

    /// The part of the time that the worse side lost to other processes.
    pub(crate) fn lost(&self) -> f64 {
        self.ours.lost.max(self.peer.lost)
    }
}

/// One side of one round.
#[derive(Clone, Copy)]
pub(crate) struct Slice {
    /// Operations a second.
    pub(crate) rate: f64,
    /// Which part of the time a thread was ready to run and waited for a core, the worst of the threads.
    pub(crate) lost: f64,
    /// Microseconds of a processor for each operation, in this process.
    pub(crate) client: f64,
    /// The same in all servers, where there are some.
    pub(crate) server: f64,
}

impl Slice {
    /// Nanoseconds an operation of a single task, without what was lost.
    pub(crate) fn nanos(&self) -> f64 {
        1e9 / self.rate * (1.0 - self.lost).max(0.0)
    }
}

/// All rounds of a case.
pub(crate) struct Duel(Vec<Round>);

impl Duel {
    /// The median of a figure over the rounds, and its range.
    pub(crate) fn figure(&self, of: impl Fn(&Round) -> f64) -> (f64, RangeInclusive<f64>) {
        let mut figures: Vec<f64> = self.0.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let at = |i: usize| figures.get(i).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        (median, at(0)..=at(last))
    }

    /// The median alone.
    pub(crate) fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        self.figure(of).0
    }
}

/// The runtime that everything is measured on.
pub(crate) struct Bench {
    runtime: Runtime,
    /// The processes whose time counts too.
    servers: Vec<u32>,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).build()?;
        Ok(Self { runtime, servers: Vec::new() })
    }

    /// With what connections need.
    pub(crate) fn networked() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        Ok(Self { runtime, servers: Vec::new() })
    }

    /// Counts the time of this process too.
    pub(crate) fn with_server(mut self, pid: Option<u32>) -> Self {
        self.servers.extend(pid);
        self
    }

    /// Runs what is not measured.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Measures the same work on ours and on a peer.
    pub(crate) fn duel<A, B, W>(
        &self,
        effort: Effort,
        tasks: usize,
        work: W,
        ours: &Arc<A>,
        peer: &Arc<B>,
    ) -> Result<Duel>
    where
        A: Send + Sync + 'static,
        B: Send + Sync + 'static,
        W: Work<A> + Work<B>,
    {
        // A short slice of each warms caches, branch predictors and lazily made state.
        let warm = effort.slice / 4;
        self.slice(warm, tasks, effort.rounds, work, ours)?;
        self.slice(warm, tasks, effort.rounds, work, peer)?;

        let mut rounds = Vec::with_capacity(effort.rounds);
        for round in 0..effort.rounds {
            let mut best: Option<Round> = None;
            for _ in 0..=effort.retries {
                let (ours, peer) = if round % 2 == 0 {
                    let ours = self.slice(effort.slice, tasks, round, work, ours)?;
                    (ours, self.slice(effort.slice, tasks, round, work, peer)?)
                } else {
                    let peer = self.slice(effort.slice, tasks, round, work, peer)?;
                    (self.slice(effort.slice, tasks, round, work, ours)?, peer)
                };
                let measured = Round { ours, peer };
                if best.is_none_or(|best| measured.lost() < best.lost()) {
                    best = Some(measured);
                }
                if measured.lost() < DISTURBED {
                    break;
                }
            }
            rounds.extend(best);
        }
        Ok(Duel(rounds))
    }

    fn slice<C, W>(
        &self,
        length: Duration,
        tasks: usize,
        round: usize,
        work: W,
        on: &Arc<C>,
    ) -> Result<Slice>
    where
        C: Send + Sync + 'static,
        W: Work<C>,
    {
        let start = Arc::new(Barrier::new(tasks));
        let (client, server) = (work_of("self"), self.work_of_servers());
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let lane = Lane { task, tasks, round, length, start: Arc::clone(&start) };
                self.runtime.spawn(work.run(Arc::clone(on), lane))
            })
            .collect();
        let done: Vec<Done> = self.runtime.block_on(async {
            let mut done = Vec::with_capacity(tasks);
            for task in running {
                done.push(task.await??);
            }
            Result::<_>::Ok(done)
        })?;
        let waited = done.iter().map(|d| d.waited).max().unwrap_or_default();
        let begin = done.iter().map(|d| d.begin).min();
        let end = done.iter().map(|d| d.end).max();
        let seconds = begin.zip(end).map_or(0.0, |(begin, end)| (end - begin).as_secs_f64());
        let operations: u64 = done.iter().map(|d| d.operations).sum();
        let each = |nanos: u64| nanos as f64 / 1e3 / operations as f64;
        Ok(Slice {
            rate: operations as f64 / seconds,
            lost: waited.as_secs_f64() / seconds,
            client: each(work_of("self").saturating_sub(client)),
            server: each(self.work_of_servers().saturating_sub(server)),
        })
    }

    fn work_of_servers(&self) -> u64 {
        self.servers.iter().map(|pid| work_of(&pid.to_string())).sum()
    }
}

/// How long each thread of this process was ready to run and had no core, in nanoseconds. Empty where the system does not tell.
fn waits() -> HashMap<OsString, u64> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    let wait = |thread: DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let nanos = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread.file_name(), nanos))
    };
    threads.flatten().filter_map(wait).collect()
}

/// How long the threads of a process ran, in nanoseconds. Nothing where the system does not tell.
fn work_of(process: &str) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0;
    };
    let work = |thread: DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(work).sum()
}

/// The longest that a thread waited since `before`.
fn waited_since(before: &HashMap<OsString, u64>) -> Duration {
    let since = |(thread, now): (OsString, u64)| {
        now.saturating_sub(before.get(&thread).copied().unwrap_or_default())
    };
    Duration::from_nanos(waits().into_iter().map(since).max().unwrap_or_default())
}
