//! Rows about bytes: no daemon, only the parser that reads them.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::row::Text;
use crate::{Catalogue, Played, Row, words};

/// A configuration is judged within this, whatever it holds.
const LONGEST: Duration = Duration::from_secs(10);

/// Plays the rows of configurations, or those that `is_asked` names.
pub fn play(catalogue: &Catalogue, is_asked: impl Fn(&Row) -> bool) -> Result<Vec<Played>> {
    let rows = catalogue.0.iter().filter(|row| !row.config.is_empty() && is_asked(row));
    rows.map(|row| of_row(row).with_context(|| row.id.clone())).collect()
}

fn of_row(row: &Row) -> Result<Played> {
    let mut played = Played::new(row);
    for text in &row.config {
        played.tricks += 1;
        let bytes = made(text)?;
        let began = Instant::now();
        let judged = catch_unwind(|| lingate_config::load_bytes("lingate.toml", &bytes).map(drop));
        if began.elapsed() > LONGEST {
            played.complaints.push(format!("{} bytes took {:?}", bytes.len(), began.elapsed()));
        }
        let shown = |text: &str| text.chars().take(300).collect::<String>();
        match (judged, &text.problem) {
            (Err(_), _) => played.complaints.push("it panicked".to_owned()),
            (Ok(Ok(())), Some(problem)) => played.complaints.push(format!("taken, and not refused with {problem:?}")),
            (Ok(Err(problems)), None) => played.complaints.push(format!("refused: {}", shown(&problems.to_string()))),
            (Ok(Err(problems)), Some(problem)) if !problems.to_string().contains(problem.as_str()) => {
                played.complaints.push(format!("not with {problem:?}: {}", shown(&problems.to_string())));
            }
            _ => {}
        }
    }
    Ok(played)
}

fn made(text: &Text) -> Result<Vec<u8>> {
    let base = text.whole.clone().unwrap_or_else(|| lingate_config::REFERENCE.to_owned());
    let base = match &text.replace {
        Some((from, to)) => {
            anyhow::ensure!(base.contains(from.as_str()), "the reference has no {from:?}");
            base.replacen(from.as_str(), to, 1)
        }
        None => base,
    };
    let times =
        |part: &Option<(String, usize)>| part.as_ref().map(|(text, times)| text.repeat(*times)).unwrap_or_default();
    let mut bytes = format!("{}{base}{}", times(&text.before), times(&text.after)).into_bytes();
    bytes.extend(words::hex(text.bytes.as_deref().unwrap_or_default())?);
    Ok(bytes)
}
