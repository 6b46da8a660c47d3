//! Connections or datagrams by a socket in the file system.

use super::datagrams::{Datagrams, Socket};
use super::streams::{CONNECTIONS_MAX, Listener, SocketFile, Streams, connections_max};
use crate::codec::{DECODE, Decoding, joined};
use crate::factory::{Plan, defaulted, required};
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Error, Kind, Source, Spec};
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const OWN: [AttributeSpec; 3] = [
    required("path", AttributeKind::Text, "The file of the socket, which must not be there yet."),
    defaulted(
        "kind",
        AttributeKind::OneOf(&["stream", "datagram"]),
        "stream",
        "Whether others connect, or send datagrams.",
    ),
    CONNECTIONS_MAX,
];

static SPEC: Spec = Spec {
    name: "unix_source",
    kind: Kind::Source,
    summary: "Reads messages from a Unix socket",
    attributes: &joined::<9>(&[&OWN, &DECODE]),
    doc: "\
Makes the file of a socket, and reads the messages of all connections, or of all datagrams: one that ends takes its
last message with it. The file is removed at the end. One that an earlier run has left, and that nobody listens at,
is replaced. It ends when the run is to stop. Datagrams with `codec = \"csv\"` need `csv_header = false`, as those of
`udp_source`.

```lua
local s = require(\"stageline\")
s.pipeline { s.unix_source { path = \"/run/app/events.sock\" }, s.stdout {} }
```
",
};

pub(super) struct UnixSource {
    path: PathBuf,
    is_stream: bool,
    connections_max: usize,
    decoding: Decoding,
}

impl Plan for UnixSource {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let is_stream = attributes.text("kind") != Some("datagram");
        Ok(Self {
            path: attributes.text("path").unwrap_or_default().into(),
            is_stream,
            connections_max: connections_max(attributes)?,
            decoding: match is_stream {
                true => Decoding::of(attributes)?,
                false => Decoding::of_datagrams(attributes)?,
            },
        })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        let source = if self.is_stream { self.listen() } else { self.receive() };
        source.map_err(|error| {
            Error::with_source(format!("unix_source: cannot listen at {:?}", self.path), error)
        })
    }
}

/// Removes the file of a socket that nobody listens at.
fn remove_abandoned(path: &Path, is_stream: bool) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let connected = || match is_stream {
        true => UnixStream::connect(path).map(drop),
        false => UnixDatagram::unbound()?.connect(path),
    };
    match is_socket.then(connected) {
        Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

impl UnixSource {
    fn listen(&self) -> io::Result<Box<dyn Source>> {
        remove_abandoned(&self.path, true)?;
        let listener = UnixListener::bind(&self.path)?;
        let file = SocketFile(self.path.clone());
        listener.set_nonblocking(true)?;
        Ok(Box::new(Streams {
            name: SPEC.name,
            listener: Listener::Unix(listener),
            _file: Some(file),
            address: self.path.display().to_string(),
            connections_max: self.connections_max,
            decoding: self.decoding,
            annotation: None,
        }))
    }

    fn receive(&self) -> io::Result<Box<dyn Source>> {
        remove_abandoned(&self.path, false)?;
        let socket = UnixDatagram::bind(&self.path)?;
        let file = SocketFile(self.path.clone());
        socket.set_nonblocking(true)?;
        Ok(Box::new(Datagrams {
            name: SPEC.name,
            socket: Socket::Unix(socket),
            _file: Some(file),
            address: self.path.display().to_string(),
            decoding: self.decoding,
            annotation: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{prepared, refused};
    use crate::source::testing::Collected;
    use stageline_component::Factory;
    use std::io::Write;
    use tempfile::TempDir;

    fn factory(path: &Path, kind: &str) -> Box<dyn Factory> {
        let path = path.to_str().unwrap().into();
        prepared::<UnixSource>(&[("path", path), ("kind", kind.into())]).unwrap()
    }

    #[test]
    fn connections_are_read_and_the_file_goes() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let mut source = factory(&path, "stream").source().unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"a\nb").unwrap();
        drop(client);
        let mut out = Collected::after(2);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["a", "b"]);
        drop(source);
        assert!(!path.exists());
    }

    #[test]
    fn datagrams_are_parted_each_by_itself() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let mut source = factory(&path, "datagram").source().unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"a\nb", &path).unwrap();
        client.send_to(b"c", &path).unwrap();
        let mut out = Collected::after(3);
        source.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["a", "b", "c"]);
        drop(source);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_was_left_is_replaced_and_one_in_use_is_not() {
        let folder = TempDir::new().unwrap();
        for kind in ["stream", "datagram"] {
            let path = folder.path().join(kind);
            // The standard library leaves the file there.
            match kind {
                "stream" => drop(UnixListener::bind(&path).unwrap()),
                _ => drop(UnixDatagram::bind(&path).unwrap()),
            }
            let used = factory(&path, kind).source().unwrap();
            let error = factory(&path, kind).source().err().unwrap();
            assert_eq!(error.text(), format!("unix_source: cannot listen at {path:?}"));
            let other = if kind == "stream" { "datagram" } else { "stream" };
            assert!(factory(&path, other).source().is_err());
            assert!(path.exists());
            drop(used);
        }
        let path = folder.path().join("file");
        fs::write(&path, "data").unwrap();
        assert!(factory(&path, "stream").source().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        assert_eq!(refused::<UnixSource>(&[]), "`unix_source` needs the attribute `path`");
        let error = refused::<UnixSource>(&[("path", "a".into()), ("kind", "packet".into())]);
        assert_eq!(error, "`kind` = \"packet\": expected one of \"stream\", \"datagram\"");
        let values = [("path", "a".into()), ("connections_max", 65_537.into())];
        assert!(refused::<UnixSource>(&values).contains("from 1 to 65536"));
        let csv = [("path", "a".into()), ("codec", "csv".into()), ("kind", "datagram".into())];
        assert!(refused::<UnixSource>(&csv).starts_with("`csv_header` = true: expected false for"));
        assert!(prepared::<UnixSource>(&csv[..2]).is_ok());
    }
}
