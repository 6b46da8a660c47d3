//! A connection by TCP.

use super::batch::Failure;
use super::encoded::{BYTES_MAX, Encoding, Output, STREAM};
use crate::codec::joined;
use crate::factory::{Plan, THREADS, defaulted, required, threads};
use crate::status::DISCONNECTED;
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Kind, Spec,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long may be waited for the other end.
const TIMEOUT_LEAST: Duration = Duration::from_millis(1);
const TIMEOUT_MOST: Duration = Duration::from_secs(3_600);

/// How many bytes that the other end sends are read away before each batch, at most.
const REPLY: usize = 4096;
const REPLIES_MAX: usize = 64;
/// How long the other end is silent at the end before it is left.
const SILENCE: Duration = Duration::from_secs(1);

const OWN: [AttributeSpec; 3] = [
    required("address", AttributeKind::Text, "Where to connect to: `127.0.0.1:9000`, `host:9000`."),
    defaulted(
        "timeout",
        AttributeKind::Duration,
        "5s",
        "How long connecting and writing may take, from 1ms to 1h.",
    ),
    THREADS,
];

static SPEC: Spec = Spec {
    name: "tcp_sink",
    kind: Kind::Sink,
    summary: "Writes messages to a connection by TCP",
    attributes: &joined::<8>(&[&OWN, &STREAM]),
    doc: "\
Connects when the first messages are to be written, and again whenever the connection has ended: messages are then
retried (status 121), the whole batch from its beginning. Batches are as those of `stdout`. A message is done when
the system has it; what was on its way when a connection broke may be lost, or come twice. What the other end sends
is read, and thrown away. Each of `threads` has a connection of its own. With `codec = \"csv\"` each connection begins
with the header, and all connections of a thread with the same.

```lua
local s = require(\"stageline\")
s.pipeline { s.stdin {}, s.tcp_sink { address = \"localhost:9000\", codec = \"length_prefixed\" } }
```
",
};

pub(super) struct TcpSink {
    address: String,
    timeout: Duration,
    threads: usize,
    encoding: Encoding,
}

impl Plan for TcpSink {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let timeout = attributes.duration("timeout").unwrap_or(TIMEOUT_MOST);
        if !(TIMEOUT_LEAST..=TIMEOUT_MOST).contains(&timeout) {
            let value = timeout.as_secs_f64().into();
            return Err(AttributeError::invalid("timeout", &value, "1ms to 1h").into());
        }
        Ok(Self {
            address: attributes.text("address").unwrap_or_default().to_owned(),
            timeout,
            threads: threads(attributes)?,
            encoding: Encoding::of(attributes)?,
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let output =
            Connection { address: self.address.clone(), timeout: self.timeout, open: None };
        Ok(self.encoding.component(output, BYTES_MAX))
    }

    fn pool_size(&self) -> Option<usize> {
        Some(self.threads)
    }
}

struct Connection {
    address: String,
    timeout: Duration,
    open: Option<Open>,
}

struct Open {
    stream: TcpStream,
    has_begun: bool,
}

impl Open {
    /// Whether the other end is there, as far as is known here. (What is written to one that has gone is lost
    /// without an error, the first time.)
    fn is_connected(&mut self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let mut reply = [0; REPLY];
        let mut is_connected = true;
        for _ in 0..REPLIES_MAX {
            match self.stream.read(&mut reply) {
                Ok(0) => is_connected = false,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => is_connected = error.kind() == io::ErrorKind::WouldBlock,
            }
            break;
        }
        self.stream.set_nonblocking(false)?;
        Ok(is_connected)
    }

    /// Reads what the other end still sends, until it ends or falls silent, and no longer than this.
    fn read_to_end(&mut self, at_most: Duration) -> io::Result<()> {
        let start = Instant::now();
        let mut reply = [0; REPLY];
        self.stream.set_read_timeout(Some(SILENCE.min(at_most)))?;
        while start.elapsed() < at_most {
            match self.stream.read(&mut reply) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => break,
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

impl Connection {
    fn connect(&self) -> io::Result<Open> {
        let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(self.timeout))?;
                    // A batch is written as a whole.
                    stream.set_nodelay(true)?;
                    return Ok(Open { stream, has_begun: false });
                }
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }

    fn try_write(&mut self, bytes: &[u8], beginning: &[u8]) -> io::Result<()> {
        let connected = match self.open.take() {
            Some(mut open) => open.is_connected()?.then_some(open),
            None => None,
        };
        let mut open = match connected {
            Some(open) => open,
            None => self.connect()?,
        };
        if !open.has_begun {
            open.stream.write_all(beginning)?;
            open.has_begun = !beginning.is_empty();
        }
        open.stream.write_all(bytes)?;
        // After an error it is closed: who reads must not take what follows for the rest of a message.
        self.open = Some(open);
        Ok(())
    }
}

impl Output for Connection {
    fn write(&mut self, bytes: &[u8], beginning: &[u8]) -> Result<(), Failure> {
        self.try_write(bytes, beginning).map_err(|error| Failure {
            report: DISCONNECTED,
            text: format!("{}: {error}", self.address),
        })
    }

