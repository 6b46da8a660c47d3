//! What holds of every case, each stated in one place. A violation is a text that begins with the name of
//! the invariant.

use super::case::{Case, Due, How, Setting};
use super::drive::Report;
use super::log::{Got, Sent};
use super::model::{Ending, Way, shows};
use super::session::Record;
use stageline::{Ledger, Order};
use std::collections::HashMap;

/// All violations of a case.
pub fn violations(case: &Case, report: &Report) -> Vec<String> {
    let mut found = report.odd.clone();
    for record in &report.records {
        let mut of_record = record.odd.clone();
        conservation(record, &mut of_record);
        once_and_in_order(case, record, &mut of_record);
        own_results(case, record, &mut of_record);
        outcomes(case, record, &mut of_record);
        refusals(record, &mut of_record);
        cancelled_at_once(case, record, &mut of_record);
        books(case, record, &mut of_record);
        let session = (record.stream, record.group, record.session.order);
        found.extend(of_record.iter().map(|text| format!("{text} (stream, group: {session:?})")));
    }
    positions(case, report, &mut found);
    ledger(case, report, &mut found);
    entries(report, &mut found);
    nothing_left(case, report, &mut found);
    found
}

/// By position, the requests that were accepted.
fn by_position(record: &Record) -> HashMap<u64, &Sent> {
    record.sent.iter().map(|sent| (sent.position, sent)).collect()
}

/// Where the receiver was told that nothing more comes, everything that was accepted has been received,
/// and beside it only what shared submitters did not fill, each as cancelled.
fn conservation(record: &Record, found: &mut Vec<String>) {
    let sent = by_position(record);
    let (known, voids): (Vec<_>, Vec<_>) =
        record.got.iter().partition(|got| sent.contains_key(&got.position));
    if voids.len() as u64 > record.voids || voids.iter().any(|got| got.ending != Ending::Cancelled)
    {
        found.push(format!("conservation: {} voids; nobody submitted {voids:?}", record.voids));
    }
    let all = (record.sent.len(), record.voids as usize);
    if record.books.is_some() && (known.len(), voids.len()) != all {
        let (known, voids) = (known.len(), voids.len());
        found.push(format!("conservation: {known} and {voids} voids received of {all:?}"));
    }
}

/// No position is received twice; in the order of submission, and with one worker in either, they are
/// received as they follow each other.
fn once_and_in_order(case: &Case, record: &Record, found: &mut Vec<String>) {
    let ahead = |got: &Got| got.position.wrapping_sub(record.base);
    let received: Vec<u64> = record.got.iter().map(ahead).collect();
    let mut sorted = received.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|two| two[0] == two[1]) {
        found.push(format!("once: a position was received twice: {received:?}"));
    }
    let in_order = record.session.order == Order::Submission || case.setting.workers == 1;
    if in_order && received.iter().copied().ne(0..received.len() as u64) {
        found.push(format!("order: {received:?}"));
    }
}

/// A result is that of the request at its position; its stages were told its group, its position, whether
/// it had a deadline, and which stage they were.
fn own_results(case: &Case, record: &Record, found: &mut Vec<String>) {
    let sent = by_position(record);
    for got in &record.got {
        let Some(sent) = sent.get(&got.position) else { continue };
        let told = (record.group, sent.position, sent.due != Due::Never);
        let is_told = got.trace.told.is_none_or(|heard| heard == told) && !got.trace.confused;
        if got.number != sent.number || !is_told {
            found.push(format!("own result: {got:?} of {sent:?}, told {told:?}"));
        }
        if got.number == sent.number && got.trace.told.is_none() && !got.trace.visited.is_empty() {
            found.push(format!("own result: {got:?} was run and told nothing"));
        }
    }
    if record.got.iter().any(|got| got.position.wrapping_sub(record.base) >= 1 << 32) {
        found.push(format!("own result: a position before {:#x} {:?}", record.base, case.setting));
    }
}

/// A request went the way of its script to its end; or only a part of it, where its group was cancelled,
/// the pipeline aborted or ended in time, or its deadline passed.
fn outcomes(case: &Case, record: &Record, found: &mut Vec<String>) {
    let sent = by_position(record);
    for got in &record.got {
        if let Some(sent) = sent.get(&got.position)
            && !is_possible(case, sent, got)
        {
            let way = Way::of(&sent.job, sent.number, &case.setting);
            found.push(format!("outcome: {got:?} of {sent:?}; its way: {way:?}"));
        }
    }
}

