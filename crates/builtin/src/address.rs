//! Addresses of the network, as attributes have them.

use stageline_component::{AttributeError, Attributes, Kind, Spec};
use std::net::SocketAddr;

/// What the attribute is called, in all components that have one.
const NAME: &str = "address";

/// Finds an address that can be none, before it is bound or connected to. Whether there is such a host, nobody is
/// asked.
pub(crate) fn check(spec: &Spec, attributes: &Attributes) -> Result<(), AttributeError> {
    let Some(text) = spec.attribute(NAME).and_then(|_| attributes.text(NAME)) else {
        return Ok(());
    };
    // Who listens at port 0 gets one that is free.
    let least = u16::from(spec.kind == Kind::Sink);
    match port(text) {
        Some(port) if port >= least => Ok(()),
        _ => {
            let expected = format!(
                "a host and a port from {least} to 65535, such as `localhost:9000` or `[::1]:9000`"
            );
            Err(AttributeError::invalid(NAME, &text.into(), expected))
        }
    }
}

/// The port behind a host, if the text is both.
fn port(text: &str) -> Option<u16> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.port());
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_name = !host.is_empty()
        && !host.contains(|char: char| char.is_whitespace() || matches!(char, ':' | '[' | ']'));
    is_name.then(|| port.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins;

    fn told(component: &str, address: &str) -> Result<(), String> {
        let builtin = crate::builtin(component).unwrap();
        let mut factory = (builtin.factory)();
        factory.set_attribute(NAME, &address.into()).unwrap();
        factory.prepare().map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_that_can_be_none_are_refused_by_all_components() {
        let with_address = builtins().filter(|builtin| builtin.spec.attribute(NAME).is_some());
        let names: Vec<_> = with_address.map(|builtin| builtin.spec.name).collect();
        assert_eq!(names, ["tcp_source", "udp_source", "tcp_sink", "udp_sink"]);
        for name in names {
            let least = u16::from(name.ends_with("sink"));
            for address in [
                "127.0.0.1:99999",
                "localhost",
                "9000",
                ":9000",
                "::1:9000",
                "[::1]",
                "a b:1",
                "a:+",
                "",
            ] {
                let expected = format!(
                    "`address` = {address:?}: expected a host and a port from {least} to 65535, such as \
                     `localhost:9000` or `[::1]:9000`"
                );
                assert_eq!(told(name, address), Err(expected));
            }
            for address in ["127.0.0.1:65535", "[::1]:1", "localhost:9000", "a-b.example:80"] {
                assert_eq!(told(name, address), Ok(()), "{name}");
            }
            assert_eq!(told(name, "127.0.0.1:0").is_ok(), least == 0, "{name}");
        }
    }
}
