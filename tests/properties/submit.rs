//! What a case does with the submit end of a group.

use super::case::{Due, Fill, Job, Put, Wait};
use super::log::{Sent, is_set, planned};
use super::machine::{LAST_OPERATION, Machine, Marks, PLANNED, Parcel, World};
use stageline::{
    SharedSubmitter, SubmitEnd, SubmitError, SubmitTimeoutError, Submitter, TrySubmitError,
};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

/// How long a closure waits for the end of the pipeline.
const LINGER: Duration = Duration::from_millis(20);

/// Whether a submission found the window full.
pub type IsFull = bool;

/// One submit end's user.
pub struct Producer {
    world: Arc<World>,
    pub marks: Arc<Marks>,
    /// Of a sole producer, the position of its first request.
    base: Option<u64>,
    /// The same thread receives, so it must not wait for a free slot.
    pub is_alone: bool,
    due: Due,
    deadline: Option<Instant>,
    pub sent: Vec<Sent>,
    /// Positions that were taken and not filled.
    pub voids: u64,
    pub odd: Vec<String>,
}

/// Why a submission was refused, and its parcel.
enum Refused {
    Full(Parcel),
    Cancelled(Parcel),
    Closed(Parcel),
}

/// A batch, of an end that takes one.
pub trait Batching {
    fn batch(&mut self, parcels: &mut dyn Iterator<Item = Parcel>) -> Option<usize>;
}

impl Batching for Submitter<Machine> {
    fn batch(&mut self, mut parcels: &mut dyn Iterator<Item = Parcel>) -> Option<usize> {
        Some(self.submit_batch(&mut parcels))
    }
}

impl Batching for SharedSubmitter<Machine> {
    fn batch(&mut self, _: &mut dyn Iterator<Item = Parcel>) -> Option<usize> {
        None
    }
}

impl Producer {
    pub fn new(world: &Arc<World>, marks: &Arc<Marks>, base: Option<u64>) -> Self {
        Self {
            world: Arc::clone(world),
            marks: Arc::clone(marks),
            base,
            is_alone: true,
            due: Due::Never,
            deadline: None,
            sent: Vec::new(),
            voids: 0,
            odd: Vec::new(),
        }
    }

    /// That of a clone of the end.
    pub fn fork(&self) -> Self {
        let (due, deadline) = (self.due, self.deadline);
        Self { due, deadline, ..Self::new(&self.world, &self.marks, None) }
    }

    /// The end is one of several from now on.
    pub fn share(&mut self) {
        self.base = None;
    }

