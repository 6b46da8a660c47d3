//! Cases to run again, as `Debug` prints them.

#![allow(unused_imports, reason = "each case uses a part of the names")]

use super::case::{Act::*, Due::*, End::*, Fill::*, Get::*, How::*, Op::*, Put::*, Shape::*};
use super::case::{Case, Finish, Job, Session, Setting, Stream, Table::*, Take::*, Wait::*};
use stageline::{Order::*, WaitStrategy::*};

pub fn cases() -> Vec<Case> {
    vec![]
}
