//! What components handle: bytes, attributes, and the circumstances of the call.

use crate::abi::HostTable;
use crate::buffer::{Buffer, TooLarge};
use crate::entries;
use crate::report::Report;
use std::fmt;
use std::time::Duration;

/// How many bytes a description has at most.
pub const DESCRIPTION_MAX: usize = 120;

/// How many bytes the attributes of a message have at most: names, values, and 8 bytes for each.
pub const ATTRIBUTES_MAX: usize = 64 * 1024;

/// What a message is for those that the component holds, where it does not depend on the report.
pub(crate) const LEADS: u32 = 1;
pub(crate) const ALONE: u32 = 2;

/// A message on its way through a pipeline. It lives in a slot that is used again, with the memory that it has.
///
/// A component may do with it what it likes while it handles it, and must not touch it after it has answered.
// What each call touches stands first: it travels from one CPU to another with each message.
#[repr(C)]
pub struct Message {
    /// What a plugin may do with the message.
    pub(crate) host: &'static HostTable,
    /// What the message says.
    pub(crate) data: Buffer,
    /// How often this component is called with this message, this time included, since it got it; from 1.
    pub(crate) attempt: u32,
    /// Why a message comes again that the component holds: 1 by age, 2 at the end of the run; 0 for another call.
    pub(crate) flush: u32,
    /// How many messages this instance of the component holds, this one left out unless it comes again.
    pub(crate) held: usize,
    /// The status of the last report on the message.
    pub(crate) status: u32,
    /// Whether the messages that the component holds are settled together with this one: 0 if this one is done, 1
    /// whatever the report is, 2 not at all.
    pub(crate) led: u32,
    /// How long it is to be held at most, in nanoseconds, if the component answers 1. If it answers with a retry, 0 says
    /// that it waits for those that are held: they come again now.
    pub(crate) hold_at_most_ns: u64,
    /// How many bytes of the description there are.
    pub(crate) description_len: u32,
    /// Names and values, packed. For the functions alone.
    pub(crate) attributes: Buffer,
    /// What there is to say about the report, in UTF-8.
    pub(crate) description: [u8; DESCRIPTION_MAX],
}

/// Why a component is called again with a message that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flush {
    /// The message is as old as it may be.
    Age,
    /// The run ends, and nothing comes any more.
    Drain,
}

impl Message {
    /// What the message says.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// What the message says, to be changed.
    #[inline]
    pub fn data_mut(&mut self) -> &mut Buffer {
        &mut self.data
    }

    /// Lets the message say this. Where it is more than a message may have, nothing changes.
    #[inline]
    pub fn set_data(&mut self, data: &[u8]) -> Result<(), TooLarge> {
        self.data.set(data)
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        entries::get(&self.attributes, name)
    }

    /// Sets an attribute, in place of its earlier value. Where there is no room for it nothing changes.
    pub fn set_attribute(&mut self, name: &str, value: &[u8]) -> Result<(), TooLarge> {
        entries::set(&mut self.attributes, name, value)
    }

    /// Removes an attribute, and says whether there was one.
    pub fn remove_attribute(&mut self, name: &str) -> bool {
        entries::remove(&mut self.attributes, name)
    }

    /// All attributes, each name once. One that is set anew with a value of another length comes last.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        entries::all(&self.attributes)
    }

    /// Says something about the report that follows: the first [`DESCRIPTION_MAX`] bytes of it, up to the end of a
    /// character.
    pub fn describe(&mut self, text: &str) {
        self.description_len = 0;
        self.describe_more(text);
    }

    /// As [`Message::describe`], where what is no UTF-8 becomes U+FFFD.
    pub(crate) fn describe_bytes(&mut self, text: &[u8]) {
        self.description_len = 0;
        for chunk in text.utf8_chunks() {
            let broken = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            if !self.describe_more(chunk.valid()) || !self.describe_more(broken) {
                break;
            }
        }
    }

    /// Whether all of it had room.
    fn describe_more(&mut self, text: &str) -> bool {
        let start = self.description_len as usize;
        let mut end = text.len().min(DESCRIPTION_MAX - start);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.description[start..start + end].copy_from_slice(&text.as_bytes()[..end]);
        self.description_len += end as u32;
        end == text.len()
    }

    /// What was said last about a report on this message.
    pub fn description(&self) -> &str {
        let len = (self.description_len as usize).min(DESCRIPTION_MAX);
        let text = &self.description[..len];
        // A plugin may leave there what it likes.
        match str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
        }
    }

    /// How often this component is called with this message, this time included, since it got it: from 1. (A message
    /// that it held and gets again is not a new attempt.)
    #[inline]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Why the component is called again with this message, if it holds it.
    #[inline]
    pub fn flush(&self) -> Option<Flush> {
        match self.flush {
            0 => None,
            1 => Some(Flush::Age),
            _ => Some(Flush::Drain),
        }
    }

    /// How many messages this instance of the component holds. One that comes again is counted.
    #[inline]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The status of the last report on this message, by whatever component; 0 before the first.
    #[inline]
    pub fn status(&self) -> u32 {
        self.status
    }

    /// The answer of a component that keeps the message, no longer than this. At that age, or when the run ends, the
    /// component gets it again with the reason in [`Message::flush`].
    pub fn hold_for(&mut self, at_most: Duration) -> Report {
        self.hold_at_most_ns = u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX);
        Report::CONTINUE
    }

    /// Before an answer that retries: what this component holds comes again now, with [`Flush::Age`], for this message
    /// waits until it has gone.
    pub fn let_go(&mut self) {
        self.hold_at_most_ns = 0;
    }

    /// The messages that this component holds are a batch which is settled together with this one, by whatever
    /// report follows. Without it they follow a message that is done, and no other.
    pub fn lead(&mut self) {
        self.led = LEADS;
    }

    /// The report that follows concerns this message alone, with the batch that it has led since an earlier attempt: what
    /// the component holds is held on, although this one is done. One that comes again with a [`Message::flush`] leads
    /// in any case.
    pub fn go_alone(&mut self) {
        self.led = ALONE;
    }

    /// Empties the message: no data, no attributes, no description. Its memory is kept.
    pub fn clear(&mut self) {
        self.data.clear();
        self.attributes.clear();
        self.description_len = 0;
    }
}

