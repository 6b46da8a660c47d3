//! Runs a case: builds its pipeline, drives its streams in their threads, and ends it.

use super::case::{Case, Finish, How, Setting, Table};
use super::machine::{Machine, Parcel, World};
use super::session::{Active, Record};
use stageline::{Ledger, OpenError, Pipeline};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long what has been told to end may take, or what has been counted to be seen.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tries of a stream to open a group where there are fewer groups than streams.
const OPEN_TRIES: u32 = 50;

/// What is known when a case is over.
#[derive(Debug)]
pub struct Report {
    pub records: Vec<Record>,
    /// How often each stage was entered, by the statistics and by the stages; of a quiet pipeline.
    pub entered: Option<(Vec<u64>, Vec<u64>)>,
    pub ledger: Option<Ledger>,
    /// Machines that were closed.
    pub closes: u64,
    /// By group, the position that its next opening would start at.
    pub tails: Vec<u64>,
    /// Entries of the census, and other users of the world, that are left.
    pub left: Option<String>,
    pub odd: Vec<String>,
}

/// A case that runs.
struct Run<'c> {
    case: &'c Case,
    world: &'c Arc<World>,
    pipeline: RwLock<Option<Pipeline<Machine>>>,
    records: Mutex<Vec<Record>>,
    odd: Mutex<Vec<String>>,
    threads_over: AtomicUsize,
}

pub fn run(case: &Case) -> Report {
    // A close waits itself for what is filled.
    let ends_early = case.finish.after.is_some() && case.finish.how != How::Close;
    let world = World::new(&case.setting, ends_early);
    let run = Run {
        case,
        world: &world,
        pipeline: RwLock::new(Some(build(&world))),
        records: Mutex::default(),
        odd: Mutex::default(),
        threads_over: AtomicUsize::new(0),
    };
    let mut ledger = None;
    thread::scope(|scope| {
        let run = &run;
        let mut threads: Vec<u8> = case.streams.iter().map(|stream| stream.thread).collect();
        threads.sort_unstable();
        threads.dedup();
        let drive = |thread| {
            scope.spawn(move || {
                let _over = Over(&run.threads_over);
                run.drive(thread);
            })
        };
        let drivers: Vec<_> = threads.iter().copied().map(drive).collect();
        if let Some(after) = case.finish.after {
            let is_over = || run.threads_over.load(SeqCst) == threads.len();
            while run.world.operations.load(SeqCst) < after && !is_over() {
                thread::sleep(Duration::from_micros(20));
            }
            ledger = run.finish();
        }
        // A thread sanitizer sees these, and not the end of the scope.
        let joined: Vec<_> = drivers.into_iter().map(|driver| driver.join()).collect();
        if let Some(panic) = joined.into_iter().find_map(Result::err) {
            resume_unwind(panic);
        }
    });
    let entered = run.entered();
    let ledger = ledger.or_else(|| run.finish());
    let gave_up = ledger.is_none() && case.finish.how != How::DropIt;
    let (records, odd) = (run.records.into_inner().unwrap(), run.odd.into_inner().unwrap());
    // First: after a close that gave up it waits for the workers, which close their machines.
    let left = left(&world, gave_up);
    Report {
        records,
        entered,
        ledger,
        closes: world.closes.load(SeqCst),
        tails: world.tails.iter().map(|tail| tail.load(SeqCst)).collect(),
        left,
        odd,
    }
}

/// Counts a thread that is over, also if it panicked.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// What has not been dropped by now. A close that gave up leaves the threads to end by themselves; all
/// others have joined them.
fn left(world: &Arc<World>, gave_up: bool) -> Option<String> {
    let (start, patience) = (Instant::now(), if gave_up { PATIENCE } else { Duration::ZERO });
    while !world.census.is_empty() || Arc::strong_count(world) > 1 {
        if start.elapsed() >= patience {
            let (census, users) = (&world.census, Arc::strong_count(world) - 1);
            return Some(format!("{census:?}, and {users} users of the world"));
        }
        thread::sleep(Duration::from_micros(100));
    }
    None
}

