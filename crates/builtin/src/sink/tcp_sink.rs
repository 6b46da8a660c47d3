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
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
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
        "How long it may take to connect, to whichever address of a name, and how long to write a batch, from 1ms to 1h. \
         Looking a name up is not counted.",
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

/// Writes until a time comes. (The timeout of a socket is one of each write, however little that takes.)
struct Timed<'a> {
    stream: &'a TcpStream,
    timeout: Duration,
    until: Instant,
}

impl<'a> Timed<'a> {
    fn new(stream: &'a TcpStream, timeout: Duration) -> Self {
        Self { stream, timeout, until: Instant::now() + timeout }
    }

    fn late(&self) -> io::Error {
        let text =
            format!("the other end has not taken all of the batch within {:?}", self.timeout);
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.late());
        }
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => self.late(),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to the first of them that answers. Those that come next share the time that is left, so that one which
/// is silent does not take it all.
fn connect(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + timeout;
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (address, count) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = until.saturating_duration_since(Instant::now()) / count;
        match TcpStream::connect_timeout(address, share.max(TIMEOUT_LEAST)) {
            Ok(stream) => return Ok(stream),
            Err(refused) => error = refused,
        }
    }
    Err(error)
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
        let addresses: Vec<_> = self.address.to_socket_addrs()?.collect();
        let stream = connect(&addresses, self.timeout)?;
        // A batch is written as a whole.
        stream.set_nodelay(true)?;
        Ok(Open { stream, has_begun: false })
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
        let mut timed = Timed::new(&open.stream, self.timeout);
        if !open.has_begun {
            timed.write_all(beginning)?;
            open.has_begun = !beginning.is_empty();
        }
        timed.write_all(bytes)?;
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
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::{self, RecvTimeoutError};
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
    fn a_batch_takes_no_longer_than_it_may_although_it_is_read_slowly() {
        let listener = listener();
        let address = listener.local_addr().unwrap().to_string();
        let (end, ended) = mpsc::channel::<()>();
        let reader = thread::spawn(move || {
            let mut stream = accepted(&listener);
            let mut bytes = vec![0; 64 << 10];
            // All of it would take it 20 s.
            while ended.recv_timeout(Duration::from_millis(40)) == Err(RecvTimeoutError::Timeout) {
                let _ = stream.read(&mut bytes);
            }
        });
        let timeout = Duration::from_millis(500);
        let mut connection = Connection { address: address.clone(), timeout, open: None };
        let started = Instant::now();
        let failure = connection.write(&vec![b'x'; 32 << 20], b"").unwrap_err();
        assert!(started.elapsed() >= timeout, "{:?}", started.elapsed());
        assert_eq!(failure.report, DISCONNECTED);
        let text = format!("{address}: the other end has not taken all of the batch within 500ms");
        assert_eq!(failure.text, text);
        drop(end);
        reader.join().unwrap();
    }

    /// One that has no room for another connection, and those that it had room for.
    fn silent() -> (TcpListener, Vec<TcpStream>) {
        let (listener, mut taken) = (listener(), Vec::new());
        // SAFETY: the socket is open.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            taken.push(stream);
            assert!(taken.len() < 100, "it has room for all");
        }
        (listener, taken)
    }

    #[test]
    fn an_address_that_is_silent_leaves_time_for_the_next() {
        let ((silent, _taken), other) = (silent(), listener());
        let address = silent.local_addr().unwrap();
        let started = Instant::now();
        assert!(connect(&[address, other.local_addr().unwrap()], LONG / 20).is_ok());
        assert!((LONG / 40..LONG).contains(&started.elapsed()), "{:?}", started.elapsed());
        let started = Instant::now();
        let error = connect(&[address; 20], LONG / 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < LONG / 2, "they have it together: {:?}", started.elapsed());
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
