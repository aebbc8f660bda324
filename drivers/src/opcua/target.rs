use std::fmt::{self, Write};

use opcua::types::{ByteString, Guid, Identifier, NodeId, QualifiedName, UAString};

use super::names::{Namespaces, escape, identifier_text, unescape};

/// Which node a point means: never by a namespace index, which a restart of the server may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Node {
        namespace: Namespace,
        identifier: Identifier,
    },
    /// Browse names from the Root folder on, at least one.
    Path(Vec<PathName>),
}

/// A browse name of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathName {
    namespace: Namespace,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Namespace {
    /// The standard's own, index 0 on every server.
    Standard,
    Uri(String),
}

/// The server's namespace array does not have this URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownNamespace(pub(crate) String);

type Refused = (String, Option<String>);

const PATH_MAX: usize = 64;

impl Target {
    /// `nsu=http://example.org/;s=Zone1.Temp`, `i=2258`, `ns=0;i=2258` (OPC 10000-6, 5.1.12).
    pub(crate) fn parse_node(text: &str) -> Result<Target, Refused> {
        let (namespace, rest) = match text.strip_prefix("nsu=") {
            Some(rest) => take_uri(rest)?,
            None => match text.strip_prefix("ns=") {
                Some(rest) => (Namespace::Standard, refuse_index(rest)?),
                None => (Namespace::Standard, text),
            },
        };
        Ok(Target::Node { namespace, identifier: parse_identifier(rest)? })
    }

    /// `/Objects/nsu=http://example.org/;Extruder/nsu=http://example.org/;Temp`: a browse name without `nsu=` is one of
    /// the standard. A slash or an ampersand in a name has an ampersand before it (OPC 10000-4, A.2).
    pub(crate) fn parse_path(text: &str) -> Result<Target, Refused> {
        let Some(mut rest) = text.strip_prefix('/') else {
            let hint = "write it from the Root folder, as in \"/Objects/nsu=http://example.org/;Extruder\"";
            return Err(("does not begin with a slash".to_owned(), Some(hint.to_owned())));
        };
        let mut names = Vec::new();
        while !rest.is_empty() {
            let (name, after) = take_name(rest)?;
            names.push(name);
            rest = after;
        }
        match names.len() {
            0 => Err(("names no node".to_owned(), None)),
            1..=PATH_MAX => Ok(Target::Path(names)),
            _ => Err((format!("has more than {PATH_MAX} names"), None)),
        }
    }

    /// The node's id on this server; `None`: it is found by its path.
    pub(crate) fn node_id(&self, namespaces: &Namespaces) -> Option<Result<NodeId, UnknownNamespace>> {
        let Target::Node { namespace, identifier } = self else { return None };
        let node = |namespace| NodeId { namespace, identifier: identifier.clone() };
        Some(namespace.index(namespaces).map(node))
    }

    /// The names of a path on this server.
    pub(crate) fn browse_names(&self, namespaces: &Namespaces) -> Result<Vec<QualifiedName>, UnknownNamespace> {
        let Target::Path(names) = self else { return Ok(Vec::new()) };
        let name = |name: &PathName| {
            let namespace_index = name.namespace.index(namespaces)?;
            Ok(QualifiedName { namespace_index, name: name.name.as_str().into() })
        };
        names.iter().map(name).collect()
    }
}

impl Namespace {
    fn index(&self, namespaces: &Namespaces) -> Result<u16, UnknownNamespace> {
        match self {
            Namespace::Standard => Ok(0),
            Namespace::Uri(uri) => namespaces.index_of(uri).ok_or_else(|| UnknownNamespace(uri.clone())),
        }
    }
}

/// As it is written in the file.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self {
            Target::Node { namespace, identifier } => {
                write!(text, "{namespace}")?;
                identifier_text(&mut text, identifier);
            }
            Target::Path(names) => {
                for PathName { namespace, name } in names {
                    write!(text, "/{namespace}{}", name.replace('&', "&&").replace('/', "&/"))?;
                }
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Namespace::Standard => Ok(()),
            Namespace::Uri(uri) => write!(f, "nsu={};", escape(uri)),
        }
    }
}

fn take_uri(text: &str) -> Result<(Namespace, &str), Refused> {
    let hint = || Some("write it as \"nsu=http://example.org/;s=Zone1.Temp\"".to_owned());
    let (uri, rest) = text.split_once(';').ok_or_else(|| ("has no semicolon behind the URI".to_owned(), hint()))?;
    if uri.is_empty() || uri.chars().any(char::is_whitespace) {
        return Err(("has no namespace URI behind nsu=".to_owned(), hint()));
    }
    let uri = unescape(uri);
    let namespace = if uri == STANDARD { Namespace::Standard } else { Namespace::Uri(uri) };
    Ok((namespace, rest))
}

const STANDARD: &str = "http://opcfoundation.org/UA/";

/// What stands behind `ns=0;`.
fn refuse_index(text: &str) -> Result<&str, Refused> {
    if let Some(rest) = text.strip_prefix("0;") {
        return Ok(rest);
    }
    let rest = text.split_once(';').map_or("s=Zone1.Temp", |(_, rest)| rest);
    let rest: String = rest.chars().take(40).collect();
    let hint = format!(
        "write \"nsu=<the namespace's URI>;{rest}\"; `lingate browse` and the server's NamespaceArray (i=2255) show the \
         URI of each index"
    );
    Err(("names its namespace by an index, which may change when the server restarts".to_owned(), Some(hint)))
}