    fn close(&mut self) -> Result<(), Error> {
        // Who closes with something unread resets the connection, and what is on its way is lost.
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let read =
            open.stream.shutdown(Shutdown::Write).and_then(|()| open.read_to_end(self.timeout));
        read.map_err(|error| {
            Error::with_source(format!("{}: not all may have arrived", self.address), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{prepared, refused};
    use crate::sink::testing::{Runner, texts};
    use stageline_component::Value;
    use std::net::TcpListener;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);

    fn sink(listener: &TcpListener, values: &[(&str, Value)]) -> Runner {
        let address = listener.local_addr().unwrap().to_string();
        let mut all = vec![("address", address.as_str().into()), ("batch", 2.into())];
        all.extend_from_slice(values);
        Runner::new(prepared::<TcpSink>(&all).unwrap().component().unwrap())
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// The next connection, of which reading has an end in any case.
    fn accepted(listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(true).unwrap();
        let started = Instant::now();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(LONG)).unwrap();
                    return stream;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    assert!(started.elapsed() < LONG, "nobody connects");
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    fn read(stream: &mut TcpStream, len: usize) -> String {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).unwrap();
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn it_connects_when_there_is_something_to_write() {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let mut runner = sink(&listener, &[]);
        runner.give(&["a"]);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(texts(&runner.give(&["b"])), ["a 0", "b 0"]);
        let mut stream = accepted(&listener);
        assert_eq!(read(&mut stream, 4), r"a\nb\n");
        // Answers are read away, and are no end.
        stream.write_all(&[7; 10_000]).unwrap();
        assert_eq!(runner.give(&["c", "d"]).len(), 2);
        assert_eq!(read(&mut stream, 4), r"c\nd\n");
        runner.close().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_connection_that_has_ended_is_made_anew() {
        let listener = listener();
        let mut runner = sink(&listener, &[("codec", "csv".into())]);
        for _ in 0..2 {
            let mut message = crate::factory::testing::message("1");
            message.set_attribute("csv.header", b"a").unwrap();
            assert!(runner.handle(message).is_empty());
            assert_eq!(runner.give(&["2"]).len(), 2);
            // Each connection begins with the header. It is closed when it is dropped.
            let mut stream = accepted(&listener);
            assert_eq!(read(&mut stream, 6), r"a\n1\n2\n");
        }
    }

    #[test]
    fn without_the_other_end_messages_are_retried() {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let mut runner = sink(&listener, &[]);
        drop(listener);
        assert!(runner.give(&["a", "b"]).is_empty());
        assert!(runner.retry().is_empty());
        let listener = TcpListener::bind(address).unwrap();
        assert_eq!(texts(&runner.retry()), ["a 0", "b 0"]);
        assert_eq!(read(&mut accepted(&listener), 4), r"a\nb\n");
    }

    #[test]
    fn what_is_not_taken_in_time_is_retried_on_another_connection() {
        let listener = listener();
        let values = [("timeout", "50ms".into()), ("codec", "none".into()), ("batch", 1.into())];
        let mut runner = sink(&listener, &values);
        // More than the buffers of both ends have room for.
        let large = vec![b'x'; 1 << 20];
        let mut count = 0;
        while !runner.handle(crate::factory::testing::message(&large)).is_empty() {
            count += 1;
            assert!(count < 100, "what nobody reads is taken");
        }
        drop(accepted(&listener));
        // One that was given up while it was read has less.
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            while accepted(&listener).read_exact(&mut bytes).is_err() {}
            bytes
        });
        let mut settled = Vec::new();
        // (A reader that comes late is one more attempt.)
        for _ in 0..100 {
            settled = runner.retry();
            if !settled.is_empty() {
                break;
            }
        }
        assert_eq!(settled.len(), 1);
        assert!(reader.join().unwrap() == large);
    }

    #[test]
    fn writing_takes_no_longer_than_it_may() {
        let listener = listener();
        let (address, timeout) =
            (listener.local_addr().unwrap().to_string(), Duration::from_secs(7));
        let open = Connection { address, timeout, open: None }.connect().unwrap();
        assert_eq!(open.stream.write_timeout().unwrap(), Some(timeout));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        assert_eq!(refused::<TcpSink>(&[]), "`tcp_sink` needs the attribute `address`");
        let with = |name: &str, value: Value| {
            refused::<TcpSink>(&[("address", "a:1".into()), (name, value)])
        };
        assert_eq!(with("timeout", 0.into()), "`timeout` = 0: expected 1ms to 1h");
        assert_eq!(with("timeout", "2h".into()), "`timeout` = 7200: expected 1ms to 1h");
        assert!(with("threads", 0.into()).contains("from 1 to 256"));
        let values = [("address", "a:1".into()), ("threads", 3.into())];
        assert_eq!(prepared::<TcpSink>(&values).unwrap().pool_size(), Some(3));
    }
}
