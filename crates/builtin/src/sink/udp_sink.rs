//! Datagrams by UDP.

use crate::factory::{Plan, THREADS, answer, required, threads};
use crate::status::{DATAGRAM_EXCEEDED, UNSENT};
use stageline_component::{
    AttributeKind, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

static SPEC: Spec = Spec {
    name: "udp_sink",
    kind: Kind::Sink,
    summary: "Sends each message as a datagram by UDP",
    attributes: &[
        required("address", AttributeKind::Text, "Where to send: `127.0.0.1:8125`, `host:8125`."),
        THREADS,
    ],
    doc: "\
Sends each message as a datagram of its own. A message is done when the system has it: whether anybody receives it,
nobody knows. One that is larger than a datagram fails (status 225); an error of the network is a retry (status 123).

```lua
local s = require(\"stageline\")
s.pipeline { s.stdin {}, s.udp_sink { address = \"127.0.0.1:8125\" } }
```
",
};

pub(super) struct UdpSink {
    address: String,
    threads: usize,
}

impl Plan for UdpSink {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let address = attributes.text("address").unwrap_or_default().to_owned();
        Ok(Self { address, threads: threads(attributes)? })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(Sender { address: self.address.clone(), open: None }))
    }

    fn pool_size(&self) -> Option<usize> {
        Some(self.threads)
    }
}

struct Sender {
    address: String,
    open: Option<(UdpSocket, SocketAddr)>,
}

impl Sender {
    fn open(&self) -> io::Result<(UdpSocket, SocketAddr)> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let to = self.address.to_socket_addrs()?.next().ok_or_else(missing)?;
        let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        Ok((UdpSocket::bind(from)?, to))
    }

    /// The socket is not connected: so what became of one datagram is no error of the next.
    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let (socket, to) = match &self.open {
            Some(open) => open,
            None => self.open.insert(self.open()?),
        };
        socket.send_to(data, *to).map(drop)
    }
}

impl Component for Sender {
    fn handle(&mut self, message: &mut Message) -> Report {
        let Err(error) = self.send(message.data()) else { return Report::DONE };
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            let bytes = message.data().len();
            return answer(message, DATAGRAM_EXCEEDED, format_args!("{bytes} bytes: {error}"));
        }
        // The name may have another address by now.
        self.open = None;
        answer(message, UNSENT, format_args!("{}: {error}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, prepared, refused};
    use std::time::Duration;

    #[test]
    fn each_message_is_a_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = receiver.local_addr().unwrap().to_string();
        let mut sink = component::<UdpSink>(&[("address", address.as_str().into())]);
        for data in ["a\n", "", "b"] {
            assert_eq!(sink.handle(&mut message(data)), Report::DONE);
            let mut bytes = [0; 10];
            let len = receiver.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..len], data.as_bytes());
        }
        let mut large = message(vec![0; 65_536]);
        assert_eq!(sink.handle(&mut large), DATAGRAM_EXCEEDED);
        assert!(large.description().starts_with("65536 bytes: Message too long"));
        drop(receiver);
        for _ in 0..3 {
            assert_eq!(sink.handle(&mut message("nobody receives it")), Report::DONE);
        }
    }

    #[test]
    fn what_cannot_be_sent_now_is_a_retry() {
        // Broadcasts need leave, which is not asked for.
        let mut sink = component::<UdpSink>(&[("address", "255.255.255.255:9".into())]);
        let mut message = message("a");
        assert_eq!(sink.handle(&mut message), UNSENT);
        assert!(message.description().starts_with("255.255.255.255:9: Permission denied"));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        assert_eq!(refused::<UdpSink>(&[]), "`udp_sink` needs the attribute `address`");
        let values = [("address", "a:1".into()), ("threads", 257.into())];
        assert!(refused::<UdpSink>(&values).contains("from 1 to 256"));
        let values = [("address", "a:1".into()), ("threads", 2.into())];
        assert_eq!(prepared::<UdpSink>(&values).unwrap().pool_size(), Some(2));
    }
}
