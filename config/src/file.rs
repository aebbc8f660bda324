use std::ops::Range;
use std::path::PathBuf;

use lingate_drivers::settings::{Asked, DeTable, Problem as Found, Trace, parse_path, show_size};

use crate::gateway::STATE_DIR;
use crate::pieces::{self, PIECE_BYTES};
use crate::root::Root;
use crate::source::Source;
use crate::{Place, Plan, Problem, Problems, merge};

/// Larger configurations are not read at all. A million points take 100 to 200 MiB.
pub const FILE_BYTES_MAX: usize = 256 << 20;

/// More syntax errors than this are only echoes of the first ones.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A file of a configuration as it came from the disk; it may not even be text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// For messages.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Parses and checks a configuration of one file. `file` is only for messages.
pub fn load(file: &str, text: &str) -> Result<Plan, Problems> {
    read(&[(file, text)], None)
}

/// As [`load`], for what came from the disk.
pub fn load_bytes(file: &str, bytes: &[u8]) -> Result<Plan, Problems> {
    load_files(&[SourceFile { name: file.to_owned(), bytes: bytes.to_owned() }])
}

/// Parses and checks a configuration of one file and those beside it, in their order.
pub fn load_files(files: &[SourceFile]) -> Result<Plan, Problems> {
    let mut texts = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    for (number, SourceFile { name, bytes }) in files.iter().enumerate() {
        match std::str::from_utf8(bytes) {
            Ok(text) => texts.push((name.as_str(), text)),
            Err(error) => problems.push(not_text(name, number, &bytes[..error.valid_up_to()])),
        }
    }
    match problems.is_empty() {
        true => read(&texts, None),
        false => Err(Problems::new(files[0].name.clone(), problems)),
    }
}

fn not_text(name: &str, number: usize, readable: &[u8]) -> Problem {
    let readable = std::str::from_utf8(readable).unwrap_or("");
    let place = Source::new(name, readable).place(readable.len()..readable.len(), String::new());
    let hint = Some("save the file as UTF-8".to_owned());
    Problem { place: Place { number, ..place }, what: "the next byte is not UTF-8 text".to_owned(), hint }
}

/// Where the state of a configuration is, even if it is wrong everywhere else.
pub fn state_dir_of(files: &[SourceFile]) -> PathBuf {
    let texts = files.iter().filter_map(|file| std::str::from_utf8(&file.bytes).ok());
    let written = |text: &str| {
        let (root, _) = DeTable::parse_recoverable(text);
        let gateway =
            root.get_ref().get("gateway")?.get_ref().as_table()?.get("state_dir")?.get_ref().as_str()?.to_owned();
        parse_path(&gateway).ok()
    };
    texts.filter_map(written).next().unwrap_or_else(|| PathBuf::from(STATE_DIR))
}

/// What the parser asks of this text, which has to be good.
pub(crate) fn asked(text: &str) -> Result<Vec<Asked>, Problems> {
    let trace = Trace::default();
    read(&[("reference.toml", text)], Some(&trace)).map(|_| trace.take())
}

fn read(files: &[(&str, &str)], trace: Option<&Trace>) -> Result<Plan, Problems> {
    let name = files.first().map_or("", |(name, _)| *name);
    let size: usize = files.iter().map(|(_, text)| text.len()).sum();
    if size > FILE_BYTES_MAX {
        let limit = show_size(FILE_BYTES_MAX as u64);
        let place = Source::new(name, "").place(0..0, String::new());
        let what = match files.len() {
            1 => format!("the file has {size} bytes, the limit is {limit}"),
            count => format!("the {count} files have {size} bytes together, the limit is {limit}"),
        };
        return Err(Problems::new(name.to_owned(), vec![Problem { place, what, hint: None }]));
    }
    let source = Source::of(files.iter().copied());
    let (root, problems) = parse(files, &source)?;
    Root { files, source, table: &root, trace }.read(problems)
}

