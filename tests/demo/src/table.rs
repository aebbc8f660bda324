//! The live view: one picture of the line, drawn again in place on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};

use lingate_plant::Checker;
use lingate_sandbox::LiveDataset;
use serde_json::Value;

use crate::stage::CAST;

pub(crate) struct Table {
    in_place: bool,
    colour: bool,
    drawn: bool,
    beats: u64,
}

/// What stands in one picture.
pub(crate) struct Picture<'a> {
    pub(crate) second: u64,
    pub(crate) seconds: u64,
    pub(crate) broker_down_s: Option<f64>,
    /// `/status` of the gateway.
    pub(crate) status: &'a Value,
    pub(crate) sandbox: &'a std::collections::BTreeMap<String, LiveDataset>,
    pub(crate) checker: &'a Checker,
}

const ROWS: usize = 11;

impl Table {
    pub(crate) fn new(quiet: bool) -> Table {
        let in_place = std::io::stdout().is_terminal() && !quiet;
        let colour = in_place && std::env::var_os("NO_COLOR").is_none();
        Table { in_place, colour, drawn: false, beats: 0 }
    }

    pub(crate) fn draw(&mut self, picture: &Picture<'_>) {
        self.beats += 1;
        if !self.in_place {
            if self.beats % 10 == 1 {
                println!("{}", self.line(picture));
            }
            return;
        }
        if self.drawn {
            print!("\x1b[{ROWS}A");
        }
        for row in self.rows(picture) {
            println!("\x1b[2K{row}");
        }
        self.drawn = true;
        let _ = std::io::stdout().flush();
    }

    /// The last picture is older than the summary that follows.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            print!("\x1b[{ROWS}A\x1b[0J");
        }
    }

    fn line(&self, picture: &Picture<'_>) -> String {
        let delivered: u64 = picture.sandbox.values().map(|dataset| dataset.readings).sum();
        let waiting = number(&picture.status["buffer"]["readings_waiting"]);
        format!(
            "{:>4} s  broker {}  opened by the sandbox {delivered}, waiting on disk {waiting}, wrong {}",
            picture.second,
            if picture.broker_down_s.is_some() { "DOWN" } else { "up  " },
            picture.checker.wrong
        )
    }

    fn rows(&self, picture: &Picture<'_>) -> [String; ROWS] {
        let buffer = &picture.status["buffer"];
        let machines = CAST.map(|(device, _, dataset, every, _)| self.machine(picture, device, dataset, every));
        let broker = match picture.broker_down_s {
            Some(seconds) => {
                self.paint("31;1", &format!("DOWN for {seconds:.0} s - readings stay on the gateway's disk"))
            }
            None => self.paint("32", "up"),
        };
        let waiting = number(&buffer["readings_waiting"]);
        let [a, b, c] = machines;
        [
            format!("  {:>3} s of {} s     broker: {broker}", picture.second, picture.seconds),
            String::new(),
            self.paint("1", "  machine        every   state           read      kept   durable    opened by sandbox"),
            a,
            b,
            c,
            String::new(),
            format!(
                "  waiting on disk  {waiting:>9} readings in {} records, sealed",
                number(&buffer["records_waiting"])
            ),
            format!("  checked          {:>9} opened values against the machines' own", picture.checker.checked),
            format!("  wrong            {:>9}", picture.checker.wrong),
            String::new(),
        ]
    }

    fn machine(&self, picture: &Picture<'_>, device: &str, dataset: &str, every: &str) -> String {
        let find = |list: &str, key: &str, name: &str| {
            let mut rows = picture.status[list].as_array().into_iter().flatten();
            rows.find(|row| row[key] == name).cloned().unwrap_or(Value::Null)
        };
        let (state, stream) = (find("devices", "name", device), find("datasets", "id", dataset));
        let opened = picture.sandbox.get(dataset).map_or(0, |live| live.readings);
        format!(
            "  {device:<14} {every:<7} {:<11} {:>8}  {:>8}  {:>8}    {opened:>8}",
            state["state"].as_str().unwrap_or("starting"),
            number(&stream["read"]),
            number(&stream["kept"]),
            number(&stream["accepted_readings"]),
        )
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
