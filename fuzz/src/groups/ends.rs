//! The handles of an open group, whichever there are.

use super::machine::{Act, Driven, Load};
use super::model::{Answer, assert_given_back};
use super::plan::{Deadline, How};
use crate::ASKED;
use stageline::{
    Receiver, RequestGroup, SharedSubmitter, SubmitEnd, SubmitError, SubmitTimeoutError, Submitter,
    TrySubmitError,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A handle and the deadline that it gives.
pub struct With<E>(pub E, pub Deadline);

/// Either the group in one, or what is left of its ends.
#[derive(Default)]
pub struct Ends {
    pub group: Option<With<RequestGroup<Driven>>>,
    pub sole: Option<With<Submitter<Driven>>>,
    pub shared: Vec<With<SharedSubmitter<Driven>>>,
    pub receiver: Option<Receiver<Driven>>,
}

/// What became of a submission: the answer, or the filler's panic.
pub type Submitted = Result<(Answer, u64), ()>;

impl Ends {
    pub fn of(group: RequestGroup<Driven>) -> Self {
        Self { group: Some(With(group, Deadline::Never)), ..Self::default() }
    }

    pub fn has_submitter(&self) -> bool {
        self.group.is_some() || self.sole.is_some() || !self.shared.is_empty()
    }

    pub fn are_gone(&self) -> bool {
        !self.has_submitter() && self.receiver.is_none()
    }

    pub fn receiver(&mut self) -> Option<&mut Receiver<Driven>> {
        match &mut self.group {
            Some(With(group, _)) => Some(group.receiver()),
            None => self.receiver.as_mut(),
        }
    }

    /// The submit end of which this is the only handle.
    pub fn sole(&mut self) -> Option<(&mut Submitter<Driven>, Deadline)> {
        match (&mut self.group, &mut self.sole) {
            (Some(With(group, deadline)), _) => Some((group.submitter(), *deadline)),
            (None, Some(With(end, deadline))) => Some((end, *deadline)),
            _ => None,
        }
    }

    pub fn split(&mut self) {
        if let Some(With(group, deadline)) = self.group.take() {
            let (submitter, receiver) = group.split();
            self.sole = Some(With(submitter, deadline));
            self.receiver = Some(receiver);
        }
    }

    pub fn share(&mut self) {
        self.split();
        if let Some(With(end, deadline)) = self.sole.take() {
            self.shared.push(With(end.share(), deadline));
        }
    }

    pub fn duplicate(&mut self) {
        if let Some(With(end, deadline)) = self.shared.first() {
            let more = With(end.clone(), *deadline);
            self.shared.push(more);
        }
    }

    pub fn set_deadline(&mut self, deadline: Deadline) {
        let at = instant(deadline);
        if let Some(With(group, own)) = &mut self.group {
            group.set_deadline(at);
            *own = deadline;
        } else if let Some(With(end, own)) = &mut self.sole {
            end.set_deadline(at);
            *own = deadline;
        } else if let Some(With(end, own)) = self.shared.last_mut() {
            end.set_deadline(at);
            *own = deadline;
        }
    }

    /// Cancels by the handle that is asked for, or by the other.
    pub fn cancel(&mut self, by_submitter: bool) {
        match (&self.receiver, &self.sole, self.shared.first(), &self.group) {
            (_, _, _, Some(With(group, _))) => group.cancel(),
            (Some(receiver), None, None, _) => receiver.cancel(),
            (Some(receiver), _, _, _) if !by_submitter => receiver.cancel(),
            (_, Some(With(end, _)), _, _) => end.cancel(),
            (_, _, Some(With(end, _)), _) => end.cancel(),
            _ => {}
        }
    }

    /// Submits by one of the handles; `None` if there is none.
    pub fn submit(&mut self, how: How, id: u64, act: Act) -> Option<(Submitted, Deadline, bool)> {
        if let Some((end, deadline)) = self.sole() {
            return Some((submit(end, how, id, act), deadline, false));
        }
        let handles = self.shared.len() as u64;
        let With(end, deadline) = self.shared.get_mut(id.checked_rem(handles)? as usize)?;
        Some((submit(end, how, id, act), *deadline, true))
    }
}

fn instant(deadline: Deadline) -> Option<Instant> {
    let now = Instant::now();
    match deadline {
        Deadline::Never => None,
        Deadline::Past => Some(now.checked_sub(Duration::from_secs(1)).unwrap_or(now)),
        Deadline::Soon => Some(now + Duration::from_micros(30)),
        Deadline::Far => Some(now + Duration::from_secs(1 << 40)),
    }
}

fn submit<const SHARED: bool>(
    end: &mut SubmitEnd<Driven, SHARED>,
    how: How,
    id: u64,
    act: Act,
) -> Submitted {
    let load = || Load::new(id, act);
    match how {
        How::Try => Ok(of_try(end.try_submit(load()), |load| assert_given_back(&load, id))),
        How::Wait => Ok(match end.submit(load()) {
            Ok(position) => (Answer::Accepted, position),
            Err(refused) => refusal(refused, |load| assert_given_back(&load, id)),
        }),
        How::Timeout => Ok(match end.submit_timeout(load(), Duration::from_micros(20)) {
            Ok(position) => (Answer::Accepted, position),
            Err(refused) => {
                let answer = match &refused {
                    SubmitTimeoutError::Timeout(_) => Answer::Full,
                    SubmitTimeoutError::Cancelled(_) => Answer::Cancelled,
                    _ => Answer::Closed,
                };
                assert_given_back(&refused.into_inner(), id);
                (answer, 0)
            }
        }),
        How::InPlace => Ok(of_try(end.try_submit_with(|slot| slot.fill(id, act)), drop)),
        How::InPlaceWait => Ok(match end.submit_with(|slot| slot.fill(id, act)) {
            Ok(position) => (Answer::Accepted, position),
            Err(refused) => refusal(refused, drop),
        }),
        How::PanicFirst | How::PanicHalfway => {
            let fill = |slot: &mut Load| {
                if how == How::PanicHalfway {
                    slot.id = id;
                }
                panic!("{ASKED}{id}");
            };
            let filled = catch_unwind(AssertUnwindSafe(|| end.try_submit_with(fill)));
            filled.map(|submitted| of_try(submitted, drop)).map_err(drop)
        }
    }
}

fn of_try<T>(
    submitted: Result<u64, TrySubmitError<T>>,
    given_back: impl FnOnce(T),
) -> (Answer, u64) {
    let refused = match submitted {
        Ok(position) => return (Answer::Accepted, position),
        Err(refused) => refused,
    };
    let answer = match &refused {
        TrySubmitError::Full(_) => Answer::Full,
        TrySubmitError::Cancelled(_) => Answer::Cancelled,
        _ => Answer::Closed,
    };
    given_back(refused.into_inner());
    (answer, 0)
}

fn refusal<T>(refused: SubmitError<T>, given_back: impl FnOnce(T)) -> (Answer, u64) {
    let is_cancelled = matches!(refused, SubmitError::Cancelled(_));
    given_back(refused.into_inner());
    (if is_cancelled { Answer::Cancelled } else { Answer::Closed }, 0)
}