/// The tables of all files as one, and what they say twice.
fn parse<'a>(files: &[(&str, &'a str)], source: &Source<'_>) -> Result<(DeTable<'a>, Vec<Found>), Problems> {
    let mut root = DeTable::new();
    let (mut wrong, mut twice) = (Vec::new(), Vec::new());
    for (number, (_, text)) in files.iter().enumerate() {
        let start = source.start_of(number);
        let table = pieces::parse(text, PIECE_BYTES).unwrap_or_else(|| {
            let (table, errors) = DeTable::parse_recoverable(text);
            wrong.extend(syntax(source, text, start, &errors));
            table.into_inner()
        });
        match number {
            0 => root = table,
            _ => merge::join(&mut root, table, start, source, &mut twice),
        }
    }
    match wrong.is_empty() {
        true => Ok((root, twice)),
        false => Err(Problems::new(files[0].0.to_owned(), wrong)),
    }
}

/// What the words mean cannot be told from a file whose words are broken: only these are reported.
fn syntax(source: &Source<'_>, text: &str, start: usize, errors: &[toml::de::Error]) -> Vec<Problem> {
    let problem = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let hint = foreign_hint(text, &span).or_else(|| syntax_hint(error.message()));
        Problem {
            place: source.place(at_fault(text, error.message(), span, start), String::new()),
            what: format!("not TOML: {}", error.message().replace('\n', ", ")),
            hint: hint.map(str::to_owned),
        }
    };
    let (mut is_open, mut is_torn) = (false, false);
    let told = errors.iter().filter(|error| {
        // What stood below a header that is none is taken for a part of the table before it.
        let is_echo = is_open || is_torn && error.message().starts_with("duplicate key");
        is_open |= is_inside_brackets(error.message());
        is_torn |= error.message().starts_with("unexpected key or value");
        !is_echo
    });
    told.take(SYNTAX_ERRORS_MAX).map(problem).collect()
}

/// A text without its end runs to the end of the line, and the parser points there: it is the beginning that is looked for.
fn at_fault(text: &str, message: &str, span: Range<usize>, start: usize) -> Range<usize> {
    let line = text.get(..span.start).map_or("", |before| before.rsplit('\n').next().unwrap_or(before));
    let quote = line.rfind('"').filter(|_| is_unclosed_text(message));
    let begin = quote.map_or(span.start, |quote| span.start - line.len() + quote);
    begin + start..span.end.max(begin) + start
}

fn is_unclosed_text(message: &str) -> bool {
    message.starts_with("invalid basic string, expected `\"`")
}

/// After it, everything up to the end of the file is taken for the inside of brackets.
fn is_inside_brackets(message: &str) -> bool {
    ["missing comma", "missing key for inline", "unexpected `=` in array", "unclosed array", "unclosed inline"]
        .iter()
        .any(|start| message.starts_with(start) && !message.starts_with("unclosed array table"))
}

/// What other programs leave in a file.
fn foreign_hint(text: &str, span: &Range<usize>) -> Option<&'static str> {
    let begin = text.get(..span.start)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(begin..)?.lines().next()?;
    if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark)) {
        return Some("a merge of two versions was not finished: choose one, and take its three marks out");
    }
    let is_curly = text.get(span.clone())?.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ff02}']);
    is_curly.then_some("these are a word processor's quotes: write the straight ones, \"")
}

fn syntax_hint(message: &str) -> Option<&'static str> {
    match message {
        message if is_inside_brackets(message) => {
            Some("look for a [ or { that is not closed, here or on a line above; what follows is not checked yet")
        }
        message if message.starts_with("duplicate key") => Some(
            "each key stands once in a table, and each [table] once: take one of them out, or write [[...]] for a list",
        ),
        message if is_unclosed_text(message) => Some("a text ends on its line: its second \" is missing"),
        message if message.starts_with("unexpected key or value") => Some(
            "a line has one key = value, one [table] or one [[table]]: a bracket, a quote or a line end is missing before this",
        ),
        message if message.starts_with("key with no value") => Some("write key = value"),
        message if message.starts_with("string values must be quoted") => Some("write text in \"quotes\""),
        _ => None,
    }
}
