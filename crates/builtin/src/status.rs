//! The statuses of what components cannot do. Each has one meaning, so that a count by status says what is wrong.

use stageline_component::Report;

/// A status that components answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The answer.
    pub report: Report,
    /// What it says of a message.
    pub meaning: &'static str,
    /// Who answers so.
    pub components: &'static [&'static str],
}

macro_rules! statuses {
    ($($name:ident = $kind:ident($status:literal), $meaning:literal, $components:expr;)*) => {
        $(
            #[doc = $meaning]
            pub(crate) const $name: Report = Report::$kind($status);
        )*

        /// All of them, by number. (Those from 290 on are the runner's.)
        pub const STATUSES: &[Status] =
            &[$(Status { report: $name, meaning: $meaning, components: &$components }),*];
    };
}

statuses! {
    NO_ROOM = retry(110), "the batch that is held has no room for it: it comes again when that has gone", ["batch"];
    DISCONNECTED = retry(121), "nobody is at the other end of the connection", ["tcp_sink"];
    DISK_FULL = retry(122), "the disk is full", ["file_sink"];
    UNSENT = retry(123), "the datagram cannot be sent now", ["udp_sink"];
    DATABASE_BUSY = retry(124), "another connection holds the database, or its disk is full", ["sqlite"];
    TOO_LARGE = fail(201), "what becomes of it has more bytes than there may be",
        ["attributes", "batch", "csv_to_json", "gunzip", "gzip", "json", "lookup", "regex", "template"];
    NOT_JSON = fail(210), "it is not the JSON that is needed",
        ["attributes", "batch", "dedupe", "json", "lookup", "sample", "sqlite", "template"];
    NO_VALUE = fail(211), "an expression has no value",
        ["attributes", "dedupe", "json", "lookup", "sample", "sqlite"];
    NOT_RENDERED = fail(212), "the template cannot be written for it", ["template"];
    MISMATCH = fail(213), "it does not match the pattern", ["regex"];
    NOT_TEXT = fail(214), "what a group of the pattern took is no UTF-8", ["regex"];
    NO_HEADER = fail(215), "the names of its fields are not known", ["csv_to_json"];
    NO_RECORD = fail(216), "it is no record with as many fields as the header", ["csv_to_json"];
    NOT_OF_TYPE = fail(217), "a field is not of its type", ["csv_to_json"];
    NOT_FOUND = fail(218), "the table has no row with its key", ["lookup"];
    NOT_GZIP = fail(219), "it is no whole gzip file", ["gunzip"];
    LENGTH_EXCEEDED = fail(220), "it is longer than the number before it can say", ["stdout", "file_sink", "tcp_sink"];
    GIVEN_UP = fail(221), "its batch was to be written again, and was given up for newer ones",
        ["stdout", "file_sink", "tcp_sink", "sqlite"];
    STDOUT_CLOSED = fail(222), "whoever read the standard output has gone", ["stdout"];
    STDOUT_UNWRITTEN = fail(223), "the standard output cannot be written", ["stdout"];
    FILE_UNWRITTEN = fail(224), "the file cannot be written", ["file_sink"];
    DATAGRAM_EXCEEDED = fail(225), "it has more bytes than a datagram", ["udp_sink"];
    ROWS_REFUSED = fail(226), "the database does not take the rows of its batch", ["sqlite"];
    NOT_COMPRESSED = fail(229), "the compressor gave up", ["gzip"];
    OTHER_HEADER = fail(230), "its header of comma-separated values is another than the one that was written",
        ["stdout", "file_sink", "tcp_sink"];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins;
    use std::collections::BTreeSet;

    #[test]
    fn each_status_has_one_meaning_and_each_meaning_one_status() {
        let numbers: Vec<_> = STATUSES.iter().map(|status| status.report.status()).collect();
        assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
        let meanings: BTreeSet<_> = STATUSES.iter().map(|status| status.meaning).collect();
        assert_eq!(meanings.len(), STATUSES.len());
    }

    /// Whether a text has this number, and not as a part of another one.
    fn says(text: &str, number: u32) -> bool {
        text.split(|letter: char| !letter.is_ascii_digit()).any(|part| part == number.to_string())
    }

    #[test]
    fn components_say_which_statuses_they_answer_with() {
        for Status { report, components, .. } in STATUSES {
            for name in *components {
                let spec =
                    crate::builtin(name).unwrap_or_else(|| panic!("there is no {name}")).spec;
                let docs = spec.attributes.iter().map(|attribute| attribute.doc).chain([spec.doc]);
                let is_said = docs.into_iter().any(|doc| says(doc, report.status()));
                assert!(is_said, "{name} does not say that it answers {report}");
            }
        }
    }

    #[test]
    fn components_that_read_json_say_how_deep_it_may_be() {
        let readers = STATUSES.iter().find(|status| status.report == NOT_JSON).unwrap().components;
        for name in readers {
            let doc = crate::builtin(name).unwrap().spec.doc;
            assert!(says(doc, crate::json::DEPTH_MAX as u32), "{name}");
        }
    }

    /// And those that they say are listed.
    #[test]
    fn statuses_that_components_say_are_theirs() {
        for spec in builtins().map(|builtin| builtin.spec) {
            let docs = spec.attributes.iter().map(|attribute| attribute.doc).chain([spec.doc]);
            let docs: Vec<_> = docs.collect();
            for Status { report, components, .. } in STATUSES {
                let is_said = docs.iter().any(|doc| says(doc, report.status()));
                assert!(!is_said || components.contains(&spec.name), "{} says {report}", spec.name);
            }
        }
    }
}
