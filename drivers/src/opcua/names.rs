use std::fmt::Write;
use std::sync::Arc;

use lingate_model::Value;
use opcua::types::{Identifier, NodeId};

use super::wire::Flaw;

/// The server's namespace array: valid for one session, because a restart may number them anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespaces(Vec<Arc<str>>);

impl Namespaces {
    /// In the order of the server; the first is the standard's own.
    pub(crate) fn new(uris: Vec<Arc<str>>) -> Namespaces {
        Namespaces(uris)
    }

    /// Of two equal URIs, which some servers have, the first.
    pub(crate) fn index_of(&self, uri: &str) -> Option<u16> {
        let index = self.0.iter().position(|known| **known == *uri)?;
        u16::try_from(index).ok()
    }

    /// Whether these are the same URIs.
    pub(crate) fn is(&self, uris: &[Value]) -> bool {
        let text = |value: &Value| match value {
            Value::String(uri) => uri.clone(),
            _ => Arc::from(""),
        };
        uris.iter().map(text).eq(self.0.iter().cloned())
    }

    fn uri_of(&self, index: u16) -> Result<&Arc<str>, Flaw> {
        self.0.get(usize::from(index)).filter(|uri| !uri.is_empty()).ok_or(Flaw::Content)
    }

    /// `i=85`, `nsu=http://example.org/;s=Zone1` (OPC 10000-6, 5.1.12).
    pub(crate) fn node_text(&self, node: &NodeId) -> Result<String, Flaw> {
        let mut text = self.prefix(node.namespace)?;
        identifier_text(&mut text, &node.identifier);
        Ok(text)
    }

    /// As `node_text`, where the namespace may come as a URI and the node may be on another server.
    pub(crate) fn expanded_text(&self, node: &NodeId, uri: Option<&str>, server: u32) -> Result<String, Flaw> {
        let server = if server == 0 { String::new() } else { format!("svr={server};") };
        let namespace = match uri {
            Some(uri) => format!("nsu={};", escape(uri)),
            None => self.prefix(node.namespace)?,
        };
        let mut text = server + &namespace;
        identifier_text(&mut text, &node.identifier);
        Ok(text)
    }

    /// `Temperature`, `nsu=http://example.org/;Temperature` (OPC 10000-6, 5.1.13).
    pub(crate) fn qualified_text(&self, namespace: u16, name: &str) -> Result<String, Flaw> {
        Ok(self.prefix(namespace)? + name)
    }

    fn prefix(&self, namespace: u16) -> Result<String, Flaw> {
        match namespace {
            0 => Ok(String::new()),
            index => Ok(format!("nsu={};", escape(self.uri_of(index)?))),
        }
    }
}

/// A semicolon would end the URI.
pub(crate) fn escape(uri: &str) -> String {
    uri.replace('%', "%25").replace(';', "%3B")
}

pub(crate) fn unescape(uri: &str) -> String {
    uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")
}

pub(crate) fn identifier_text(text: &mut String, identifier: &Identifier) {
    let written = match identifier {
        Identifier::Numeric(number) => write!(text, "i={number}"),
        Identifier::String(name) => write!(text, "s={}", name.as_ref()),
        Identifier::Guid(guid) => write!(text, "g={guid}"),
        Identifier::ByteString(bytes) => write!(text, "b={}", bytes.as_base64()),
    };
    written.expect("a String takes every text");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn namespaces() -> Namespaces {
        let uris = ["http://opcfoundation.org/UA/", "urn:a;b%c", "http://example.org/", "http://example.org/", ""];
        Namespaces::new(uris.map(Arc::from).to_vec())
    }

    #[test]
    fn a_name_leaves_with_the_uri_of_its_namespace_and_never_with_an_index() {
        let text = |node: NodeId| namespaces().node_text(&node);
        assert_eq!(text(NodeId::new(0, 85)).unwrap(), "i=85");
        assert_eq!(text(NodeId::new(2, "Zone1.Temp")).unwrap(), "nsu=http://example.org/;s=Zone1.Temp");
        assert_eq!(text(NodeId::new(1, 7)).unwrap(), "nsu=urn:a%3Bb%25c;i=7");
        assert_eq!(unescape("urn:a%3Bb%25c"), "urn:a;b%c");
        for unknown in [4, 5, u16::MAX] {
            assert_eq!(text(NodeId::new(unknown, 7)), Err(Flaw::Content));
        }
        let qualified = namespaces().qualified_text(2, "Temp");
        assert_eq!(qualified.unwrap(), "nsu=http://example.org/;Temp");
        let elsewhere = namespaces().expanded_text(&NodeId::new(0, 7), Some("urn:other"), 3);
        assert_eq!(elsewhere.unwrap(), "svr=3;nsu=urn:other;i=7");
    }

    #[test]
    fn of_two_equal_namespaces_the_first_counts() {
        assert_eq!(namespaces().index_of("http://example.org/"), Some(2));
        assert_eq!(namespaces().index_of("http://example.org"), None);
    }
}
