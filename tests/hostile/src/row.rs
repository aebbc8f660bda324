use serde::Deserialize;

/// One row of the plan: a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `M01`; the letter is the group.
    pub id: String,
    pub title: String,
    /// Tests of the workspace that hold it.
    #[serde(default)]
    pub held: Vec<String>,
    /// Rows of the program `faults` and other steps of `.ci/run` that show it.
    #[serde(default)]
    pub step: Vec<String>,
    /// What of the row is not shown.
    #[serde(default)]
    pub without: Option<String>,
    /// Why nothing of it is shown.
    #[serde(default)]
    pub left: Option<String>,
    #[serde(default)]
    pub modbus: Option<Modbus>,
    #[serde(default)]
    pub opcua: Option<OpcUa>,
    #[serde(default)]
    pub broker: Vec<Broker>,
    #[serde(default)]
    pub health: Vec<Visit>,
    #[serde(default)]
    pub bundle: Vec<String>,
    #[serde(default)]
    pub config: Vec<Text>,
}

/// A Modbus unit beside honest ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modbus {
    /// As the driver is called.
    #[serde(default = "tcp")]
    pub driver: String,
    /// For one answer each, two honest ones behind each: the words of `words::fault`.
    pub faults: Vec<String>,
}

fn tcp() -> String {
    "modbus-tcp".to_owned()
}

/// An OPC UA server beside honest devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpcUa {
    /// `hello`, `open`, `renew`, a service by its name or number.
    pub when: String,
    /// The words of `words::say`, one script each.
    pub say: Vec<String>,
    /// Occasions of each before it is healed.
    #[serde(default = "one")]
    pub tricks: u64,
    /// The connection is cut first: the occasion comes with the next one.
    #[serde(default)]
    pub cut: bool,
}

fn one() -> u64 {
    1
}

/// What stands between the gateway and an honest broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// The words of `proxy::Manner`.
    pub does: String,
    /// Occasions before it is honest again.
    #[serde(default = "one")]
    pub times: u64,
    /// The link has to say this of it, in its headline.
    #[serde(default)]
    pub told: Option<String>,
}

/// A visitor of the health endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    #[serde(default)]
    pub send: String,
    /// Sent behind it, so many times.
    #[serde(default)]
    pub again: Option<(String, usize)>,
    /// So many visitors at once.
    #[serde(default = "one")]
    pub visitors: u64,
    /// The status codes that may come; `closed`: the connection ends without one.
    pub expect: Vec<String>,
    /// What the answer must not hold.
    #[serde(default)]
    pub without: Vec<String>,
}

/// A configuration that is the reference with these changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Text {
    /// In place of the reference.
    pub whole: Option<String>,
    /// From and to; the first must occur.
    pub replace: Option<(String, String)>,
    /// In front, and behind: a text, so many times.
    pub before: Option<(String, usize)>,
    pub after: Option<(String, usize)>,
    /// Bytes behind it all, in hex.
    pub bytes: Option<String>,
    /// What the problem must say; none: the text is good.
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Played,
    Held,
    Left,
}

impl Row {
    pub fn group(&self) -> char {
        self.id.chars().next().unwrap_or('?')
    }

    pub fn state(&self) -> State {
        match () {
            () if self.is_played() => State::Played,
            () if !self.held.is_empty() || !self.step.is_empty() => State::Held,
            () => State::Left,
        }
    }

    fn is_played(&self) -> bool {
        let is_peer = self.modbus.is_some() || self.opcua.is_some() || !self.broker.is_empty();
        is_peer || !self.health.is_empty() || !self.bundle.is_empty() || !self.config.is_empty()
    }

    /// A row says one thing of itself.
    pub fn complaint(&self) -> Option<String> {
        let is_id = self.id.len() == 3 && self.id[1..].bytes().all(|byte| byte.is_ascii_digit());
        let is_left = self.left.is_some();
        match () {
            () if !is_id => Some(format!("{:?} is no number of a row", self.id)),
            () if is_left && self.state() != State::Left => Some("it is shown and left at once".to_owned()),
            () if !is_left && self.state() == State::Left => Some("it is not shown, and no reason is given".to_owned()),
            () => None,
        }
    }
}
