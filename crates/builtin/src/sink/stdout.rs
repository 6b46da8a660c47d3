//! The standard output.

use super::batch::Failure;
use super::encoded::{BYTES_MAX, Encoding, Output, STREAM};
use crate::factory::Plan;
use crate::status::{STDOUT_CLOSED, STDOUT_UNWRITTEN};
use stageline_component::{Attributes, Component, Error, Kind, Spec};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// How long a reader that is slow is waited for at a time.
const WAIT: Duration = Duration::from_millis(100);

static SPEC: Spec = Spec {
    name: "stdout",
    kind: Kind::Sink,
    summary: "Writes messages to the standard output",
    attributes: &STREAM,
    doc: "\
Writes messages, many at once: as many as `batch`, or as make 64 KiB, or as come within `flush_every`. A message is
done when it was written. If nobody reads any more, messages fail with status 222, and the run may end; after another
error they fail with 223.

```lua
local s = require(\"stageline\")
s.pipeline { s.stdin {}, s.stdout { codec = \"ndjson\", flush_every = \"10ms\" } }
```
",
};

pub(super) struct Stdout {
    encoding: Encoding,
}

impl Plan for Stdout {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self { encoding: Encoding::of(attributes)? })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let output = io::stdout().as_fd().try_clone_to_owned();
        let output = output.map_err(|error| Error::with_source("cannot write stdout", error))?;
        Ok(self.encoding.component(Open { output: output.into(), has_begun: false }, BYTES_MAX))
    }

    /// One: there is one output.
    fn pool_size(&self) -> Option<usize> {
        Some(1)
    }
}

struct Open {
    /// Without the buffer of the standard library's own.
    output: File,
    has_begun: bool,
}

impl Open {
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever started us may have made it so that it does not block.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self) {
        let mut polled =
            libc::pollfd { fd: self.output.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry is there, borrowed alone for the call. (An error shows as one of the next write.)
        unsafe { libc::poll(&raw mut polled, 1, WAIT.as_millis() as libc::c_int) };
    }
}

impl Output for Open {
    fn write(&mut self, bytes: &[u8], beginning: &[u8]) -> Result<(), Failure> {
        let begun = if self.has_begun { Ok(()) } else { self.write_all(beginning) };
        self.has_begun |= !beginning.is_empty();
        begun.and_then(|()| self.write_all(bytes)).map_err(|error| {
            let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
            let report = if is_closed { STDOUT_CLOSED } else { STDOUT_UNWRITTEN };
            Failure { report, text: format!("stdout: {error}") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::HEADER;
    use crate::factory::testing::{message, prepared, refused};
    use crate::sink::testing::{Runner, texts};
    use stageline_component::{Flush, Value};
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::thread;

    fn sink(values: &[(&str, Value)]) -> (Runner, io::PipeReader) {
        let (input, output) = io::pipe().unwrap();
        let values = values.iter().map(|(name, value)| (*name, value));
        let plan = Stdout::new(&Attributes::check(&SPEC, values).unwrap()).unwrap();
        let output = Open { output: OwnedFd::from(output).into(), has_begun: false };
        (Runner::new(plan.encoding.component(output, BYTES_MAX)), input)
    }

    fn rest(mut input: io::PipeReader) -> String {
        let mut text = String::new();
        input.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn messages_are_written_at_once() {
        let (mut runner, mut input) = sink(&[("batch", 3.into())]);
        assert!(runner.give(&["a", "b"]).is_empty());
        assert_eq!(runner.hold_at_most(), Duration::from_millis(50));
        assert_eq!(texts(&runner.give(&["c"])), ["a 0", "b 0", "c 0"]);
        let mut bytes = [0; 6];
        input.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"a\nb\nc\n");
        runner.give(&["d"]);
        assert_eq!(texts(&runner.flush(Flush::Drain)), ["d 0"]);
        drop(runner);
        assert_eq!(rest(input), "d\n");
    }

    #[test]
    fn what_makes_a_full_batch_waits_for_no_more() {
        let (mut runner, input) = sink(&[]);
        let reader = thread::spawn(move || rest(input).len());
        assert!(runner.handle(message(vec![b'x'; BYTES_MAX - 2])).is_empty());
        assert_eq!(runner.handle(message("")).len(), 2);
        drop(runner);
        assert_eq!(reader.join().unwrap(), BYTES_MAX);
    }

    #[test]
    fn a_reader_that_is_slow_is_waited_for() {
        let (input, output) = io::pipe().unwrap();
        // SAFETY: the file is open.
        assert_eq!(unsafe { libc::fcntl(output.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }, 0);
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            rest(input).len()
        });
        let mut open = Open { output: OwnedFd::from(output).into(), has_begun: false };
        open.write(&vec![0; 1 << 20], b"").unwrap();
        drop(open);
        assert_eq!(reader.join().unwrap(), 1 << 20);
    }

    #[test]
    fn a_closed_pipe_has_a_status_of_its_own() {
        // (The harness of tests ignores SIGPIPE, as the runner has to.)
        let (mut runner, input) = sink(&[("batch", 2.into())]);
        drop(input);
        let settled = runner.give(&["a", "b"]);
        assert_eq!(texts(&settled), ["a 222", "b 222"]);
        assert!(settled[1].description().starts_with("stdout: Broken pipe"));
        assert_eq!(STDOUT_CLOSED.status(), 222);
    }

    #[test]
    fn another_error_has_another_status() {
        let input = File::open("/dev/null").unwrap();
        let mut open = Open { output: input, has_begun: false };
        let failure = open.write(b"a", b"").unwrap_err();
        assert_eq!(failure.report, STDOUT_UNWRITTEN);
    }

    #[test]
    fn a_csv_header_is_written_once() {
        let (mut runner, input) = sink(&[("codec", "csv".into()), ("batch", 1.into())]);
        for _ in 0..2 {
            let mut message = message("1,2");
            message.set_attribute(HEADER, b"a,b").unwrap();
            assert_eq!(runner.handle(message).len(), 1);
        }
        drop(runner);
        assert_eq!(rest(input), "a,b\n1,2\n1,2\n");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        assert!(refused::<Stdout>(&[("codec", "xml".into())]).contains("expected one of"));
        assert!(refused::<Stdout>(&[("batch", 0.into())]).contains("from 1 to 1000000"));
        assert!(refused::<Stdout>(&[("flush_every", "2h".into())]).contains("up to 1h"));
        let factory = prepared::<Stdout>(&[("flush_every", 0.into())]).unwrap();
        assert_eq!(factory.pool_size(), Some(1));
        assert!(factory.component().is_ok() && factory.source().is_err());
    }
}
