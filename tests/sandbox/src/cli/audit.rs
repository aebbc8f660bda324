use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lingate_sandbox::{Authority, WitnessedLog};
use serde_json::{Value, json};

#[derive(Args)]
pub(crate) struct Audit {
    dir: PathBuf,
    /// Only this one
    #[arg(long, value_name = "ID")]
    gateway: Option<String>,
    /// Write checkpoint.txt and keys.txt there: with them an inspector verifies a gateway's log
    /// (`lingate audit verify --checkpoint checkpoint.txt --key keys.txt`)
    #[arg(long, value_name = "DIR", requires = "gateway")]
    export: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(crate) fn run(&self) -> Result<()> {
        let mut logs = Authority::open(&self.dir)?.witnessed()?;
        logs.retain(|log| self.gateway.as_ref().is_none_or(|id| *id == log.gateway));
        if logs.is_empty() {
            bail!("no such gateway is enrolled");
        }
        if let (Some(folder), [log]) = (&self.export, &logs[..]) {
            export(folder, log)?;
        }
        match self.json {
            true => println!("{:#}", Value::Array(logs.iter().map(as_json).collect())),
            false => logs.iter().for_each(|log| print!("{}", in_words(log))),
        }
        let forked = logs.iter().filter(|log| !log.forks.is_empty()).count();
        if forked > 0 {
            bail!("{forked} audit log(s) were forked: the files above hold what the gateway signed");
        }
        Ok(())
    }
}

fn export(folder: &std::path::Path, log: &WitnessedLog) -> Result<()> {
    let (_, _, note) = log.newest.as_ref().context("this gateway has sent no checkpoint yet")?;
    std::fs::create_dir_all(folder)?;
    let keys: String = log.keys.iter().map(|key| format!("{key}\n")).collect();
    std::fs::write(folder.join("checkpoint.txt"), note.to_string())?;
    std::fs::write(folder.join("keys.txt"), keys)?;
    Ok(())
}

fn in_words(log: &WitnessedLog) -> String {
    let mut text = match &log.newest {
        Some((checkpoint, cosigned, _)) => format!(
            "{}: {} lines cosigned at {}, {} checkpoint(s) kept\n",
            log.gateway,
            checkpoint.size,
            time(cosigned.time),
            log.checkpoints
        ),
        None => format!("{}: no checkpoint yet\n", log.gateway),
    };
    if log.keys.len() == 1 {
        text +=
            "  its enrolment named no audit key: enrol it again (`lingate enroll`), or its checkpoints are refused\n";
    }
    log.keys.iter().for_each(|key| text += &format!("  key {key}\n"));
    for (path, why) in &log.forks {
        text += &format!("  FORKED: {why}\n    {}\n", path.display());
    }
    text
}

fn time(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn as_json(log: &WitnessedLog) -> Value {
    let newest = log.newest.as_ref().map(|(checkpoint, cosigned, note)| {
        json!({"size": checkpoint.size, "time": cosigned.time, "note": note.to_string()})
    });
    let forks: Vec<Value> = log.forks.iter().map(|(path, why)| json!({"file": path, "why": why})).collect();
    let keys: Vec<String> = log.keys.iter().map(ToString::to_string).collect();
    json!({"gateway": log.gateway, "origin": log.origin, "keys": keys, "newest": newest,
        "checkpoints": log.checkpoints, "forks": forks})
}