/// A message goes from thread to thread with its slot.
const _: () = {
    const fn sent<T: Send>() {}
    sent::<Message>();
};

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<_> = self.attributes().collect();
        f.debug_struct("Message")
            .field("data", &self.data)
            .field("attributes", &attributes)
            .field("attempt", &self.attempt)
            .field("flush", &self.flush())
            .field("held", &self.held)
            .field("status", &self.status)
            .field("description", &self.description())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(16, 100)
    }

    #[test]
    fn data_is_kept_within_its_limit() {
        let mut message = message();
        message.set_data(b"hello").unwrap();
        message.data_mut().extend_from_slice(b", world").unwrap();
        assert_eq!(message.data(), b"hello, world");
        assert_eq!(message.set_data(&[0; 101]), Err(TooLarge { wanted: 101, max: 100 }));
        assert_eq!(message.data(), b"hello, world");
    }

    #[test]
    fn attributes_are_set_changed_listed_and_removed() {
        let mut message = message();
        assert_eq!(message.attribute("a"), None);
        message.set_attribute("a", b"1").unwrap();
        message.set_attribute("ab", b"").unwrap();
        message.set_attribute("", b"\xff\0").unwrap();
        message.set_attribute("a", b"2").unwrap();
        let listed: Vec<_> = message.attributes().collect();
        assert_eq!(listed, [("a", &b"2"[..]), ("ab", b""), ("", b"\xff\0")]);
        message.set_attribute("a", b"longer").unwrap();
        let listed: Vec<_> = message.attributes().collect();
        assert_eq!(listed, [("ab", &b""[..]), ("", b"\xff\0"), ("a", b"longer")]);
        assert!(message.remove_attribute("") && !message.remove_attribute(""));
        assert_eq!(message.attribute("ab"), Some(&b""[..]));
        assert_eq!(message.attribute("a"), Some(&b"longer"[..]));
        assert!(message.remove_attribute("ab") && message.remove_attribute("a"));
        assert_eq!(message.attributes().count(), 0);
        assert!(message.set_attribute("big", &[0; ATTRIBUTES_MAX]).is_err());
    }

    #[test]
    fn a_description_ends_with_a_whole_character() {
        let mut message = message();
        assert_eq!(message.description(), "");
        message.describe("short");
        assert_eq!(message.description(), "short");
        message.describe(&"x".repeat(500));
        assert_eq!(message.description(), "x".repeat(DESCRIPTION_MAX));
        // Three bytes each, of which the 40th ends at 120; one byte before them makes 39.
        message.describe(&"\u{20ac}".repeat(50));
        assert_eq!(message.description(), "\u{20ac}".repeat(40));
        message.describe(&format!("x{}", "\u{20ac}".repeat(50)));
        assert_eq!(message.description(), format!("x{}", "\u{20ac}".repeat(39)));
        assert_eq!(message.description_len, 118, "what a plugin reads is cut there, too");
        message.description_len = 3;
        assert_eq!(message.description(), "x", "cut by a plugin within a character");
        message.description_len = u32::MAX;
        assert_eq!(message.description().len(), 118);
    }

    #[test]
    fn what_is_no_text_is_replaced_in_a_description() {
        let mut message = message();
        message.describe_bytes(b"a\xffb\xe2\x82");
        assert_eq!(message.description(), "a\u{fffd}b\u{fffd}");
        message.describe_bytes(&[&[b'x'; 118][..], b"\xffy"].concat());
        assert_eq!(
            message.description(),
            "x".repeat(118),
            "the replacement has no room, and nothing follows"
        );
    }

    #[test]
    fn clearing_keeps_the_memory() {
        let mut message = message();
        message.set_data(&[1; 90]).unwrap();
        message.set_attribute("name", b"value").unwrap();
        message.describe("something");
        let places = (message.data.as_ptr(), message.attributes.as_ptr());
        message.clear();
        assert_eq!((message.data().len(), message.attributes().count()), (0, 0));
        assert_eq!(message.description(), "");
        message.set_data(&[1; 90]).unwrap();
        message.set_attribute("name", b"value").unwrap();
        assert_eq!((message.data.as_ptr(), message.attributes.as_ptr()), places);
    }
}
