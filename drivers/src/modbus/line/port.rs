use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use super::super::frame::{Ask, Exchange, Passed};
use super::super::gate::Gate;
use super::super::talk::{Broken, talk};
use super::super::transport::{Link, Stray, Stream};
use super::Client;
use crate::LinkError;

/// The transport itself, in the hands of whoever has the turn.
#[derive(Default)]
pub(crate) struct Port {
    link: Option<Link>,
    was_open: bool,
    /// An exchange that began and whose end nobody saw.
    in_doubt: Option<(u8, Ask)>,
    /// A serial line that has to be heard silent first; the unit whose answer may still come.
    unsettled: Option<u8>,
    has_answered: bool,
    transaction: u16,
    /// The next request, not before.
    pause: Gate,
    pace: Gate,
    /// Openings in a row that led to nothing.
    failures: u32,
    refusal: Option<(LinkError, Gate)>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Of a port that is not there or a device that is switched off: its data is to flow again within 5 s.
const LONGEST_CLOSED: Duration = Duration::from_secs(4);
/// Of a device that takes connections and drops them.
const LONGEST_DROPPED: Duration = Duration::from_secs(20);
/// A line that is not silent within this many times its silence is babbling.
const BABBLE: u32 = 100;

impl Port {
    /// The PDU that answers, an exception among them.
    pub(super) async fn ask(&mut self, client: &Client, ask: Ask) -> Result<Vec<u8>, LinkError> {
        if let Some((unit, ask)) = self.in_doubt.take() {
            self.step_back(client, unit, ask);
        }
        if self.owes(client, ask) {
            self.synchronise(client, ask).await?;
        }
        self.exchange(client, ask).await
    }

    /// An answer to an earlier request would be taken for the one to this.
    fn owes(&self, client: &Client, ask: Ask) -> bool {
        client.line.units().owed(client.unit).contains(&ask.shape())
    }

    /// Asks something whose answer cannot be mistaken. Where there is no such thing, it waits once more.
    async fn synchronise(&mut self, client: &Client, ask: Ask) -> Result<(), LinkError> {
        let owed = client.line.units().owed(client.unit);
        let is_answered = match ask.distinct_from(&owed) {
            Some(other) => self.exchange(client, other).await?.first().is_some_and(|function| *function < 0x80),
            None => false,
        };
        if !is_answered {
            sleep(client.manners.timeout).await;
            client.line.units().settled(client.unit);
        }
        Ok(())
    }

    async fn exchange(&mut self, client: &Client, ask: Ask) -> Result<Vec<u8>, LinkError> {
        let (line, unit) = (&client.line, client.unit);
        let transport = &line.settings.transport;
        self.pause.opened().await;
        self.pace.opened().await;
        self.freshen(client).await?;
        self.transaction = self.transaction.wrapping_add(1);
        let owed = line.units().owed(unit);
        let exchange = Exchange::new(transport.framing(), self.transaction, unit, ask).owing(owed);
        let answer = ask.length().unwrap_or(253) + 3;
        let after = client.manners.timeout + transport.duration_of(exchange.request().len() + answer);
        let link = self.link.as_mut().expect("freshen opened it");
        self.in_doubt = Some((unit, ask));
        self.pace = Gate::closed_for(line.settings.spacing);
        line.units().asked(unit);
        let mut passed = Passed::default();
        let told = timeout(after, talk(link, &exchange, transport.quiet(), &mut passed)).await;
        self.in_doubt = None;
        self.pause = Gate::closed_for(line.settings.pause.max(transport.silence()));
        line.units().passed(unit, passed);
        let loss = match told {
            Ok(Ok(pdu)) => {
                (self.has_answered, self.failures) = (true, 0);
                line.units().settled(unit);
                return Ok(pdu);
            }
            Ok(Err(broken)) => self.broken(client, broken),
            Err(_) => {
                line.units().timed_out(unit);
                LinkError::Timeout { doing: "reading", after: client.manners.timeout }
            }
        };
        self.step_back(client, unit, ask);
        Err(loss)
    }

    fn broken(&mut self, client: &Client, broken: Broken) -> LinkError {
        match broken {
            Broken::Fault(fault) => {
                client.line.units().broke(client.unit, fault);
                LinkError::Protocol { what: fault.to_string() }
            }
            Broken::Closed => {
                self.link = None;
                // A device that takes connections and drops them is not asked in a storm.
                if !std::mem::take(&mut self.has_answered) {
                    self.refuse(&LinkError::Closed, LONGEST_DROPPED);
                }
                LinkError::Closed
            }
        }
    }