fn is_possible(case: &Case, sent: &Sent, got: &Got) -> bool {
    let way = Way::of(&sent.job, sent.number, &case.setting);
    let visited = &got.trace.visited;
    let is_begun_way = visited.len() < way.tries
        && way.visited.starts_with(visited)
        && got.trace.hooked == case.setting.hooks * visited.len();
    match &got.ending {
        Ending::Cancelled => {
            let has_cause = got.cancel_begun
                || (got.end_begun && (case.finish.how == How::Abort || visited.is_empty()));
            has_cause && is_begun_way
        }
        Ending::Expired => sent.deadline.is_some_and(|deadline| got.at >= deadline) && is_begun_way,
        ending => {
            let is_late = matches!(sent.due, Due::Past | Due::Now);
            let is_end = match (ending, &way.ending) {
                (Ending::Cyclic(text), Ending::Cyclic(_)) => {
                    shows(text, &way.cycle, case.setting.table.len())
                }
                (ending, expected) => ending == expected,
            };
            !is_late && is_end && *visited == way.visited && got.trace.hooked == way.hooked
        }
    }
}

/// What comes after the cancelling of a group or the end of its receiver or pipeline is refused.
fn refusals(record: &Record, found: &mut Vec<String>) {
    let late = record.sent.iter().filter(|sent| sent.too_late);
    found.extend(late.map(|sent| format!("refusal: accepted too late: {sent:?}")));
}

/// When the cancelling of a group is over, each worker begins at most one more of its requests.
fn cancelled_at_once(case: &Case, record: &Record, found: &mut Vec<String>) {
    let sent = by_position(record);
    let is_own = |got: &&Got| sent.get(&got.position).is_some_and(|sent| sent.number == got.number);
    let late = record.got.iter().filter(is_own).filter(|got| got.trace.begun_late).count();
    if late > case.setting.workers {
        found.push(format!("cancel: {late} requests began after it"));
    }
}

/// Requests by outcome.
fn tally<'a>(endings: impl Iterator<Item = &'a Ending>) -> Ledger {
    let mut ledger = Ledger::default();
    endings.for_each(|ending| *count_of(&mut ledger, ending) += 1);
    ledger
}

fn count_of<'l>(ledger: &'l mut Ledger, ending: &Ending) -> &'l mut u64 {
    match ending {
        Ending::Done => &mut ledger.done,
        Ending::Failed(..) => &mut ledger.failed,
        Ending::Dropped => &mut ledger.dropped,
        Ending::Cancelled => &mut ledger.cancelled,
        Ending::Expired => &mut ledger.expired,
        Ending::Panicked(_) => &mut ledger.panicked,
        Ending::Cyclic(_) => &mut ledger.cyclic,
    }
}

/// When everything is received a group's statistics are what was sent and received: of each outcome, and
/// of those whose times are taken.
fn books(case: &Case, record: &Record, found: &mut Vec<String>) {
    let Some(books) = &record.books else { return };
    let mut expected = tally(record.got.iter().map(|got| &got.ending));
    expected.submitted = record.sent.len() as u64 + record.voids;
    expected.received = record.got.len() as u64;
    if books.ledger != expected || books.ledger.in_flight() != 0 {
        found.push(format!("books: {} in place of {expected}", books.ledger));
    }
    let is_sampled = |got: &&Got| {
        got.position.is_multiple_of(case.setting.sample_every)
            && !matches!(got.ending, Ending::Panicked(_))
    };
    let sampled = record.got.iter().filter(is_sampled).count() as u64;
    // Those that ended with the pipeline may have been ended by their receiver.
    let is_exact = !books.end_begun;
    if books.sampled.iter().any(|told| *told > sampled || (is_exact && *told != sampled)) {
        found.push(format!("books: {:?} times in place of {sampled}", books.sampled));
    }
}

