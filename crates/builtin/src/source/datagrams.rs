//! Datagrams, each of which is parted by itself.

use super::feed::{Feed, Origin, Stop, ended};
use super::is_passing;
use super::streams::SocketFile;
use super::wait;
use crate::codec::{Decoder, Decoding};
use stageline_component::{Emitter, Error, Source};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

/// More than a datagram of UDP can have. The system cuts off what is longer, of another kind.
const DATAGRAM_MAX: usize = 256 * 1024;

/// How many datagrams are read between two looks at whether to stop.
const BURST: usize = 256;

pub(super) enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }

    /// How many bytes there were, and who sent them, if that has a name and is wanted.
    fn receive(&self, bytes: &mut [u8], wants_peer: bool) -> io::Result<(usize, Option<String>)> {
        match self {
            Self::Udp(socket) => {
                let (len, peer) = socket.recv_from(bytes)?;
                Ok((len, wants_peer.then(|| peer.to_string())))
            }
            Self::Unix(socket) => Ok((socket.recv(bytes)?, None)),
        }
    }
}

pub(super) struct Datagrams {
    pub(super) name: &'static str,
    /// Does not block.
    pub(super) socket: Socket,
    /// Goes with the socket.
    pub(super) _file: Option<SocketFile>,
    /// What it is bound to.
    pub(super) address: String,
    pub(super) decoding: Decoding,
    /// The attribute that names the peer, if messages are to have one.
    pub(super) annotation: Option<&'static str>,
}

impl Source for Datagrams {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let mut feed = Feed::new(self.name, &self.decoding);
        let result = self.receive_all(&mut feed, out);
        feed.end();
        ended(result)
    }
}

impl Datagrams {
    fn receive_all(&self, feed: &mut Feed, out: &mut dyn Emitter) -> Result<(), Stop> {
        let mut bytes = vec![0; DATAGRAM_MAX + 1];
        let mut decoder = self.decoding.datagram_decoder();
        let failed = |error| {
            Error::with_source(format!("{}: {}: cannot receive", self.name, self.address), error)
        };
        while !out.is_stopping() {
            if !wait::is_ready(self.socket.fd()).map_err(failed)? {
                continue;
            }
            for _ in 0..BURST {
                if out.is_stopping() {
                    break;
                }
                match self.socket.receive(&mut bytes, self.annotation.is_some()) {
                    Ok((len, _)) if len > DATAGRAM_MAX => {
                        let address = &self.address;
                        feed.leave_out(format_args!(
                            "{address}: a datagram is larger than 256 KiB"
                        ));
                    }
                    Ok((len, peer)) => {
                        decoder.restart();
                        self.take(&mut decoder, &bytes[..len], peer.as_deref(), feed, out)?;
                    }
                    Err(error) if is_passing(&error) => break,
                    Err(error) => return Err(failed(error).into()),
                }
            }
        }
        Ok(())
    }

    fn take(
        &self,
        decoder: &mut Decoder,
        bytes: &[u8],
        peer: Option<&str>,
        feed: &mut Feed,
        out: &mut dyn Emitter,
    ) -> Result<(), Stop> {
        let name = peer.unwrap_or(&self.address);
        let origin = Origin { attribute: self.annotation.zip(peer), ..Origin::plain(name) };
        feed.push(decoder, bytes, &origin, out)?;
        feed.finish(decoder, &origin, out)
    }
}
