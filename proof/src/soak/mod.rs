//! All features at once, for as long as asked, with every request accounted for.
//!
//! 1. One pipeline after the other is built, each with random values, and ends in one of the ways that
//!    there are: closed when its clients have left, or closed, aborted, dropped or closed in no time
//!    while they are at it.
//! 2. Clients open groups, do something with each ([`client`]), and compare what they submitted with
//!    what came back and with what the group's statistics say.
//! 3. A thread reads all statistics meanwhile: counts of what has ended never go back.
//! 4. The ledger that a close returns must be the sum of what the clients counted.
//! 5. Memory is sampled each second; the second half of the run must not take more than the first.

mod client;
mod counts;
mod memory;
mod visit;

pub use counts::Counts;
pub use memory::{GROWTH_BYTES_MAX, Memory, Peaks};

use crate::common::Random;
use crate::mill::Mill;
use client::Client;
use counts::{add_ledger, agree};
use stageline::{Ledger, OpenError, Pipeline, RequestGroup};
use std::fmt;
use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Clients of each pipeline.
const CLIENTS: u64 = 3;
/// A pipeline lives for this long, at least and at most.
const LIFE_MS_MIN: u64 = 100;
const LIFE_MS_MAX: u64 = 2_000;
/// A short run has so many pipelines all the same.
const LIVES_MIN: u32 = 8;
/// A request of the mill that goes round in circles ends after so many stages.
const VISITS_MAX: u32 = 40;
/// Between two reads of the statistics.
const STATS_PERIOD: Duration = Duration::from_micros(500);
/// Between two lines on the terminal.
const PROGRESS_PERIOD: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For how long.
    pub time: Duration,
    /// Of the random numbers.
    pub seed: u64,
    /// Workers of a pipeline, at most.
    pub workers: usize,
}

/// How a pipeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Closed, when its clients have left.
    Quiet,
    /// Closed while they are at it.
    Close,
    /// Closed while they are at it, without waiting.
    CloseAtOnce,
    Abort,
    Drop,
}

const ENDS: [End; 5] = [End::Quiet, End::Close, End::CloseAtOnce, End::Abort, End::Drop];

/// What came of the run.
#[derive(Debug)]
pub struct Summary {
    /// What the clients counted.
    pub counts: Counts,
    /// What the engine's ledgers say of the pipelines that were closed; the clients' counts of each were
    /// the same.
    pub closed: Ledger,
    /// How many these are.
    pub closed_pipelines: u64,
    /// Pipelines, and how often their statistics were read.
    pub pipelines: u64,
    /// Reads of all statistics.
    pub stats_reads: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Memory.
    pub peaks: Peaks,
    seed: u64,
}

/// What all parts of the run share.
#[derive(Default)]
struct Progress {
    over: AtomicBool,
    requests: AtomicU64,
    groups: AtomicU64,
    pipelines: AtomicU64,
    stats_reads: AtomicU64,
    memory: Mutex<Memory>,
}

/// Runs it.
///
/// # Errors
///
/// What was lost, doubled, foreign, or counted differently, with the seed. Memory that has grown is in
/// the summary.
pub fn run(options: &Options) -> Result<Summary, String> {
    let (progress, start) = (Progress::default(), Instant::now());
    let mut summary = Summary {
        counts: Counts::default(),
        closed: Ledger::default(),
        closed_pipelines: 0,
        pipelines: 0,
        stats_reads: 0,
        elapsed: Duration::ZERO,
        peaks: Memory::default().peaks(Duration::ZERO),
        seed: options.seed,
    };
    let result = thread::scope(|scope| {
        scope.spawn(|| sample(&progress, start));
        let mut random = Random(options.seed);
        let result = loop {
            if start.elapsed() >= options.time {
                break Ok(());
            }
            let life = Life::new(options, &mut random, summary.pipelines, &progress);
            if let Err(error) = life.run(&mut summary) {
                break Err(format!("{error} (pipeline {}, {life:?})", summary.pipelines));
            }
            summary.pipelines = progress.pipelines.fetch_add(1, SeqCst) + 1;
        };
        progress.over.store(true, SeqCst);
        result
    });
    result?;
    summary.elapsed = start.elapsed();
    summary.stats_reads = progress.stats_reads.load(SeqCst);
    let memory = progress.memory.lock().unwrap_or_else(PoisonError::into_inner);
    summary.peaks = memory.peaks(summary.elapsed);
    Ok(summary)
}