/// The positions of a group follow each other over all its openings, each taken once.
fn positions(case: &Case, report: &Report, found: &mut Vec<String>) {
    for (group, tail) in report.tails.iter().enumerate() {
        let records = || report.records.iter().filter(|record| record.group == group);
        let total = tail.wrapping_sub(case.setting.first_position);
        let ahead = |sent: &Sent| sent.position.wrapping_sub(case.setting.first_position);
        let mut taken: Vec<u64> = records().flat_map(|it| it.sent.iter().map(ahead)).collect();
        let accepted = taken.len() as u64;
        taken.sort_unstable();
        taken.dedup();
        let voids: u64 = records().map(|record| record.voids).sum();
        let is_dense = taken.len() as u64 == accepted && taken.last().is_none_or(|it| *it < total);
        if !is_dense || accepted + voids != total {
            found.push(format!("positions: of group {group}, {voids} voids: {taken:?} of {total}"));
        }
    }
}

/// The pipeline's ledger, when all groups are closed: everything that was accepted has ended, of each
/// outcome as many as were received and as can be of what nobody received.
fn ledger(case: &Case, report: &Report, found: &mut Vec<String>) {
    let Some(ledger) = &report.ledger else { return };
    if case.finish.after.is_some() {
        if ledger.ended() > ledger.submitted || ledger.received > ledger.submitted {
            found.push(format!("ledger: at its end: {ledger}"));
        }
        return;
    }
    let (mut least, mut most) = (Ledger::default(), Ledger::default());
    let mut each = |possible: &[Ending]| {
        for ending in possible {
            *count_of(&mut least, ending) += u64::from(possible.len() == 1);
            *count_of(&mut most, ending) += 1;
        }
    };
    let (mut submitted, mut received) = (0, 0);
    for record in &report.records {
        let sent = by_position(record);
        let got: HashMap<_, _> = record.got.iter().map(|got| (got.position, got)).collect();
        record.got.iter().for_each(|got| each(std::slice::from_ref(&got.ending)));
        for sent in record.sent.iter().filter(|sent| !got.contains_key(&sent.position)) {
            each(&possible_endings(&case.setting, record, sent));
        }
        let voids = record.got.iter().filter(|got| !sent.contains_key(&got.position)).count();
        (0..record.voids.saturating_sub(voids as u64)).for_each(|_| each(&[Ending::Cancelled]));
        submitted += record.sent.len() as u64 + record.voids;
        received += record.got.len() as u64;
    }
    let counts = |it: &Ledger| {
        [it.done, it.failed, it.dropped, it.cancelled, it.expired, it.panicked, it.cyclic]
    };
    let bounds = counts(&least).into_iter().zip(counts(&most)).zip(counts(ledger));
    let is_fair = bounds.into_iter().all(|((least, most), told)| (least..=most).contains(&told));
    let is_whole = ledger.submitted == submitted && ledger.ended() == submitted;
    // What nobody received may have been received when its group was opened again.
    let is_received = (received..=submitted).contains(&ledger.received);
    if !(is_fair && is_whole && is_received) {
        found.push(format!("ledger: {ledger}; {received} received, {submitted} submitted, of each at least {least} and at most {most}"));
    }
}

/// How a request that nobody received may have ended.
fn possible_endings(rules: &Setting, record: &Record, sent: &Sent) -> Vec<Ending> {
    let mut possible = Vec::new();
    if !matches!(sent.due, Due::Past | Due::Now) {
        possible.push(Way::of(&sent.job, sent.number, rules).ending);
    }
    if matches!(sent.due, Due::Past | Due::Now | Due::NearMicros(_)) {
        possible.push(Ending::Expired);
    }
    if record.was_cancelled {
        possible.push(Ending::Cancelled);
    }
    possible
}

/// The statistics count the entries of each stage as the stages do.
fn entries(report: &Report, found: &mut Vec<String>) {
    if let Some((told, counted)) = &report.entered
        && told != counted
    {
        found.push(format!("entries: {told:?} in place of {counted:?}"));
    }
}

/// Every payload, error and machine has been dropped once; each worker's last machine was closed, unless
/// a panic may have been the last that it saw.
fn nothing_left(case: &Case, report: &Report, found: &mut Vec<String>) {
    if let Some(left) = &report.left {
        found.push(format!("leak: {left}"));
    }
    let mut sent = report.records.iter().flat_map(|record| &record.sent);
    let panics = |sent: &Sent| {
        matches!(Way::of(&sent.job, sent.number, &case.setting).ending, Ending::Panicked(_))
    };
    let most = case.setting.workers as u64;
    let least = if sent.any(panics) { 0 } else { most };
    if !(least..=most).contains(&report.closes) {
        found.push(format!("machines: {} of {least} to {most} were closed", report.closes));
    }
}