fn build(world: &Arc<World>) -> Pipeline<Machine> {
    let Setting { table, hooks, dag, visits_max, workers, groups, window, .. } = &world.setting;
    let Setting { batch_max, sample_every, first_position, wait, pin, watch, .. } = &world.setting;
    let (machines, census) = (Arc::clone(world), Arc::clone(&world.census));
    let factory = move || Machine::new(&machines);
    let mut builder = Pipeline::builder_with(factory, move || Parcel::blank(&census))
        .name("props")
        .visits_max(*visits_max)
        .workers(*workers)
        .groups(*groups)
        .window(*window)
        .batch_max(*batch_max)
        .sample_every(*sample_every)
        .first_position(*first_position)
        .wait(*wait)
        .pin(*pin)
        .reserve(0);
    if let Table::Runtime(next) = table {
        builder = builder.stages(Machine::runtime_stages(next));
    }
    if *dag {
        builder = builder.dag();
    }
    if *watch {
        builder = builder.stall_after(Duration::from_millis(1));
    }
    if *hooks > 0 {
        builder = builder.before_stage(Machine::first_hook);
    }
    if *hooks > 1 {
        builder = builder.before_stage(Machine::second_hook);
    }
    builder.build().expect("the setting is within the limits")
}

/// A stream that goes on.
struct Going<'c> {
    stream: usize,
    next_session: usize,
    tries: u32,
    now: Option<Active<'c>>,
}

impl<'c> Run<'c> {
    /// Drives the streams of one thread, an operation of each in turn.
    fn drive(&self, thread: u8) {
        let of_thread = self.case.streams.iter().enumerate().filter(|it| it.1.thread == thread);
        let going = |(stream, _)| Going { stream, next_session: 0, tries: 0, now: None };
        let mut going: Vec<_> = of_thread.map(going).collect();
        while !going.is_empty() {
            going.retain_mut(|stream| self.step(stream));
        }
    }

    /// Does one thing of a stream; `false` if there is nothing more to do.
    fn step(&self, going: &mut Going<'c>) -> bool {
        if let Some(mut active) = going.now.take() {
            if active.step() {
                going.now = Some(active);
            } else {
                let record = active.end();
                self.records.lock().unwrap().push(record);
            }
            return true;
        }
        let sessions = &self.case.streams[going.stream].sessions;
        let Some(session) = sessions.get(going.next_session) else { return false };
        let pipeline = self.pipeline.read().unwrap();
        let Some(pipeline) = pipeline.as_ref() else { return false };
        match pipeline.open(session.order) {
            Ok(group) => {
                going.now = Some(Active::new(self.world, going.stream, session, group));
            }
            Err(OpenError::NoneFree { .. }) => {
                going.tries += 1;
                let has_one = self.case.setting.groups >= self.case.streams.len();
                if has_one || going.tries < OPEN_TRIES {
                    // Its own group of before may have requests in flight.
                    thread::sleep(Duration::from_micros(50));
                    return true;
                }
            }
            Err(error) => {
                let odd = format!("open: {error}, of a pipeline that nobody has closed");
                self.odd.lock().unwrap().push(odd);
                return false;
            }
        }
        (going.next_session, going.tries) = (going.next_session + 1, 0);
        true
    }

    /// When all groups are closed and the pipeline is quiet: how often each stage was entered, by the
    /// statistics and by itself.
    fn entered(&self) -> Option<(Vec<u64>, Vec<u64>)> {
        let pipeline = self.pipeline.read().unwrap();
        let pipeline = pipeline.as_ref()?;
        let start = Instant::now();
        loop {
            let stats = pipeline.stats();
            let told: Vec<_> = stats.stages.iter().map(|stage| stage.entered).collect();
            let stages = &self.world.entered[..told.len()];
            let counted: Vec<_> = stages.iter().map(|count| count.load(SeqCst)).collect();
            let is_quiet = stats.ledger.in_flight() == 0 && stats.running == 0;
            if (is_quiet && told == counted) || start.elapsed() > PATIENCE {
                return Some((told, counted));
            }
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// Apart, so that a thread sanitizer can be told that std's lock orders it, and no more than that.
    #[inline(never)]
    fn take_pipeline(&self) -> Option<Pipeline<Machine>> {
        self.pipeline.write().unwrap().take()
    }

    /// Ends the pipeline, if nobody has.
    fn finish(&self) -> Option<Ledger> {
        let Finish { after, how } = self.case.finish;
        let pipeline = self.take_pipeline()?;
        self.world.aborting.store(how == How::Abort, SeqCst);
        self.world.ending.store(true, SeqCst);
        let ledger = match how {
            How::Close => Some(pipeline.close()),
            How::Abort => Some(pipeline.abort()),
            How::DropIt => {
                drop(pipeline);
                None
            }
            How::CloseWithinMillis(millis) => {
                let timeout = Duration::from_millis(millis);
                match pipeline.close_timeout(timeout) {
                    Ok(ledger) => Some(ledger),
                    Err(error) => {
                        if after.is_none() || error.waited != timeout {
                            self.odd.lock().unwrap().push(format!("close: {error}"));
                        }
                        None
                    }
                }
            }
        };
        self.world.ended.store(true, SeqCst);
        ledger
    }
}