/// Samples the memory each second, and tells a terminal how far it is.
fn sample(progress: &Progress, start: Instant) {
    let (mut sampled, mut told) = (Duration::ZERO, Duration::ZERO);
    while !progress.over.load(SeqCst) {
        let at = start.elapsed();
        if at - sampled >= Duration::from_secs(1) {
            sampled = at;
            progress.memory.lock().unwrap_or_else(PoisonError::into_inner).sample(at);
        }
        if at - told >= PROGRESS_PERIOD && stderr().is_terminal() {
            told = at;
            eprintln!(
                "{:6.0} s: {} requests, {} groups, {} pipelines",
                at.as_secs_f64(),
                progress.requests.load(SeqCst),
                progress.groups.load(SeqCst),
                progress.pipelines.load(SeqCst)
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// One pipeline, from its building to its end.
struct Life<'a> {
    number: u64,
    seed: u64,
    workers: usize,
    groups: usize,
    window: usize,
    batch_max: usize,
    sample_every: u64,
    first_position: u64,
    hook: bool,
    dag: bool,
    length: Duration,
    end: End,
    progress: &'a Progress,
}

impl fmt::Debug for Life<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, groups, window, batch_max, sample_every, hook, dag, end, .. } = self;
        write!(f, "workers {workers}, groups {groups}, window {window}, batch_max {batch_max}, ")?;
        write!(f, "hook {hook}, dag {dag}, ")?;
        write!(f, "sample_every {sample_every}, first {:#x}, {end:?}", self.first_position)
    }
}

impl<'a> Life<'a> {
    fn new(options: &Options, random: &mut Random, number: u64, progress: &'a Progress) -> Self {
        let firsts = [0, u64::from(u32::MAX) - 500, u64::MAX - 500, (1 << 60) - 500];
        let length = LIFE_MS_MIN + random.below(LIFE_MS_MAX - LIFE_MS_MIN);
        Self {
            number,
            workers: 1 + random.below(options.workers as u64) as usize,
            groups: [4, 7, 16, 40][random.below(4) as usize],
            window: [2, 8, 32, 128][random.below(4) as usize],
            batch_max: [1, 5, 128][random.below(3) as usize],
            sample_every: [1, 64, 1024][random.below(3) as usize],
            first_position: firsts[random.below(4) as usize],
            hook: random.below(4) == 0,
            dag: random.below(4) == 0,
            length: Duration::from_millis(length).min(options.time / LIVES_MIN),
            end: ENDS[number as usize % ENDS.len()],
            seed: random.next(),
            progress,
        }
    }

    fn build(&self) -> Result<Pipeline<Mill>, String> {
        let builder = Pipeline::builder(|| Mill).name("soak").workers(self.workers).reserve(0);
        let builder = builder.groups(self.groups).window(self.window).batch_max(self.batch_max);
        let builder = builder.sample_every(self.sample_every).visits_max(VISITS_MAX);
        let builder = builder.first_position(self.first_position);
        let builder = builder.stall_after(Duration::from_millis(1));
        let builder = if self.hook { builder.before_stage(|_, _| Ok(())) } else { builder };
        let builder = if self.dag { builder.dag() } else { builder };
        builder.build().map_err(|error| error.to_string())
    }

