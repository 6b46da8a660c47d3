//! Cases to run again, as `Debug` prints them: each has shrunk from one that found a defect, mostly one that
//! had been put into the engine to see whether it would be found.

#![allow(unused_imports, reason = "each case uses a part of the names")]

use super::case::{Act::*, Due::*, End::*, Fill::*, Get::*, How::*, Op::*, Put::*, Shape::*};
use super::case::{Case, Finish, Job, Session, Setting, Stream, Table::*, Take::*, Wait::*};
use stageline::{Order::*, WaitStrategy::*};

pub fn cases() -> Vec<Case> {
    vec![a_deadline_that_a_clone_has_too(), a_submission_that_comes_too_late()]
}

fn a_deadline_that_a_clone_has_too() -> Case {
    Case {
        setting: Setting {
            table: Fixed,
            hooks: 0,
            dag: false,
            visits_max: 1000000,
            workers: 1,
            groups: 1,
            window: 4,
            batch_max: 128,
            sample_every: 1024,
            first_position: 0,
            wait: SpinThenPark,
            pin: false,
            watch: false,
        },
        streams: vec![Stream {
            thread: 0,
            sessions: vec![Session {
                order: Submission,
                shape: Whole,
                ops: vec![Put(Deadline(Past))],
                end: Threads {
                    shared: true,
                    producers: vec![vec![Submit(Job(vec![]), Block)]],
                    receiver: vec![],
                    drains: true,
                },
            }],
        }],
        finish: Finish { after: None, how: Close },
    }
}

/// Published when the workers have left, so that its receiver ends it.
fn a_submission_that_comes_too_late() -> Case {
    let ops = vec![Put(Fill(Job(vec![]), Linger)), Get(Receive(Micros(200), Leave))];
    let session = Session { order: Completion, shape: Split, ops, end: Drained };
    Case {
        setting: Setting { workers: 2, ..Setting::smallest() },
        streams: vec![Stream { thread: 0, sessions: vec![session] }],
        finish: Finish { after: Some(99), how: DropIt },
    }
}
