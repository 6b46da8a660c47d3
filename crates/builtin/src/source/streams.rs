//! A listener and its connections, all on the thread of the source. A turn reads one chunk of each that has something
//! to say, so that none waits for another that says much.

use super::feed::{CHUNK, Feed, Origin, Stop, ended};
use super::is_passing;
use super::wait::{LOOK_EVERY, Waits};
use crate::codec::{Decoder, Decoding};
use crate::factory::defaulted;
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Emitter, Error, Source};
use std::fs::File;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

pub(super) const CONNECTIONS_MAX: AttributeSpec = defaulted(
    "connections_max",
    AttributeKind::Integer,
    "1024",
    "How many connections there are at most, from 1 to 65536. Others wait until one ends.",
);

const CONNECTIONS_MOST: i64 = 65_536;

pub(super) fn connections_max(attributes: &Attributes) -> Result<usize, Error> {
    let max = attributes.integer_in(CONNECTIONS_MAX.name, 1..=CONNECTIONS_MOST)?;
    Ok(max.unwrap_or(CONNECTIONS_MOST) as usize)
}

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The file of a socket, which goes with it.
pub(super) struct SocketFile(pub(super) PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }

    /// A connection, and who is at its other end, if that has a name.
    fn accept(&self) -> io::Result<(OwnedFd, Option<String>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((stream.into(), Some(peer.to_string())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((stream.into(), None))
            }
        }
    }
}

struct Connection {
    input: File,
    peer: String,
    decoder: Decoder,
}

pub(super) struct Streams {
    pub(super) name: &'static str,
    /// Does not block.
    pub(super) listener: Listener,
    /// Goes with the listener.
    pub(super) _file: Option<SocketFile>,
    /// What it listens at.
    pub(super) address: String,
    pub(super) connections_max: usize,
    pub(super) decoding: Decoding,
    /// The attribute that names the peer, if messages are to have one.
    pub(super) annotation: Option<&'static str>,
}

impl Source for Streams {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let mut feed = Feed::new(self.name, &self.decoding);
        let result = self.serve(&mut feed, out);
        feed.end();
        ended(result)
    }
}

impl Streams {
    fn serve(&self, feed: &mut Feed, out: &mut dyn Emitter) -> Result<(), Stop> {
        let mut waits = Waits::default();
        let mut connections: Vec<Connection> = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while !out.is_stopping() {
            waits.clear();
            connections.iter().for_each(|connection| waits.add(connection.input.as_fd()));
            let (count, has_room) = (connections.len(), connections.len() < self.connections_max);
            if has_room {
                waits.add(self.listener.fd());
            }
            if !waits.wait().map_err(|error| self.failed("wait", error))? {
                continue;
            }
            // From the last one, so that one which ends leaves the places of those to come.
            for index in (0..count).rev().filter(|index| waits.is_ready(*index)) {
                // What has not been read is not this run's.
                if out.is_stopping() {
                    break;
                }
                if !self.read(&mut connections[index], &mut chunk, feed, out)? {
                    connections.swap_remove(index);
                }
            }
            if has_room && waits.is_ready(count) {
                self.accept(&mut connections, feed);
            }
        }
        for connection in &connections {
            feed.leave(&connection.decoder, &Origin::plain(&connection.peer));
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::with_source(format!("{}: {}: cannot {what}", self.name, self.address), error)
    }

    /// Reads a chunk. Whether the connection goes on.
    fn read(
        &self,
        connection: &mut Connection,
        chunk: &mut [u8],
        feed: &mut Feed,
        out: &mut dyn Emitter,
    ) -> Result<bool, Stop> {
        let Connection { input, peer, decoder } = connection;
        let attribute = self.annotation.map(|name| (name, peer.as_str()));
        let origin = Origin { attribute, ..Origin::plain(peer) };
        match input.read(chunk) {
            Ok(0) => {
                feed.finish(decoder, &origin, out)?;
                return Ok(false);
            }
            Ok(read) => feed.push(decoder, &chunk[..read], &origin, out)?,
            Err(error) if is_passing(&error) => {}
            // One connection that breaks is no matter of the others'.
            Err(error) => {
                feed.say(format_args!("{peer}: {error}"));
                feed.leave(decoder, &origin);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes all that wait, up to the limit.
    fn accept(&self, connections: &mut Vec<Connection>, feed: &mut Feed) {
        while connections.len() < self.connections_max {
            match self.listener.accept() {
                Ok((fd, peer)) => connections.push(Connection {
                    input: fd.into(),
                    peer: peer.unwrap_or_else(|| self.address.clone()),
                    decoder: self.decoding.decoder(),
                }),
                Err(error) if is_passing(&error) => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // No more files may be open, say: it will be so for a while.
                Err(error) => {
                    feed.say(format_args!("{}: cannot accept: {error}", self.address));
                    thread::sleep(LOOK_EVERY);
                    return;
                }
            }
        }
    }
}