    /// After an exchange that nobody can be sure of.
    fn step_back(&mut self, client: &Client, unit: u8, ask: Ask) {
        if !client.line.settings.transport.framing().has_transactions() {
            client.line.units().owes(unit, ask.shape());
        }
        if client.line.settings.transport.is_serial() {
            self.unsettled = Some(unit);
        } else {
            self.link = None;
        }
    }

    /// Open, silent and empty.
    pub(super) async fn freshen(&mut self, client: &Client) -> Result<(), LinkError> {
        for _ in 0..3 {
            self.open(client).await?;
            match self.sweep(client).await {
                Stray::Nothing => return Ok(()),
                Stray::Bytes | Stray::Closed => self.link = None,
            }
        }
        Err(LinkError::Protocol { what: "bytes come without a request, again and again".to_owned() })
    }

    /// What came before the request is not its answer.
    async fn sweep(&mut self, client: &Client) -> Stray {
        let (units, unit) = (|| client.line.units(), self.unsettled.unwrap_or(client.unit));
        let foreign = Passed { late: 0, foreign: 1 };
        let late = Passed { late: 1, foreign: 0 };
        let transport = &client.line.settings.transport;
        match self.link.as_mut().expect("it was opened just before") {
            Link::Datagrams(socket) => {
                let mut byte = [0; 1];
                while socket.try_recv(&mut byte).is_ok() {
                    units().passed(unit, late);
                }
                Stray::Nothing
            }
            Link::Stream(stream) if transport.is_serial() => {
                let found = stream.sweep();
                if found == Stray::Nothing && self.unsettled.is_none() {
                    return Stray::Nothing;
                }
                let is_late = self.unsettled.take().is_some();
                let (rest, has_bytes) = settle(&mut **stream, transport.silence()).await;
                if has_bytes || found == Stray::Bytes {
                    units().passed(unit, if is_late { late } else { foreign });
                }
                if found == Stray::Closed { found } else { rest }
            }
            Link::Stream(stream) => {
                let found = stream.sweep();
                if found == Stray::Bytes {
                    units().passed(unit, foreign);
                }
                found
            }
        }
    }

    async fn open(&mut self, client: &Client) -> Result<(), LinkError> {
        if self.link.is_some() {
            return Ok(());
        }
        if let Some((refusal, gate)) = &self.refusal
            && !gate.is_open().await
        {
            return Err(again(refusal));
        }
        let settings = &client.line.settings;
        match settings.transport.open(&client.site, client.manners.connect_timeout).await {
            Ok(link) => {
                (self.link, self.has_answered, self.refusal) = (Some(link), false, None);
                if std::mem::replace(&mut self.was_open, true) {
                    client.line.units().reopened();
                }
                self.pause = self.pause.and(Gate::closed_for(settings.pause_after_connect));
                Ok(())
            }
            Err(error) => {
                self.refuse(&error, LONGEST_CLOSED);
                Err(error)
            }
        }
    }

    /// All users of the line share the answer, so that each does not try for itself.
    fn refuse(&mut self, error: &LinkError, longest: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(20)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.refusal = Some((again(error), Gate::closed_for(pause)));
    }

    pub(super) fn refusal_gate(&self) -> Gate {
        self.refusal.as_ref().map(|(_, gate)| *gate).unwrap_or_default()
    }

    pub(super) fn close(&mut self) {
        self.link = None;
    }
}

/// Reads until the line is silent for its silence, and says whether anything came.
async fn settle(stream: &mut dyn Stream, silence: Duration) -> (Stray, bool) {
    let mut bytes = [0; 256];
    let mut has_bytes = false;
    for _ in 0..BABBLE {
        match timeout(silence, stream.read(&mut bytes)).await {
            Err(_) => return (Stray::Nothing, has_bytes),
            Ok(Ok(0) | Err(_)) => return (Stray::Closed, has_bytes),
            Ok(Ok(_)) => has_bytes = true,
        }
    }
    (Stray::Bytes, has_bytes)
}

/// The same refusal for the next one who asks.
fn again(error: &LinkError) -> LinkError {
    match error {
        LinkError::Connect { address, source } => {
            LinkError::Connect { address: address.clone(), source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        LinkError::Timeout { doing, after } => LinkError::Timeout { doing, after: *after },
        LinkError::Protocol { what } => LinkError::Protocol { what: what.clone() },
        LinkError::Refused { what, hint } => LinkError::Refused { what: what.clone(), hint: hint.clone() },
        LinkError::Closed => LinkError::Closed,
        LinkError::SinkClosed => LinkError::SinkClosed,
    }
}
