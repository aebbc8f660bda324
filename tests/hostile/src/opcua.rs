use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use lingate_plant::opcua::{Evil, INSECURE, Say, Script, When};

use crate::row::OpcUa;
use crate::words;
use crate::{Played, Row};

const VARIABLES: u32 = 5;
/// Only bounds a row that fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests that a gateway has no business with: write, call, and what changes nodes, references, history and monitoring
/// of others (OPC 10000-6, annex A).
const FORBIDDEN: [u32; 8] = [673, 712, 488, 494, 500, 506, 700, 775];

/// A hostile server of a row, named as the row.
pub(crate) struct Server {
    pub(crate) row: Row,
    pub(crate) evil: Evil,
    when: When,
    says: Vec<Say>,
    script: OpcUa,
}

impl Server {
    pub(crate) async fn start(row: &Row, script: &OpcUa) -> Result<Server> {
        let says = script.say.iter().map(|text| words::say(text)).collect::<Result<_>>()?;
        let evil = Evil::start(VARIABLES).await?;
        Ok(Server { row: row.clone(), evil, when: words::when(&script.when)?, says, script: script.clone() })
    }

    pub(crate) fn toml(&self) -> String {
        let name = self.row.id.to_lowercase();
        let mut text = format!(
            "[[device]]\nname = {name:?}\ndriver = \"opcua\"\nevery = \"100ms\"\nequipment = \"acme/lingang/{name}\"\n\
             address = {:?}\n{INSECURE}\ntimeout = \"500ms\"\nconnect_timeout = \"1s\"\nkeep_alive = \"500ms\"\n",
            self.evil.url()
        );
        for number in 0..VARIABLES {
            let poll = if number == 0 { "mode = \"poll\"\n" } else { "" };
            text += &format!(
                "\n[[device.point]]\nname = \"v{number}\"\nnode = \"nsu={};s=v{number}\"\ntype = \"uint32\"\n\
                 dataset = {:?}\nclass = \"general\"\n{poll}",
                Evil::NAMESPACE,
                crate::plant::DATASET
            );
        }
        text
    }

    /// Plays each script and heals it, one after the other.
    pub(crate) async fn play(&self, good: impl Fn() -> Option<u64>) -> Played {
        let mut played = Played::new(&self.row);
        for (say, text) in self.says.iter().zip(&self.script.say) {
            let before = self.evil.tricks();
            self.evil.play(Script::always(self.when, say.clone()));
            if self.script.cut
                && let Err(error) = self.evil.restart().await
            {
                played.complaints.push(error.to_string());
            }
            let began = Instant::now();
            while self.evil.tricks() < before + self.script.tricks && began.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let tricks = self.evil.tricks() - before;
            self.evil.heal();
            if tricks < self.script.tricks {
                played.complaints.push(format!("{text}: {tricks} occasions of {}", self.script.tricks));
            }
            played.tricks += tricks;
            let fresh = crate::plant::until_fresh(&mut played.complaints, &good).await;
            played.fresh_ms = played.fresh_ms.max(fresh);
        }
        played
    }

    /// Requests, and those among them that nobody may send.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let requests: BTreeMap<u32, u64> = self.evil.seen().requests;
        (requests.values().sum(), FORBIDDEN.iter().filter_map(|id| requests.get(id)).sum())
    }
}

/// Whether an opened value can be of the point: `o05/v3`.
pub(crate) fn accepts(point: &str, value: u32) -> bool {
    let number = point.rsplit_once("/v").and_then(|(_, number)| number.parse().ok());
    number.is_some_and(|number| Evil::accepts(number, value))
}