    /// Runs it to its end, and compares the counts.
    fn run(&self, summary: &mut Summary) -> Result<(), String> {
        let pipeline = RwLock::new(Some(self.build()?));
        let until = Instant::now() + self.length;
        let (counts, ledger) = thread::scope(|scope| {
            let stats = scope.spawn(|| self.read_stats(&pipeline));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|index| {
                    let pipeline = &pipeline;
                    scope.spawn(move || self.be_client(index, pipeline, until))
                })
                .collect();
            let mut ended = None;
            if self.end != End::Quiet {
                thread::sleep(until.saturating_duration_since(Instant::now()) / 2);
                ended = self.end(take(&pipeline));
            }
            let counts = sum(clients);
            if self.end == End::Quiet {
                ended = self.end(take(&pipeline));
            }
            let read = stats.join().map_err(|_| "the reader of the statistics panicked")?;
            read?;
            Ok::<_, String>((counts?, ended))
        })?;
        summary.counts += &counts;
        if let Some(ledger) = ledger {
            if !agree(&ledger, &counts.ledger) || ledger.in_flight() != 0 {
                return Err(format!("the clients say {}; the pipeline {ledger}", counts.ledger));
            }
            add_ledger(&mut summary.closed, &ledger);
            summary.closed_pipelines += 1;
        }
        Ok(())
    }

    /// Ends the pipeline. The ledger, where it is complete.
    fn end(&self, pipeline: Option<Pipeline<Mill>>) -> Option<Ledger> {
        let pipeline = pipeline?;
        match self.end {
            End::Quiet | End::Close => Some(pipeline.close()),
            // It may have been quiet; else it ends by itself.
            End::CloseAtOnce => pipeline.close_timeout(Duration::ZERO).ok(),
            // What its receivers still end is not in it.
            End::Abort => {
                pipeline.abort();
                None
            }
            End::Drop => {
                drop(pipeline);
                None
            }
        }
    }

    /// Opens groups until the time is over or the pipeline has ended.
    fn be_client(
        &self,
        index: u64,
        pipeline: &RwLock<Option<Pipeline<Mill>>>,
        until: Instant,
    ) -> Result<Counts, String> {
        thread::scope(|scope| {
            // A request that nobody received may have been cancelled by an abort.
            let may_abandon = self.end != End::Abort;
            let seed = self.seed.wrapping_add(index);
            let mut client = Client::new(scope, seed, self.window as u64, may_abandon);
            while Instant::now() < until {
                let order = client.order();
                let opened = match &*pipeline.read().unwrap_or_else(PoisonError::into_inner) {
                    Some(pipeline) => pipeline.open(order),
                    None => break,
                };
                let before = client.counts.ledger.submitted;
                match opened {
                    Ok(group) => self.visit(&mut client, group, index)?,
                    // Those that were dropped have not ended yet.
                    Err(OpenError::NoneFree { .. }) => thread::yield_now(),
                    Err(_) => break,
                }
                let more = client.counts.ledger.submitted - before;
                self.progress.requests.fetch_add(more, SeqCst);
            }
            Ok(client.counts)
        })
    }

    fn visit(
        &self,
        client: &mut Client,
        group: RequestGroup<Mill>,
        index: u64,
    ) -> Result<(), String> {
        self.progress.groups.fetch_add(1, SeqCst);
        // No two openings of the run have the same.
        let tag = (self.number << 40) | (index << 36) | client.counts.groups;
        let (order, at) = (group.order(), group.index());
        let visited = client.visit(group, tag);
        visited.map_err(|error| format!("group {at}, {order:?}, tag {tag:#x}: {error}"))
    }

    /// Reads everything that can be read, until the pipeline has ended.
    fn read_stats(&self, pipeline: &RwLock<Option<Pipeline<Mill>>>) -> Result<(), String> {
        let (mut last, mut round) = (Ledger::default(), 0_usize);
        loop {
            {
                let guard = pipeline.read().unwrap_or_else(PoisonError::into_inner);
                let Some(pipeline) = &*guard else { return Ok(()) };
                let stats = pipeline.stats();
                let now = stats.ledger;
                if !has_not_gone_back(&last, &now) {
                    return Err(format!("the pipeline said {last} and then {now}"));
                }
                last = now;
                let of_group = pipeline.group_stats(round % self.groups);
                if stats.groups_open > self.groups || stats.workers.len() != self.workers {
                    return Err(format!("{} groups are open: {stats:?}", stats.groups_open));
                }
                if of_group.is_some_and(|of_group| of_group.running > self.window) {
                    return Err(format!(
                        "more than a window runs of group {}",
                        round % self.groups
                    ));
                }
                self.progress.stats_reads.fetch_add(1, SeqCst);
                round += 1;
            }
            thread::sleep(STATS_PERIOD);
        }
    }
}

fn take(pipeline: &RwLock<Option<Pipeline<Mill>>>) -> Option<Pipeline<Mill>> {
    pipeline.write().unwrap_or_else(PoisonError::into_inner).take()
}

fn sum(clients: Vec<ScopedJoinHandle<'_, Result<Counts, String>>>) -> Result<Counts, String> {
    let mut total = Counts::default();
    for client in clients {
        total += &client.join().map_err(|_| "a client panicked")??;
    }
    Ok(total)
}

/// Counts of what has ended only grow. (The one of submissions may go back by the rest of a batch.)
fn has_not_gone_back(last: &Ledger, now: &Ledger) -> bool {
    last.done <= now.done
        && last.failed <= now.failed
        && last.dropped <= now.dropped
        && last.cancelled <= now.cancelled
        && last.expired <= now.expired
        && last.panicked <= now.panicked
        && last.cyclic <= now.cyclic
        && last.received <= now.received
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, ledger) = (&self.counts, &self.counts.ledger);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "all pipelines, as the clients counted: {ledger}")?;
        writeln!(
            f,
            "{} pipelines that were closed, as clients and engine agree: {}",
            self.closed_pipelines, self.closed
        )?;
        writeln!(
            f,
            "memory: at most {:.1} MiB in the first half, {:.1} in the second (bound: {:.1} more), \
             {:.1} ever",
            mib(self.peaks.first_half),
            mib(self.peaks.second_half),
            mib(GROWTH_BYTES_MAX),
            mib(self.peaks.ever)
        )?;
        write!(
            f,
            "survived {} requests, {} groups, {} pipelines, {} cancels, {} panics, {} filler panics, \
             {} expired, {} cyclic, {} groups dropped with requests in flight, {} groups cut short, \
             {} full windows, {} reads of the statistics in {:.1} minutes; seed {}",
            ledger.submitted,
            counts.groups,
            self.pipelines,
            counts.cancels,
            ledger.panicked,
            counts.filler_panics,
            ledger.expired,
            ledger.cyclic,
            counts.abandoned,
            counts.cut_short,
            counts.full,
            self.stats_reads,
            self.elapsed.as_secs_f64() / 60.0,
            self.seed
        )
    }
}
