//! Increments of one key: by tasks of one process, and by several processes.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::kv;

use super::setup::{self, Peer, TABLE};
use super::{Case, Suite};
use crate::Result;
use crate::args::Increments;
use crate::measure::Bench;

const LOOP: &str = "CAS loop";
const OURS: &str = "ours";
const PROCESSES: usize = 4;
const TASKS: usize = 8;

pub(crate) fn run(suite: &mut Suite<'_, '_>) -> Result<()> {
    let one = Case { name: "increment-1-process", peer: LOOP, tasks: 32, bar: 30.0 };
    if suite.wants(one) {
        let table = suite.ground.table("ours", TABLE)?;
        let kv = suite.ground.peer.kv.clone();
        suite.duel(
            one,
            move |_| {
                let table = table.clone();
                async move {
                    table.increment("hits", 1).await?;
                    Ok(1)
                }
            },
            move |_| {
                let kv = kv.clone();
                async move {
                    compare_and_swap(&kv).await?;
                    Ok(1)
                }
            },
        )?;
    }
    let several = Case { name: "increment-4-processes", peer: LOOP, tasks: TASKS, bar: 5.0 };
    if suite.wants(several) {
        setup::progress(several.name);
        let mut rounds = Vec::new();
        for round in 0..suite.effort.rounds.min(5) {
            let side = |side| processes(&suite.ground.url(), side, suite.effort.slice * 2);
            rounds.push(if round % 2 == 0 {
                let ours = side(OURS)?;
                (ours, side(LOOP)?)
            } else {
                let peer = side(LOOP)?;
                (side(OURS)?, peer)
            });
        }
        suite.add(several, "op/s", &rounds)?;
    }
    Ok(())
}

/// What a program without this driver does.
async fn compare_and_swap(kv: &kv::Store) -> Result<()> {
    let key = format!("{TABLE}.hits");
    loop {
        let now = kv.entry(key.clone()).await?;
        let sum: i64 = match &now {
            Some(entry) => std::str::from_utf8(&entry.value)?.parse()?,
            None => 0,
        };
        let revision = now.map_or(0, |entry| entry.revision);
        match kv.update(&key, (sum + 1).to_string().into(), revision).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The increments a second of several processes together.
fn processes(url: &str, side: &str, length: Duration) -> Result<f64> {
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        children.push(Worker::start(url, side, length)?);
    }
    for child in &mut children {
        child.ready()?;
    }
    for child in &mut children {
        child.begin()?;
    }
    children.into_iter().map(Worker::rate).sum()
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(url: &str, side: &str, length: Duration) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["increments", url, side, &TASKS.to_string(), &length.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or("a child has no pipes")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn ready(&mut self) -> Result<()> {
        match &*self.line()? {
            "ready" => Ok(()),
            _ => Err("a child that increments did not begin".into()),
        }
    }

    fn begin(&mut self) -> Result<()> {
        writeln!(self.input)?;
        Ok(())
    }

    fn rate(mut self) -> Result<f64> {
        let rate = self.line()?.parse()?;
        self.child.wait()?;
        Ok(rate)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: connects, says `ready`, waits for a line, and prints its increments a second.
pub(crate) fn child(work: &Increments) -> Result<()> {
    let bench = Bench::networked()?;
    let length = Duration::from_millis(work.millis);
    let sides = bench.wait(async {
        let ours = setup::connect(&work.url).await?;
        let peer = Peer::connect(&work.url).await?;
        let table = setup::table_of(&ours, "ours", TABLE)?;
        // The first call of a connection learns the bucket.
        table.increment("hits-of-processes", 0).await?;
        Result::Ok((table, peer.kv))
    })?;
    writeln!(io::stdout(), "ready")?;
    io::stdin().read_line(&mut String::new())?;
    let count = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    bench.wait(async {
        let tasks: Vec<_> = (0..work.tasks)
            .map(|_| {
                let ((table, kv), count) = (sides.clone(), Arc::clone(&count));
                let is_ours = work.side == OURS;
                tokio::spawn(async move {
                    while begin.elapsed() < length {
                        if is_ours {
                            table.increment("hits-of-processes", 1).await?;
                        } else {
                            compare_and_swap(&kv).await?;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Result::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Result::Ok(())
    })?;
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    writeln!(io::stdout(), "{rate}")?;
    Ok(())
}
