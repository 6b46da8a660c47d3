//! The pipeline itself: opening groups, handles that outlive it, its report, its memory, its names.

mod common;

use common::{Act, Gate, LONG, Lab, ORDERS, assert_balanced, eventually, finish, job, lab};
use common::{lab_with, pass, watchdog};
use stageline::{
    Order, Pipeline, RecvError, RecvTimeoutError, SubmitError, SubmitTimeoutError, TryRecvError,
    TrySubmitError, WaitStrategy, limits,
};
use std::collections::BTreeSet;
use std::thread;

#[test]
fn so_many_groups_are_open_at_once() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(3).build().unwrap();
    let open: Vec<_> = (0..3).map(|_| pipeline.open(Order::Submission).unwrap()).collect();
    let indices: BTreeSet<_> = open.iter().map(|group| group.index()).collect();
    assert_eq!(indices, BTreeSet::from([0, 1, 2]));
    let refused = pipeline.open(Order::Completion).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "none of the pipeline's 3 groups is free: close one, or build it with more"
    );
    assert_eq!(pipeline.stats().groups_open, 3);
    let mut open = open.into_iter();
    let closed = open.next().unwrap();
    let freed = closed.index();
    drop(closed);
    assert_eq!(pipeline.stats().groups_open, 2);
    let again = pipeline.open(Order::Completion).unwrap();
    assert_eq!(again.index(), freed);
    drop((open, again));
    assert_eq!(pipeline.stats().groups_open, 0);
    finish(pipeline);
}

#[test]
fn one_end_alone_keeps_a_group_open() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(1).build().unwrap();
    let (submitter, receiver) = pipeline.open(Order::Submission).unwrap().split();
    drop(submitter);
    assert!(pipeline.open(Order::Submission).is_err());
    assert!(pipeline.group_stats(0).is_some());
    drop(receiver);
    let (submitter, receiver) = pipeline.open(Order::Submission).unwrap().split();
    let shared = submitter.share();
    let clone = shared.clone();
    drop((receiver, shared));
    assert!(pipeline.open(Order::Submission).is_err());
    drop(clone);
    assert!(pipeline.group_stats(0).is_none());
    assert!(pipeline.open(Order::Submission).is_ok());
}

/// A group dropped with requests in a stage cannot be opened before they have ended.
#[test]
fn a_group_in_use_is_not_opened() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).groups(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        drop(group);
        let refused = pipeline.open(order).unwrap_err();
        assert_eq!(refused, stageline::OpenError::NoneFree { groups: 1 });
        gate.open();
        eventually("it is free again", || pipeline.open(order).is_ok());
        let mut group = pipeline.open(order).unwrap();
        assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty), "nothing of before");
        assert_eq!(group.submit(pass(7)), Ok(1));
        assert_eq!(group.recv().unwrap().value, 8);
        drop(group);
        assert_eq!(finish(pipeline).done, 2);
    }
}

#[test]
fn handles_outlive_the_pipeline() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().groups(3).build().unwrap();
        let mut whole = pipeline.open(order).unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let (other, mut other_receiver) = pipeline.open(order).unwrap().split();
        let mut shared = other.share();
        submitter.submit(pass(1)).unwrap();
        drop(pipeline);
        assert_eq!(whole.try_submit(pass(0)), Err(TrySubmitError::Closed(pass(0))));
        assert_eq!(whole.submit(pass(0)), Err(SubmitError::Closed(pass(0))));
        assert_eq!(whole.try_recv().err(), Some(TryRecvError::Closed));
        assert_eq!(whole.recv().err(), Some(RecvError::NothingInFlight));
        assert_eq!(whole.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        let refused = submitter.submit_timeout(pass(0), LONG);
        assert_eq!(refused, Err(SubmitTimeoutError::Closed(pass(0))));
        assert!(matches!(submitter.submit_with(|_| {}), Err(SubmitError::Closed(_))));
        assert_eq!(submitter.submit_batch(&mut [pass(0)].into_iter()), 0);
        assert_eq!(shared.submit(pass(0)), Err(SubmitError::Closed(pass(0))));
        assert!(matches!(shared.try_submit_with(|_| {}), Err(TrySubmitError::Closed(_))));
        assert_eq!(other_receiver.recv().err(), Some(RecvError::Closed));
        // What was in flight was run, and is still there.
        assert_eq!(receiver.in_flight(), 1);
        let output = receiver.recv().unwrap();
        assert_eq!((output.is_done(), output.value), (true, 2));
        drop(output);
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
        assert_eq!(receiver.stats().ledger.done, 1);
        receiver.cancel();
        whole.cancel();
    }
}

#[test]
fn a_thread_that_waits_is_told_when_the_pipeline_ends() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (_submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let waiter = thread::spawn(move || receiver.recv().err());
        thread::sleep(std::time::Duration::from_millis(10));
        drop(pipeline);
        assert_eq!(waiter.join().unwrap(), Some(RecvError::Closed));
    }
}

#[test]
fn the_report_says_what_was_set_up() {
    let builder = lab().name("reported").workers(1).reserve(1).wait(WaitStrategy::SpinThenYield);
    let memory = builder.memory();
    let pipeline = builder.build().unwrap();
    let report = pipeline.report();
    assert_eq!(report.name, "reported");
    assert_eq!(report.workers.len(), 1);
    assert_eq!(report.memory_bytes, memory);
    assert_eq!(report.wait_asked, WaitStrategy::SpinThenYield);
    assert!(report.usable_cpus >= 1 && !report.allowed_cpus.is_empty());
    assert_eq!(report.crowded, report.usable_cpus < 2, "one worker and one CPU kept free");
    if !report.crowded {
        let worker = report.workers[0];
        assert_eq!(report.wait, WaitStrategy::SpinThenYield);
        assert!(worker.pinned, "{report}");
        assert!(report.allowed_cpus.contains(&worker.cpu.unwrap()));
        let own = report.allowed_cpus[0];
        assert_ne!(worker.cpu, Some(own), "the first one is kept free");
    }
    let text = report.to_string();
    assert!(text.starts_with("pipeline `reported`\n  cpus "), "{text}");
    assert!(text.contains(&format!("  memory   {memory} bytes\n")), "{text}");
    assert!(text.contains("\n  workers  1 ("), "{text}");
}

