//! Connections by TCP.

use super::feed::ANNOTATE;
use super::streams::{CONNECTIONS_MAX, Listener, Streams, connections_max};
use crate::codec::{DECODE, Decoding, joined};
use crate::factory::{Plan, required};
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Error, Kind, Source, Spec};
use std::net::TcpListener;

/// The attribute of a message that names who sent it.
const PEER: &str = "tcp.peer";

const ADDRESS: AttributeSpec = required(
    "address",
    AttributeKind::Text,
    "Where to listen: `127.0.0.1:9000`, `[::]:9000`, `localhost:9000`.",
);

static SPEC: Spec = Spec {
    name: "tcp_source",
    kind: Kind::Source,
    summary: "Reads messages from connections by TCP",
    attributes: &joined::<9>(&[&[ADDRESS, CONNECTIONS_MAX], &DECODE, &[ANNOTATE]]),
    doc: "\
Listens, and reads the messages of all connections. One that ends takes its last message with it: a line needs no
end. One that breaks is said on stderr, and the others go on. It ends when the run is to stop.

With `annotate` each message has the attribute `tcp.peer`, the address of who sent it.

```lua
local s = require(\"stageline\")
s.pipeline { s.tcp_source { address = \"127.0.0.1:9000\", codec = \"ndjson\" }, s.stdout {} }
```
",
};

pub(super) struct TcpSource {
    address: String,
    connections_max: usize,
    decoding: Decoding,
    annotation: Option<&'static str>,
}

impl Plan for TcpSource {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self {
            address: attributes.text("address").unwrap_or_default().to_owned(),
            connections_max: connections_max(attributes)?,
            decoding: Decoding::of(attributes)?,
            annotation: (attributes.boolean("annotate") == Some(true)).then_some(PEER),
        })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(self.listen()?))
    }
}

impl TcpSource {
    fn listen(&self) -> Result<Streams, Error> {
        let listener = TcpListener::bind(&self.address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let listener = listener.map_err(|error| {
            Error::with_source(format!("tcp_source: cannot listen at {:?}", self.address), error)
        })?;
        Ok(Streams {
            name: SPEC.name,
            listener: Listener::Tcp(listener),
            _file: None,
            address: self.address.clone(),
            connections_max: self.connections_max,
            decoding: self.decoding,
            annotation: self.annotation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::refused;
    use crate::source::testing::{Collected, checked};
    use crate::source::wait::LOOK_EVERY;
    use stageline_component::Value;
    use std::io::Write;
    use std::net::{SocketAddr, TcpStream};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    fn listening(values: &[(&str, Value)]) -> (Streams, SocketAddr) {
        let mut all = vec![("address", "127.0.0.1:0".into())];
        all.extend_from_slice(values);
        let source = TcpSource::new(&checked(&SPEC, &all)).unwrap().listen().unwrap();
        let Listener::Tcp(listener) = &source.listener else { unreachable!() };
        let address = listener.local_addr().unwrap();
        (source, address)
    }

    #[test]
    fn all_connections_are_read() {
        let (mut source, address) = listening(&[("annotate", true.into())]);
        let clients = thread::spawn(move || {
            let mut clients: Vec<_> =
                (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
            for round in 0..50 {
                for (index, client) in clients.iter_mut().enumerate() {
                    write!(client, "{index} {round}\n{index} ").unwrap();
                }
            }
            clients
                .iter()
                .map(|client| client.local_addr().unwrap().to_string())
                .collect::<Vec<_>>()
        });
        // The last line of each has no end of its own.
        let mut out = Collected::after(20 * 51);
        source.run(&mut out).unwrap();
        let peers = clients.join().unwrap();
        for (index, peer) in peers.iter().enumerate() {
            let own = |message: &&stageline_component::Message| {
                message.attribute(PEER) == Some(peer.as_bytes())
            };
            let texts: Vec<_> = out.messages.iter().filter(own).map(|own| own.data()).collect();
            let line = |round| match round {
                0 => format!("{index} 0"),
                50 => format!("{index} "),
                _ => format!("{index} {index} {round}"),
            };
            let expected: Vec<_> = (0..=50).map(line).collect();
            assert!(
                texts.iter().eq(expected
                    .iter()
                    .map(|text| text.as_bytes())
                    .collect::<Vec<_>>()
                    .iter()),
                "{index}"
            );
        }
        assert_eq!(out.messages.len(), 20 * 51);
    }

    #[test]
    fn no_more_connections_than_it_may_have_are_read_at_once() {
        let (mut source, address) = listening(&[("connections_max", 1.into())]);
        let mut first = TcpStream::connect(address).unwrap();
        let mut second = TcpStream::connect(address).unwrap();
        second.write_all(b"second\n").unwrap();
        first.write_all(b"first\n").unwrap();
        let mut first = Some(first);
        let (mut looks, mut since) = (0, Instant::now());
        let mut out = Collected::until(move |messages| {
            // A few turns in which the second one could be read.
            looks += usize::from(!messages.is_empty());
            if looks == 1 {
                since = Instant::now();
            }
            if looks == 4 {
                assert_eq!(messages.len(), 1, "the second one waits");
                assert!(since.elapsed() >= 2 * LOOK_EVERY, "and is no reason to wake up");
                first.take();
            }
            messages.len() == 2
        });
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["first", "second"]);
    }

    #[test]
    fn a_connection_that_breaks_does_no_harm() {
        let (mut source, address) = listening(&[("codec", "length_prefixed".into())]);
        let mut broken = TcpStream::connect(address).unwrap();
        broken.write_all(b"\0\0\0\x05ab").unwrap();
        drop(broken);
        let mut whole = TcpStream::connect(address).unwrap();
        whole.write_all(b"\0\0\0\x02ab").unwrap();
        let mut out = Collected::after(1);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["ab"]);
    }

    #[test]
    fn it_stops_when_nobody_comes() {
        let (mut source, _) = listening(&[]);
        let (sender, receiver) = mpsc::channel();
        let mut looks = 0;
        let mut out = Collected::until(move |_| {
            looks += 1;
            sender.send(looks).unwrap();
            looks > 2
        });
        source.run(&mut out).unwrap();
        assert_eq!(receiver.try_iter().last(), Some(3));
    }

    #[test]
    fn what_cannot_be_listened_at_is_an_error() {
        let (_source, address) = listening(&[]);
        let taken = checked(&SPEC, &[("address", address.to_string().into())]);
        let error = TcpSource::new(&taken).unwrap().source().err().unwrap();
        assert_eq!(error.text(), format!("tcp_source: cannot listen at \"{address}\""));
        assert_eq!(refused::<TcpSource>(&[]), "`tcp_source` needs the attribute `address`");
        let values = [("address", "127.0.0.1:0".into()), ("connections_max", 0.into())];
        let error = refused::<TcpSource>(&values);
        assert_eq!(error, "`connections_max` = 0: expected a number from 1 to 65536");
    }
}
