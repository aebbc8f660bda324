use lingate_model::UtcMicros;
use serde::Deserialize;

use crate::{Event, Hash, Kind, Tree, from_hex, hex, sha256};

/// Longest line in bytes, LF included.
pub const LINE_MAX: usize = 32 * 1024;

/// Where a log stands: everything that the next line depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    tree: Tree,
    /// SHA-256 of the newest line, without its LF.
    last: Hash,
}

impl Log {
    /// Lines so far.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    pub fn last(&self) -> &Hash {
        &self.last
    }

    /// The next line, with its LF.
    pub fn append(&mut self, at: UtcMicros, event: &Event) -> String {
        self.append_with(at, event.kind(), |line| event.write_fields(line))
    }

    /// The first line of a file: what came before it, and what the event says beside.
    pub fn append_header(&mut self, at: UtcMicros, file: u64, event: &Event) -> String {
        let frontier: Vec<String> = self.tree.frontier().iter().map(|root| hex(root)).collect();
        let (root, frontier) = (hex(&self.root()), serde_json::to_string(&frontier).expect("texts are JSON"));
        self.append_with(at, Kind::AuditFile, |line| {
            line.push_str(&format!(",\"file\":{file},\"root\":\"{root}\",\"frontier\":{frontier}"));
            event.write_fields(line);
        })
    }

    fn append_with(&mut self, at: UtcMicros, kind: Kind, fields: impl FnOnce(&mut String)) -> String {
        let (n, t, prev) = (self.size(), shown(at), hex(&self.last));
        let mut line = format!(r#"{{"v":1,"n":{n},"t":"{t}","prev":"{prev}","ev":"{}""#, kind.name());
        fields(&mut line);
        line.push('}');
        self.take(line.as_bytes());
        line.push('\n');
        line
    }

    /// A line that exists, without its LF, whatever it says.
    pub fn take(&mut self, line: &[u8]) {
        self.tree.push(line);
        self.last = sha256(line);
    }
}

/// RFC 3339 with milliseconds, UTC.
pub fn shown(at: UtcMicros) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map_or_else(|_| "beyond the calendar".to_owned(), |time| format!("{time:.3}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a line of an audit log")]
pub struct LineRefused;

/// What every line has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub n: u64,
    pub t: String,
    pub prev: Hash,
    pub kind: Option<Kind>,
    pub event: String,
    /// Every member of the line.
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl Line {
    /// Without its LF.
    pub fn parse(bytes: &[u8]) -> Result<Line, LineRefused> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() < LINE_MAX).ok_or(LineRefused)?;
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|_| LineRefused)?;
        let text = |name: &str| members.get(name).and_then(serde_json::Value::as_str).ok_or(LineRefused);
        let number = |name: &str| members.get(name).and_then(serde_json::Value::as_u64).ok_or(LineRefused);
        if number("v")? != 1 {
            return Err(LineRefused);
        }
        let (event, prev) = (text("ev")?.to_owned(), from_hex(text("prev")?).ok_or(LineRefused)?);
        Ok(Line { n: number("n")?, t: text("t")?.to_owned(), prev, kind: Kind::of_name(&event), event, members })
    }

    pub fn at(&self) -> Option<UtcMicros> {
        self.t.parse::<jiff::Timestamp>().ok().map(|time| UtcMicros(time.as_microsecond()))
    }

    /// A text of this line.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    pub fn count(&self, name: &str) -> Option<u64> {
        self.members.get(name)?.as_u64()
    }
}

/// What the first line of a file says of everything before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub file: u64,
    /// Before this line.
    pub log: Log,
    pub origin: String,
    pub config: String,
}

#[derive(Deserialize)]
struct HeaderMembers {
    file: u64,
    root: String,
    frontier: Vec<String>,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    config: String,
}

impl Header {
    /// An error: the line is no header, or it contradicts itself.
    pub fn of(line: &Line) -> Result<Header, LineRefused> {
        if line.kind != Some(Kind::AuditFile) {
            return Err(LineRefused);
        }
        let members = serde_json::Value::Object(line.members.clone());
        let HeaderMembers { file, root, frontier, origin, config } =
            serde_json::from_value(members).map_err(|_| LineRefused)?;
        let frontier: Option<Vec<Hash>> = frontier.iter().map(|root| from_hex(root)).collect();
        let tree = frontier.and_then(|roots| Tree::from_frontier(line.n, roots)).ok_or(LineRefused)?;
        let is_sound = from_hex(&root) == Some(tree.root()) && (line.n > 0 || line.prev == [0; 32]);
        is_sound.then_some(Header { file, log: Log { tree, last: line.prev }, origin, config }).ok_or(LineRefused)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_where_the_one_before_it_ended() {
        let mut log = Log::default();
        let opening = log.append_header(UtcMicros(0), 1, &Event::new(Kind::AuditFile).text("origin", "o"));
        let header = Header::of(&Line::parse(opening.trim_end().as_bytes()).unwrap()).unwrap();
        assert_eq!((header.file, header.log, header.origin.as_str()), (1, Log::default(), "o"));
        for n in 0..10 {
            log.append(UtcMicros(n), &Event::new(Kind::SourceUp).count("i", n.unsigned_abs()));
        }
        let before = log.clone();
        let opening = log.append_header(UtcMicros(1), 2, &Event::new(Kind::AuditFile));
        let line = Line::parse(opening.trim_end().as_bytes()).unwrap();
        assert_eq!((line.n, line.t.as_str(), &line.prev), (11, "1970-01-01T00:00:00.000Z", before.last()));
        assert_eq!(Header::of(&line).unwrap().log, before);
        let lying = opening.replace(&hex(&before.root()), &"0".repeat(64));
        assert_eq!(Header::of(&Line::parse(lying.trim_end().as_bytes()).unwrap()), Err(LineRefused));
    }
}
