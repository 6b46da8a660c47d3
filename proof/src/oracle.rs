//! What a group's results are checked against: each number once, and in order where order was asked
//! for.

use stageline::Order;
use std::collections::VecDeque;

/// Further ahead than requests of one group can be: a number behind the first one that is missing
/// comes out as one beyond this, modulo 2^64.
const AHEAD_MAX: u64 = 1 << 32;

/// Expects the numbers from `first` on, modulo 2^64.
#[derive(Debug)]
pub struct Oracle {
    order: Order,
    /// The lowest number that has not come.
    missing: u64,
    /// Which numbers from there on have come.
    came: VecDeque<bool>,
    taken: u64,
}

impl Oracle {
    /// Of a group with this order whose first request has the number `first`.
    pub fn new(order: Order, first: u64) -> Self {
        Self { order, missing: first, came: VecDeque::new(), taken: 0 }
    }

    /// A number has come.
    ///
    /// # Errors
    ///
    /// It came before, or out of order.
    pub fn take(&mut self, number: u64) -> Result<(), String> {
        let ahead = number.wrapping_sub(self.missing);
        if self.order == Order::Submission && ahead != 0 {
            return Err(format!("{number} came and {} was next", self.missing));
        }
        if ahead > AHEAD_MAX || self.came.get(ahead as usize) == Some(&true) {
            return Err(format!("{number} came twice; {} is the next missing one", self.missing));
        }
        let ahead = ahead as usize;
        if self.came.len() <= ahead {
            self.came.resize(ahead + 1, false);
        }
        self.came[ahead] = true;
        while self.came.front() == Some(&true) {
            self.came.pop_front();
            self.missing = self.missing.wrapping_add(1);
        }
        self.taken += 1;
        Ok(())
    }

    /// Everything has come that was sent.
    ///
    /// # Errors
    ///
    /// Something is missing, or more came.
    pub fn finish(&self, sent: u64) -> Result<(), String> {
        if self.taken == sent && self.came.is_empty() {
            return Ok(());
        }
        let (taken, missing) = (self.taken, self.missing);
        Err(format!("{sent} were sent and {taken} came; {missing} is the next missing one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_order_doubled_or_lost_is_found() {
        let mut ordered = Oracle::new(Order::Submission, u64::MAX);
        assert_eq!((ordered.take(u64::MAX), ordered.take(0)), (Ok(()), Ok(())));
        assert!(ordered.take(2).is_err());
        assert!(ordered.take(0).is_err());
        let mut any = Oracle::new(Order::Completion, 7);
        assert_eq!((any.take(9), any.take(7)), (Ok(()), Ok(())));
        assert!(any.take(9).is_err(), "again, ahead");
        assert!(any.take(7).is_err(), "again, behind");
        assert!(any.finish(2).is_err(), "8 is missing");
        assert_eq!((any.take(8), any.finish(3)), (Ok(()), Ok(())));
        assert!(any.finish(4).is_err());
    }
}
