//! Datagrams by UDP.

use super::datagrams::{Datagrams, Socket};
use super::feed::ANNOTATE;
use crate::codec::{DECODE_DATAGRAMS, Decoding, joined};
use crate::factory::{Plan, required};
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Error, Kind, Source, Spec};
use std::net::UdpSocket;

/// The attribute of a message that names who sent it.
const PEER: &str = "udp.peer";

const ADDRESS: AttributeSpec =
    required("address", AttributeKind::Text, "Where to receive: `127.0.0.1:9000`, `[::]:9000`.");

static SPEC: Spec = Spec {
    name: "udp_source",
    kind: Kind::Source,
    summary: "Receives messages as datagrams by UDP",
    attributes: &joined::<8>(&[&[ADDRESS], &DECODE_DATAGRAMS, &[ANNOTATE]]),
    doc: "\
Each datagram is a message, or has several, as `codec` says; none goes on in another. An empty one makes no message.
What the system drops, where the pipeline is slower than the datagrams come, nobody knows of. It ends when the run
is to stop.

With `codec = \"csv\"` there is no header, and `csv_header = false` must say so: what the first datagram says need not
hold for those of others. Its names can be given to `csv_to_json`.

With `annotate` each message has the attribute `udp.peer`, the address of who sent it.

```lua
local s = require(\"stageline\")
s.pipeline { s.udp_source { address = \"0.0.0.0:8125\", codec = \"lines\" }, s.stdout {} }
```
",
};

pub(super) struct UdpSource {
    address: String,
    decoding: Decoding,
    annotation: Option<&'static str>,
}

impl Plan for UdpSource {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self {
            address: attributes.text("address").unwrap_or_default().to_owned(),
            decoding: Decoding::of_datagrams(attributes)?,
            annotation: (attributes.boolean("annotate") == Some(true)).then_some(PEER),
        })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(self.bind()?))
    }
}

impl UdpSource {
    fn bind(&self) -> Result<Datagrams, Error> {
        let socket = UdpSocket::bind(&self.address)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket = socket.map_err(|error| {
            Error::with_source(format!("udp_source: cannot receive at {:?}", self.address), error)
        })?;
        Ok(Datagrams {
            name: SPEC.name,
            socket: Socket::Udp(socket),
            _file: None,
            address: self.address.clone(),
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
    use stageline_component::Value;

    /// The source, and a socket that sends to it. (What is sent to this machine waits in the source's socket.)
    fn bound(values: &[(&str, Value)]) -> (Datagrams, UdpSocket) {
        let mut all = vec![("address", "127.0.0.1:0".into())];
        all.extend_from_slice(values);
        let source = UdpSource::new(&checked(&SPEC, &all)).unwrap().bind().unwrap();
        let Socket::Udp(socket) = &source.socket else { unreachable!() };
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(socket.local_addr().unwrap()).unwrap();
        (source, sender)
    }

    #[test]
    fn a_datagram_is_a_message() {
        let (mut source, sender) = bound(&[("annotate", true.into())]);
        for datagram in ["a\nb\n", "", "c"] {
            sender.send(datagram.as_bytes()).unwrap();
        }
        let mut out = Collected::after(2);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), [r"a\nb\n", "c"]);
        let peer = sender.local_addr().unwrap().to_string();
        assert_eq!(out.messages[1].attribute(PEER), Some(peer.as_bytes()));
    }

    #[test]
    fn a_datagram_may_have_several_messages_and_ends_the_last() {
        let (mut source, sender) = bound(&[("codec", "lines".into())]);
        sender.send(b"a\nb").unwrap();
        sender.send(b"c\nd").unwrap();
        let mut out = Collected::after(4);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["a", "b", "c", "d"]);
        assert_eq!(out.messages[0].attributes().count(), 0);
    }

    #[test]
    fn records_of_several_peers_have_no_common_header() {
        let csv = [("address", "127.0.0.1:0".into()), ("codec", "csv".into())];
        let error = "`csv_header` = true: expected false for datagrams with `codec` = \"csv\": none has the header of \
                     the others";
        assert_eq!(refused::<UdpSource>(&csv), error);
        let (mut source, sender) = bound(&[("codec", "csv".into()), ("csv_header", false.into())]);
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.connect(sender.peer_addr().unwrap()).unwrap();
        sender.send(b"a,b\n1,2\n").unwrap();
        other.send(b"b,a\n").unwrap();
        let mut out = Collected::after(3);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["a,b", "1,2", "b,a"]);
        assert_eq!(out.messages[1].attribute("csv.header"), None);
    }

    #[test]
    fn one_that_is_too_large_is_left_out_or_ends_the_run() {
        for policy in ["skip", "stop"] {
            let (mut source, sender) =
                bound(&[("message_max", 3.into()), ("too_large", policy.into())]);
            for datagram in ["abc", "abcd", "ab"] {
                sender.send(datagram.as_bytes()).unwrap();
            }
            let mut out = Collected::after(2);
            let result = source.run(&mut out);
            if policy == "skip" {
                assert_eq!((result.is_ok(), out.texts()), (true, vec!["abc".into(), "ab".into()]));
            } else {
                let error = result.unwrap_err().to_string();
                assert!(error.contains("byte 0: the message is too large: 4 bytes"), "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_bound_is_an_error() {
        let (source, _) = bound(&[]);
        let Socket::Udp(socket) = &source.socket else { unreachable!() };
        let address = socket.local_addr().unwrap().to_string();
        let taken = checked(&SPEC, &[("address", address.as_str().into())]);
        let error = UdpSource::new(&taken).unwrap().source().err().unwrap();
        assert_eq!(error.text(), format!("udp_source: cannot receive at \"{address}\""));
        assert_eq!(refused::<UdpSource>(&[]), "`udp_source` needs the attribute `address`");
    }
}
