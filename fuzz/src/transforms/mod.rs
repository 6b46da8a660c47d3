//! Any bytes through transforms, each with some fixed attributes. What they answer must be of the table of statuses,
//! and what comes out is what a plain evaluation says, as far as there is one.

mod folded;
mod keyed;
mod objects;
mod packed;
mod records;
mod reshaped;
mod rules;
mod written;

use crate::allow_asked_panics;
use crate::parts::MESSAGE_MAX;

/// Stands between two messages: a component sees several, since it may keep something of those before.
const BETWEEN: u8 = 0x1e;
/// Messages of one input.
const MESSAGES_MAX: usize = 64;

/// The first byte says which transform, the second its attributes, the third how large messages may be.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let Some((&[which, variant, max], rest)) = data.split_first_chunk() else { return };
    let variant = usize::from(variant);
    let max = if max == b'M' { MESSAGE_MAX } else { 2 * usize::from(max) };
    match which {
        b'F' => rules::check(variant, max, rest),
        b'J' => reshaped::check(variant, max, rest),
        b'E' => written::expressions(variant, max, rest),
        b'T' => written::templates(variant, max, rest),
        b'C' => records::rows(variant, max, rest),
        b'R' => records::patterns(variant, max, rest),
        b'B' => folded::check(variant, max, rest),
        b'U' => packed::unpacks(variant, max, rest),
        b'G' => packed::packs(variant, max, rest),
        b'L' => keyed::lookups(variant, max, rest),
        b'A' => keyed::attributes(max, rest),
        b'D' => keyed::dedupes(rest),
        b'S' => keyed::samples(variant, rest),
        _ => {}
    }
}

fn messages(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    rest.split(|byte| *byte == BETWEEN).take(MESSAGES_MAX)
}
