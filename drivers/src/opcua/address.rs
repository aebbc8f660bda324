use std::fmt;

/// OPC 10000-6, 7.1.3: the registered port of OPC UA Connection Protocol.
const PORT: u16 = 4840;
const SCHEME: &str = "opc.tcp://";

/// Where a server listens: `opc.tcp://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Empty, or from its first slash.
    path: String,
}

impl Address {
    /// The scheme and the port may be left out.
    pub(crate) fn parse(text: &str) -> Result<Address, (String, Option<String>)> {
        const HINT: &str = "write it as opc.tcp://10.0.4.17:4840";
        let wrong = || ("is not the address of an OPC UA server".to_owned(), Some(HINT.to_owned()));
        if let Some((scheme, _)) = text.split_once("://").filter(|_| !text.starts_with(SCHEME)) {
            let what = format!("begins with {scheme}://, only opc.tcp:// is spoken here");
            return Err((what, Some(HINT.to_owned())));
        }
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or_else(wrong)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
            None if port.is_empty() => PORT,
            None => return Err(wrong()),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        let is_path = |c: char| c.is_ascii_graphic();
        let is_whole = (1..=255).contains(&host.len()) && host.chars().all(is_host) && path.chars().all(is_path);
        if !is_whole {
            return Err(wrong());
        }
        Ok(Address { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// For logs and status, without the path.
    pub(crate) fn short(&self) -> String {
        let Address { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.short(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Address::parse(text).map(|address| address.to_string()), Ok(expected.to_owned()));
    }

    #[test]
    fn scheme_and_port_may_be_left_out() {
        check("10.0.4.17", "opc.tcp://10.0.4.17:4840");
        check("opc.tcp://etch-3.fab.example:48010/UA/Server?x=1", "opc.tcp://etch-3.fab.example:48010/UA/Server?x=1");
        check("[fe80::1%eth0]:4841/a", "opc.tcp://[fe80::1%eth0]:4841/a");
        check("opc.tcp://[::1]", "opc.tcp://[::1]:4840");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "opc.tcp://",
            "https://host",
            "opc.https://host",
            ":4840",
            "host:0",
            "host:65536",
            "a b",
            "[::1",
            "[::1]4840",
            "host:4840/a b",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