#[test]
fn workers_are_pinned_to_the_cpus_that_are_named_or_the_report_says_not() {
    let allowed = lab().build().unwrap().report().allowed_cpus.clone();
    let cpu = *allowed.last().unwrap();
    let pipeline = lab().cpus([cpu]).build().unwrap();
    let worker = pipeline.report().workers[0];
    assert_eq!((worker.cpu, worker.pinned), (Some(cpu), true));
    assert!(pipeline.report().to_string().contains(&format!("0: pinned to CPU {cpu}")));
    drop(pipeline);
    let unpinned = lab().pin(false).build().unwrap();
    let worker = unpinned.report().workers[0];
    assert_eq!((worker.cpu, worker.pinned), (None, false));
    assert!(unpinned.report().to_string().contains("0: not pinned"));
    drop(unpinned);

    // One that this machine has not: the system refuses it, and the pipeline runs all the same.
    let pipeline = lab().cpus([1023]).build().unwrap();
    if !allowed.contains(&1023) {
        let text = pipeline.report().to_string();
        assert!(text.contains("0: NOT pinned, CPU 1023 refused"), "{text}");
    }
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(pass(1)).unwrap();
    assert_eq!(group.recv().unwrap().value, 2);
}

#[test]
fn threads_carry_the_pipelines_name() {
    let _dog = watchdog(60);
    let build =
        || Pipeline::builder(|| Named).name("carrier").workers(2).groups(1).build().unwrap();
    use stageline::{Request, Step, state_machine};
    struct Named;
    #[state_machine(data = String)]
    impl Named {
        #[stage]
        fn name(&mut self, request: &mut Request<'_, Self>) -> Step {
            **request = thread::current().name().unwrap_or_default().to_owned();
            request.done()
        }
    }
    let pipeline = build();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(String::new()).unwrap();
    let name = group.recv().unwrap().take();
    assert!(["carrier-0", "carrier-1"].contains(&name.as_str()), "{name}");
}

#[test]
fn memory_is_known_before_the_build_whatever_the_values() {
    let one = lab().groups(1).memory();
    let two = lab().groups(2).memory();
    assert!(one < two && two < 2 * one);
    assert!(lab().window(16).memory() > lab().window(8).memory());
    assert!(lab().workers(4).memory() > lab().workers(1).memory());
    // Values that cannot be built must not make it panic.
    for groups in [0, usize::MAX] {
        for window in [0, usize::MAX] {
            for workers in [0, 1, usize::MAX] {
                let builder = lab().groups(groups).window(window).workers(workers);
                assert!(builder.memory() > 0, "{builder:?}");
            }
        }
    }
    assert_eq!(lab().groups(usize::MAX).memory(), usize::MAX);
}

#[test]
fn the_defaults_are_the_named_limits() {
    let pipeline = Pipeline::builder(|| Defaulted).build().unwrap();
    let groups: Vec<_> =
        (0..limits::GROUPS_DEFAULT).map(|_| pipeline.open(Order::default()).unwrap()).collect();
    assert!(pipeline.open(Order::Submission).is_err());
    assert_eq!(groups[0].order(), Order::Completion);
    assert_eq!(pipeline.report().wait_asked, WaitStrategy::SpinThenPark);
    assert_eq!(pipeline.report().name, "stageline");
    drop(groups);
    let gate = Gate::closed();
    let full = lab_with(&gate).window(limits::WINDOW_DEFAULT).build().unwrap();
    let mut group = full.open(Order::Submission).unwrap();
    let mut waiting = std::iter::repeat(job(Act::Wait, 0));
    assert_eq!(group.submit_batch(&mut waiting), limits::WINDOW_DEFAULT);
    gate.open();
    drop(group);
    assert_eq!(finish(full).done as usize, limits::WINDOW_DEFAULT);
}

struct Defaulted;

#[stageline::state_machine(data = u64)]
impl Defaulted {
    #[stage]
    fn only(&mut self, request: &mut stageline::Request<'_, Self>) -> stageline::Step {
        request.done()
    }
}

#[test]
fn what_can_be_printed_is() {
    let pipeline: Pipeline<Lab> = lab().name("shown").build().unwrap();
    assert!(format!("{pipeline:?}").contains("shown"));
    assert!(format!("{:?}", lab()).contains("window: 8"));
    let group = pipeline.open(Order::Submission).unwrap();
    assert!(format!("{group:?}").starts_with("RequestGroup {"));
    let (submitter, receiver) = group.split();
    assert_eq!(format!("{receiver:?}"), "Receiver { group: 0, order: Submission }");
    let shared = submitter.share();
    assert!(format!("{shared:?}").starts_with("SharedSubmitter { group: 0"));
    drop((shared, receiver));
    let ledger = finish(pipeline);
    assert_balanced(&ledger);
    assert_eq!(
        ledger.to_string(),
        "submitted 0 = done 0 + failed 0 + dropped 0 + cancelled 0 + expired 0 + panicked 0 + \
         cyclic 0 + in flight 0; received 0"
    );
}
