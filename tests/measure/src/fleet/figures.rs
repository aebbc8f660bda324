use anyhow::Result;
use lingate_sandbox::Store;

use crate::database::Database;
use crate::gateway::Sent;
use crate::stage::Stage;
use crate::{Arguments, round};

pub(crate) const READINGS: &str = "SELECT CAST(coalesce(sum(readings), 0) AS BIGINT) FROM epochs";
const ONCE: &str = "SELECT count(*) FROM (SELECT DISTINCT gateway, name, time_us FROM telemetry) AS rows";
/// From the newest reading of a batch to its receiver, in microseconds.
const DELAYS: &str = "SELECT percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY r.arrival_us - n.newest_us)
    FROM records r JOIN (SELECT kid, seq, max(time_us) AS newest_us FROM readings GROUP BY kid, seq) n USING (kid, seq)";

/// What the gateways made, all together.
#[derive(Default)]
pub(crate) struct Produced {
    made: u64,
    pub(crate) readings: u64,
    pub(crate) records: u64,
}

impl Produced {
    pub(crate) fn add(&mut self, sent: &Sent) {
        self.made += sent.made;
        self.readings += sent.readings;
        self.records += sent.records;
    }
}

/// What the store says.
pub(crate) struct Figures {
    pub(crate) lost: i64,
    /// Rows beyond one for each reading.
    pub(crate) twice: i64,
    pub(crate) holes: u64,
    pub(crate) alarms: u64,
    pub(crate) rejected: u64,
    /// Deliveries of records that were there.
    pub(crate) came_twice: i64,
    pub(crate) bytes: i64,
    pub(crate) delay_s: Vec<f64>,
    made: i64,
    epochs_open: i64,
}

impl Figures {
    pub(crate) async fn ask(database: &Database, stage: &Stage, produced: &Produced) -> Result<Figures> {
        let address = stage.store();
        let report = tokio::task::spawn_blocking(move || Store::open(&address)?.report()).await??;
        let (rows, once) = (database.count("SELECT count(*) FROM readings").await?, database.count(ONCE).await?);
        let sum = |column: &str| format!("SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) FROM epochs");
        let delays = database.counts(DELAYS).await?;
        let made = i64::try_from(produced.made)?;
        Ok(Figures {
            lost: made - once,
            twice: rows - once,
            holes: report.datasets.iter().map(|dataset| dataset.holes).sum(),
            alarms: report.alarm_count,
            rejected: report.rejected.values().sum(),
            came_twice: database.count(&sum("duplicates")).await?,
            bytes: database.count(&sum("bytes")).await?,
            delay_s: delays.into_iter().map(|delay| round(delay as f64 / 1e6)).collect(),
            made,
            epochs_open: database
                .count("SELECT count(*) FROM epochs WHERE root_state IS DISTINCT FROM 'right'")
                .await?,
        })
    }

    /// What must be true however slow the machine is.
    pub(crate) fn complaints(&self, arguments: &Arguments) -> Vec<String> {
        let rounds = arguments.seconds * 1_000 / arguments.every_ms;
        let least = i64::from(arguments.gateways) * i64::from(arguments.points) * rounds as i64 / 2;
        let truths = [
            (self.lost != 0, format!("{} of {} readings are not in the store", self.lost, self.made)),
            (self.twice != 0, format!("{} readings are in the store twice", self.twice)),
            (self.holes != 0, format!("{} holes", self.holes)),
            (self.alarms != 0, format!("{} alarms", self.alarms)),
            (self.rejected != 0, format!("{} messages were refused", self.rejected)),
            (self.epochs_open != 0, format!("{} epochs without a root that holds", self.epochs_open)),
            (self.made < least, format!("only {} readings were made, {least} at least: it shows nothing", self.made)),
        ];
        truths.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, text)| text).collect()
    }
}