fn parse_identifier(text: &str) -> Result<Identifier, Refused> {
    let refused = |what: &str| {
        let hint = "write i=2258 (number), s=Zone1.Temp (text), g=72962B91-FA75-4AE6-8D28-B404DC7DAF63 (GUID) or b=M/RbKBs= (bytes)";
        (what.to_owned(), Some(hint.to_owned()))
    };
    match text.split_at_checked(2) {
        Some(("i=", number)) => match number.parse() {
            Ok(number) => Ok(Identifier::Numeric(number)),
            Err(_) => Err(refused("has no whole number up to 4294967295 behind i=")),
        },
        Some(("s=", name)) if !name.is_empty() => Ok(Identifier::String(UAString::from(name))),
        Some(("s=", _)) => Err(refused("has no text behind s=")),
        Some(("g=", guid)) => match guid.parse::<Guid>() {
            Ok(guid) => Ok(Identifier::Guid(guid)),
            Err(_) => Err(refused("has no GUID behind g=")),
        },
        Some(("b=", bytes)) => match ByteString::from_base64(bytes) {
            Some(bytes) if !bytes.is_empty() => Ok(Identifier::ByteString(bytes)),
            _ => Err(refused("has no bytes in base64 behind b=")),
        },
        _ => Err(refused("has no identifier")),
    }
}

fn take_name(text: &str) -> Result<(PathName, &str), Refused> {
    let (namespace, mut rest) = match text.strip_prefix("nsu=") {
        Some(rest) => take_uri(rest)?,
        None => (Namespace::Standard, text),
    };
    let mut name = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None => break,
            Some('/') => {
                rest = chars.as_str();
                break;
            }
            Some('&') => name.push(chars.next().ok_or_else(|| ("ends in an ampersand".to_owned(), None))?),
            Some(plain) => name.push(plain),
        }
        rest = chars.as_str();
    }
    if name.is_empty() {
        return Err(("has an empty name between two slashes".to_owned(), None));
    }
    let is_indexed = namespace == Namespace::Standard
        && name
            .split_once(':')
            .is_some_and(|(index, _)| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()));
    if is_indexed {
        refuse_index(&name)?;
    }
    Ok((PathName { namespace, name }, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn namespaces() -> Namespaces {
        Namespaces::new(vec!["http://opcfoundation.org/UA/".into(), "urn:a;b".into(), "http://example.org/".into()])
    }

    #[test]
    fn every_kind_of_identifier_is_read_and_shown_as_it_was_written() {
        for (text, index) in [
            ("nsu=http://example.org/;s=Zone1.Temp", 2),
            ("nsu=http://example.org/;s=a;b=c", 2),
            ("nsu=urn:a%3Bb;i=4294967295", 1),
            ("nsu=http://example.org/;g=72962b91-fa75-4ae6-8d28-b404dc7daf63", 2),
            ("nsu=http://example.org/;b=M/RbKBs=", 2),
            ("i=2258", 0),
        ] {
            let target = Target::parse_node(text).unwrap();
            assert_eq!(target.to_string(), text);
            assert_eq!(target.node_id(&namespaces()).unwrap().unwrap().namespace, index, "{text}");
        }
        assert_eq!(Target::parse_node("ns=0;i=2258"), Target::parse_node("i=2258"));
        assert_eq!(Target::parse_node("nsu=http://opcfoundation.org/UA/;i=2258"), Target::parse_node("i=2258"));
    }

    #[test]
    fn an_index_is_refused_with_the_way_to_its_uri() {
        let (what, hint) = Target::parse_node("ns=3;s=Zone1").unwrap_err();
        assert_eq!(what, "names its namespace by an index, which may change when the server restarts");
        let hint = hint.unwrap();
        assert!(hint.starts_with("write \"nsu=<the namespace's URI>;s=Zone1\"; `lingate browse`"), "{hint}");
        assert!(Target::parse_path("/Objects/2:Extruder").is_err());
    }

    #[test]
    fn what_names_no_node_is_refused() {
        for wrong in
            ["", "Zone1", "i=", "i=-1", "i=4294967296", "s=", "g=1", "b=", "b=!", "nsu=;i=1", "nsu=urn:a", "x=1"]
        {
            assert!(Target::parse_node(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "/", "Objects", "//Objects", "/Objects//a", "/Objects/a&", "/nsu=urn:a/b"] {
            assert!(Target::parse_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_path_keeps_its_names_with_their_namespaces() {
        let text = "/Objects/nsu=http://example.org/;Extruder &/ 7/nsu=urn:a%3Bb;Temp.1";
        let target = Target::parse_path(text).unwrap();
        assert_eq!(target.to_string(), text);
        let names: Vec<_> = target.browse_names(&namespaces()).unwrap();
        let shown: Vec<_> = names.iter().map(|name| (name.namespace_index, name.name.as_ref())).collect();
        assert_eq!(shown, [(0, "Objects"), (2, "Extruder / 7"), (1, "Temp.1")]);
        assert!(target.node_id(&namespaces()).is_none());
    }

    #[test]
    fn a_namespace_that_the_server_does_not_have_is_named() {
        let target = Target::parse_node("nsu=urn:gone;i=1").unwrap();
        assert_eq!(target.node_id(&namespaces()), Some(Err(UnknownNamespace("urn:gone".to_owned()))));
    }
}
