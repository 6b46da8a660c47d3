//! The checks, checked: the model on scripts whose way is known, and each invariant on a report that was
//! tampered with.

use super::case::{Act, Case, Due, End, Finish, How, Job, Op, Put, Session, Setting, Shape};
use super::case::{Stream, Table, Wait};
use super::drive::{self, Report};
use super::invariants;
use super::machine::Live;
use super::model::{Ending, Way, shows};
use stageline::Order;

fn way(acts: &[Act], change: impl FnOnce(&mut Setting)) -> (Vec<u8>, usize, usize, Ending) {
    let mut rules = Setting::smallest();
    change(&mut rules);
    let way = Way::of(&Job(acts.to_vec()), 7, &rules);
    (way.visited, way.tries, way.hooked, way.ending)
}

fn panicked(text: &str) -> Ending {
    Ending::Panicked(text.to_owned())
}

pub fn check_the_model() {
    use Act::{Bomb, Drop, Fail, HookFail, HookPanic, Jump, Next, Off, Panic};
    let cyclic = || Ending::Cyclic(String::new());
    let three = |rules: &mut Setting| rules.table = Table::Runtime(vec![None, None, None]);
    let all: Vec<u8> = (0..8).collect();
    assert_eq!(way(&[], |_| ()), (all.clone(), 8, 0, Ending::Done));
    assert_eq!(way(&[Next, Fail], |_| ()), (vec![0, 1], 2, 0, Ending::Failed(7, 1)));
    assert_eq!(way(&[Jump(13), Drop], |_| ()), (vec![0, 5], 2, 0, Ending::Dropped));
    assert_eq!(way(&[Jump(7), Jump(6)], three), (vec![0, 1, 0, 1, 2], 5, 0, Ending::Done));
    assert_eq!(way(&[Next, Panic], |_| ()), (vec![0, 1], 2, 0, panicked("planned: 7 at 1")));
    let no_text = panicked("a panic whose payload is no string");
    assert_eq!(way(&[Bomb], |_| ()), (vec![0], 1, 0, no_text));
    let off = "a stage answered with stage id 4; the table has 3 stages";
    assert_eq!(way(&[Off(1)], three), (vec![0], 1, 0, panicked(off)));
    let limit = |rules: &mut Setting| rules.visits_max = 3;
    assert_eq!(way(&[], limit), (vec![0, 1, 2], 3, 0, cyclic()));
    let dag = |rules: &mut Setting| {
        rules.dag = true;
        rules.table = Table::Runtime(vec![Some(vec![1]), None, None]);
    };
    assert_eq!(way(&[Jump(2)], dag), (vec![0], 1, 0, cyclic()), "not declared");
    assert_eq!(way(&[Next, Jump(0)], dag), (vec![0, 1], 3, 0, cyclic()), "not let in again");
    let hooks = |rules: &mut Setting| rules.hooks = 2;
    assert_eq!(way(&[Next, HookFail], hooks), (vec![0], 2, 3, Ending::Failed(7, 1)));
    let before = panicked("planned: 7 before 0");
    assert_eq!(way(&[HookPanic], hooks), (vec![], 1, 1, before));
    assert_eq!(way(&[HookFail], |_| ()), (all, 8, 0, Ending::Done), "there is no hook");
}

pub fn check_what_shows_a_way() {
    let long: Vec<u8> = (0..20).map(|at| at % 3).collect();
    assert!(shows("a -> b -> a", &[0, 1, 0], 8));
    assert!(shows("(2 stages) -> c", &[0, 1, 2], 8) && shows("a -> ?", &[0, 3], 3));
    assert!(shows("a -> b -> (17 more) -> b", &long, 3));
    for wrong in ["a -> b", "a -> b -> a -> a", "a -> b -> c", "(1 stages) -> a", "(4 stages)", ""]
    {
        assert!(!shows(wrong, &[0, 1, 0], 8), "{wrong}");
    }
}

/// Four requests in a group that is received to its end.
fn plain_case() -> Case {
    let scripts = [vec![], vec![Act::Fail], vec![Act::Next, Act::Drop], vec![Act::Panic]];
    let put = |script: Vec<Act>| Op::Put(Put::Submit(Job(script), Wait::Try));
    let (order, shape, ops) = (Order::Submission, Shape::Split, scripts.map(put).into());
    let session = Session { order, shape, ops, end: End::Drained };
    Case {
        setting: Setting { window: 4, sample_every: 1, ..Setting::smallest() },
        streams: vec![Stream { thread: 0, sessions: vec![session] }],
        finish: Finish { after: None, how: How::Close },
    }
}

/// What a defect would do to a report, and the invariant that must see it.
type Tamper = (&'static str, fn(&mut Report));

const TAMPERS: [Tamper; 21] = [
    ("conservation", |it| drop(it.records[0].got.pop())),
    ("conservation", |it| it.records[0].got[3].position += 1),
    ("once", |it| it.records[0].got[1].position = it.records[0].got[0].position),
    ("order", |it| it.records[0].got.swap(0, 1)),
    ("own result", |it| it.records[0].got[2].number += 1),
    ("own result", |it| it.records[0].got[2].trace.told = Some((0, 9, false))),
    ("own result", |it| it.records[0].got[2].trace.confused = true),
    ("outcome", |it| it.records[0].got[0].ending = Ending::Cancelled),
    ("outcome", |it| it.records[0].got[0].ending = Ending::Expired),
    ("outcome", |it| it.records[0].got[1].ending = Ending::Failed(999, 0)),
    ("outcome", |it| it.records[0].got[0].trace.visited.truncate(7)),
    ("outcome", |it| it.records[0].sent[0].due = Due::Past),
    ("refusal", |it| it.records[0].sent[0].too_late = true),
    ("cancel", |it| it.records[0].got.iter_mut().for_each(|got| got.trace.begun_late = true)),
    ("books", |it| it.records[0].books.as_mut().unwrap().ledger.done += 1),
    ("books", |it| it.records[0].books.as_mut().unwrap().sampled[0] -= 1),
    ("positions", |it| it.tails[0] += 1),
    ("ledger", |it| it.ledger.as_mut().unwrap().failed += 1),
    ("entries", |it| it.entered.as_mut().unwrap().0[0] += 1),
    ("leak", |it| it.left = Some("a payload".to_owned())),
    ("machines", |it| it.closes += 2),
];

pub fn check_the_invariants() {
    let case = plain_case();
    let found = invariants::violations(&case, &drive::run(&case));
    assert_eq!(found, [""; 0], "{case:#?}");
    for (name, tamper) in TAMPERS {
        let mut report = drive::run(&case);
        tamper(&mut report);
        let found = invariants::violations(&case, &report);
        assert!(found.iter().any(|text| text.starts_with(name)), "{name}: {found:?}");
    }
    // Without the request that panics each machine must have been closed.
    let mut case = case;
    case.streams[0].sessions[0].ops.pop();
    let mut report = drive::run(&case);
    assert_eq!((report.closes, invariants::violations(&case, &report)), (1, vec![]));
    report.closes = 0;
    assert_eq!(invariants::violations(&case, &report).len(), 1);
}

pub fn check_the_census() {
    let census = super::machine::World::empty().census.clone();
    let [first, second] = [(); 2].map(|()| Live::new(&census));
    assert_eq!((census.count(), census.is_empty()), (2, false));
    drop(first);
    assert!(!census.is_empty());
    drop(second);
    assert!(census.is_empty());
}