    pub fn put<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Machine, SHARED>,
        put: &Put,
    ) -> IsFull
    where
        SubmitEnd<Machine, SHARED>: Batching,
    {
        self.world.operations.fetch_add(1, SeqCst);
        match put {
            Put::Submit(job, wait) => self.submit(end, job, *wait),
            Put::Batch { jobs, times, panics_at } => self.batch(end, jobs, *times, *panics_at),
            Put::Fill(job, fill) => self.fill(end, job, *fill),
            Put::Deadline(due) => {
                let now = Instant::now();
                self.due = *due;
                self.deadline = match due {
                    Due::Never => None,
                    Due::Past => now.checked_sub(Duration::from_secs(1)).or(Some(now)),
                    Due::Now => Some(now),
                    Due::NearMicros(micros) => Some(now + Duration::from_micros(*micros)),
                    Due::Far => Some(now + Duration::from_secs(1 << 32)),
                };
                end.set_deadline(self.deadline);
                false
            }
            Put::Cancel => {
                self.marks.cancel.store(true, SeqCst);
                end.cancel();
                self.marks.cancel_done.store(true, SeqCst);
                false
            }
        }
    }

    fn submit<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Machine, SHARED>,
        job: &Job,
        wait: Wait,
    ) -> IsFull {
        let (parcel, too_late) = (self.parcel(job), self.is_too_late());
        let number = parcel.number;
        let result = match wait {
            Wait::Block if !self.is_alone => end.submit(parcel).map_err(|error| match error {
                SubmitError::Cancelled(parcel) => Refused::Cancelled(parcel),
                SubmitError::Closed(parcel) => Refused::Closed(parcel),
                _ => unreachable!(),
            }),
            Wait::Micros(micros) => {
                let result = end.submit_timeout(parcel, Duration::from_micros(micros));
                result.map_err(|error| match error {
                    SubmitTimeoutError::Timeout(parcel) => Refused::Full(parcel),
                    SubmitTimeoutError::Cancelled(parcel) => Refused::Cancelled(parcel),
                    SubmitTimeoutError::Closed(parcel) => Refused::Closed(parcel),
                    _ => unreachable!(),
                })
            }
            _ => end.try_submit(parcel).map_err(|error| match error {
                TrySubmitError::Full(parcel) => Refused::Full(parcel),
                TrySubmitError::Cancelled(parcel) => Refused::Cancelled(parcel),
                TrySubmitError::Closed(parcel) => Refused::Closed(parcel),
                _ => unreachable!(),
            }),
        };
        match result {
            Ok(position) => {
                self.accepted(number, job, Some(position), too_late);
                false
            }
            Err(refused) => {
                let (is_full, parcel) = self.refused(refused);
                if parcel.number != number {
                    let odd = format!("refused: {number} gave back {}", parcel.number);
                    self.odd.push(odd);
                }
                is_full
            }
        }
    }

    fn batch<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Machine, SHARED>,
        jobs: &[Job],
        times: usize,
        panics_at: Option<usize>,
    ) -> IsFull
    where
        SubmitEnd<Machine, SHARED>: Batching,
    {
        if SHARED {
            let mut all = jobs.iter().cycle().take(jobs.len() * times);
            return all.any(|job| self.submit(end, job, Wait::Block));
        }
        let too_late = self.is_too_late();
        let mut given = Vec::new();
        let mut parcels =
            jobs.iter().cycle().take(jobs.len() * times).enumerate().map(|(at, job)| {
                if panics_at == Some(at) {
                    panic!("{PLANNED}in the iterator");
                }
                let parcel = self.parcel(job);
                given.push((parcel.number, job));
                parcel
            });
        let result = planned(|| end.batch(&mut parcels).expect("a sole submitter takes batches"));
        let given_count = given.len();
        for (number, job) in given {
            self.accepted(number, job, None, too_late);
        }
        if let Some(submitted) = result
            && submitted != given_count
        {
            let odd = format!("batch: {submitted} submitted of {given_count} that were taken");
            self.odd.push(odd);
        }
        result.is_some() && given_count < jobs.len() * times && !self.may_refuse()
    }

    fn fill<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Machine, SHARED>,
        job: &Job,
        fill: Fill,
    ) -> IsFull {
        let (parcel, too_late) = (self.parcel(job), self.is_too_late());
        let number = parcel.number;
        let called = Cell::new(false);
        let called = &called;
        let world = Arc::clone(&self.world);
        let filler = move |slot: &mut Parcel| {
            called.set(true);
            if fill == Fill::Linger {
                linger(&world);
            }
            match fill {
                Fill::Refill => slot.refill(parcel),
                Fill::PanicBefore => panic!("{PLANNED}before it is filled"),
                Fill::MoveIn | Fill::Linger | Fill::PanicAfter => *slot = parcel,
            }
            if fill == Fill::PanicAfter {
                panic!("{PLANNED}after it is filled");
            }
        };
        // The closure comes back in a refusal; what it has of the parcel is dropped with it.
        let blank = || Parcel::blank(&self.world.census);
        let result = if self.is_alone {
            planned(|| {
                end.try_submit_with(filler).map_err(|error| match error {
                    TrySubmitError::Full(_) => Refused::Full(blank()),
                    TrySubmitError::Cancelled(_) => Refused::Cancelled(blank()),
                    _ => Refused::Closed(blank()),
                })
            })
        } else {
            planned(|| {
                end.submit_with(filler).map_err(|error| match error {
                    SubmitError::Cancelled(_) => Refused::Cancelled(blank()),
                    _ => Refused::Closed(blank()),
                })
            })
        };
        match result {
            None => self.voids += u64::from(SHARED),
            Some(Ok(position)) => self.accepted(number, job, Some(position), too_late),
            Some(Err(refused)) => {
                if called.get() {
                    self.odd.push(format!("refused: the closure of {number} was called"));
                }
                return self.refused(refused).0;
            }
        }
        false
    }

    fn parcel(&self, job: &Job) -> Parcel {
        let number = self.world.numbers.fetch_add(1, SeqCst);
        Parcel::new(&self.world.census, number, job.clone(), &self.marks)
    }

    fn accepted(&mut self, number: u64, job: &Job, position: Option<u64>, too_late: bool) {
        let expected = self.base.map(|base| base.wrapping_add(self.sent.len() as u64));
        let position = position.or(expected).expect("only a sole producer submits batches");
        if expected.is_some_and(|expected| expected != position) {
            self.odd.push(format!("positions: {position:#x} in place of {expected:#x?}"));
        }
        let (job, due, deadline) = (job.clone(), self.due, self.deadline);
        self.sent.push(Sent { number, job, due, deadline, position, too_late });
    }

    /// Whether it was full; and the parcel.
    fn refused(&mut self, refused: Refused) -> (IsFull, Parcel) {
        let (why, is_due, parcel) = match refused {
            Refused::Full(parcel) => return (true, parcel),
            Refused::Cancelled(parcel) => ("cancelled", is_set(&self.marks.cancel), parcel),
            Refused::Closed(parcel) => {
                let is_due = is_set(&self.marks.receiver_gone) || is_set(&self.world.ending);
                ("closed", is_due, parcel)
            }
        };
        if !is_due {
            self.odd.push(format!("refused: {why}, though nothing is"));
        }
        (false, parcel)
    }

    fn may_refuse(&self) -> bool {
        is_set(&self.marks.cancel)
            || is_set(&self.marks.receiver_gone)
            || is_set(&self.world.ending)
    }

    fn is_too_late(&self) -> bool {
        is_set(&self.marks.cancel_done)
            || is_set(&self.marks.receiver_gone_done)
            || is_set(&self.world.ended)
    }
}

/// Asks for the end of the pipeline, if the case has it early, and waits for it; but not for long: it may
/// itself be waiting for what is filled.
fn linger(world: &World) {
    world.operations.fetch_add(LAST_OPERATION, SeqCst);
    let start = Instant::now();
    while world.ends_early && !is_set(&world.ended) && start.elapsed() < LINGER {
        thread::sleep(Duration::from_micros(50));
    }
}
