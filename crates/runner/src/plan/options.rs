//! What is wrong with the options of a plan: what the engine would refuse, and what would not mean anything.

use super::{Plan, Problem, RetryPolicy};
use crate::limits::{MESSAGE_MAX_MAX, WINDOW_MAX};
use stageline::limits::{
    CPU_ID_MAX, POOL_THREADS_MAX, POOLS_MAX, RETRY_ATTEMPTS_MAX, RETRY_DELAY_MAX, RETRY_FACTOR_MAX,
    WINDOW_MIN, WORKERS_MAX,
};

/// A name, of a stage or of the pipeline: threads are called by it, and it stands in lines of text.
pub(super) fn check_label(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(String::from("the name is empty: expected a letter at least"));
    }
    match name.chars().find(|char| char.is_control()) {
        Some(_) => Err(format!("the name {name:?} has a control character, which none may have")),
        None => Ok(()),
    }
}

impl RetryPolicy {
    /// What the engine does not take.
    pub(super) fn check(&self) -> Vec<String> {
        let Self { attempts, first, factor, cap, jitter } = self;
        let mut wrong = Vec::new();
        let mut expect = |is_right: bool, text: String| {
            if !is_right {
                wrong.push(text);
            }
        };
        expect(
            (1..=RETRY_ATTEMPTS_MAX).contains(attempts),
            format!("`attempts` = {attempts}: expected a number from 1 to {RETRY_ATTEMPTS_MAX}"),
        );
        for (name, delay) in [("first", first), ("cap", cap)] {
            let max = RETRY_DELAY_MAX.as_secs() / 3600;
            expect(
                *delay <= RETRY_DELAY_MAX,
                format!("`{name}` = {delay:?}: expected {max}h at most"),
            );
        }
        expect(
            (1.0..=RETRY_FACTOR_MAX).contains(factor),
            format!("`factor` = {factor}: expected a number from 1 to {RETRY_FACTOR_MAX}"),
        );
        expect(
            (0.0..=1.0).contains(jitter),
            format!("`jitter` = {jitter}: expected a number from 0 to 1"),
        );
        wrong
    }
}

impl Plan {
    pub(super) fn check_options(&self, found: &mut Vec<Problem>) {
        let options = &self.options;
        let mut expect = |is_right: bool, text: String| {
            if !is_right {
                found.push(Problem::error(self.line, text));
            }
        };
        let label = check_label(&options.name);
        expect(
            label.is_ok(),
            label.err().map_or_else(String::new, |text| format!("`name`: {text}")),
        );
        let window = options.window;
        expect(
            window.is_power_of_two() && (WINDOW_MIN..=WINDOW_MAX).contains(&window),
            format!(
                "`window` = {window}: expected a power of two from {WINDOW_MIN} to {WINDOW_MAX}"
            ),
        );
        let max = options.message_max;
        expect(
            (1..=MESSAGE_MAX_MAX).contains(&max),
            format!(
                "`message_max` = {max}: expected a number of bytes from 1 to {MESSAGE_MAX_MAX}"
            ),
        );
        let capacity = options.message_capacity;
        expect(
            capacity <= max,
            format!("`message_capacity` = {capacity}: expected no more than `message_max`, {max}"),
        );
        let workers = options.workers.unwrap_or(1);
        expect(
            (1..=WORKERS_MAX).contains(&workers),
            format!("`workers` = {workers}: expected a number from 1 to {WORKERS_MAX}"),
        );
        let cores = &options.cores;
        expect(
            cores.is_empty() || options.workers.is_none_or(|workers| workers == cores.len()),
            format!("`cores` names {} CPUs for {workers} workers: expected one each", cores.len()),
        );
        for core in cores.iter().filter(|core| **core > CPU_ID_MAX) {
            expect(false, format!("`cores`: {core} is no CPU: expected 0 to {CPU_ID_MAX}"));
        }
        options.retry.check().into_iter().for_each(|text| expect(false, format!("retry: {text}")));
    }

    /// Whether the engine has threads enough for components that have threads of their own.
    pub(super) fn check_pools(&self, found: &mut Vec<Problem>) {
        let components =
            self.nodes.iter().map(|node| &node.component).chain(self.dead_letter.iter());
        let sizes: Vec<_> = components.filter_map(|it| it.factory.pool_size()).collect();
        let (pools, threads) = (sizes.len(), sizes.iter().sum::<usize>());
        if pools > POOLS_MAX {
            let text = format!(
                "{pools} components have threads of their own, more than {POOLS_MAX}: take some out"
            );
            found.push(Problem::error(self.line, text));
        }
        if threads > POOL_THREADS_MAX {
            let text = format!(
                "components have {threads} threads of their own, more than {POOL_THREADS_MAX}: set their `threads` lower"
            );
            found.push(Problem::error(self.line, text));
        }
    }
}
