use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use lingate_model::StatusCode;

use super::desk::{Desk, Done};
use super::{Link, Plan};
use crate::{LinkError, Sink};

/// What is done in a session. Ends when the gateway stops, or soon after the link is lost, and has then told of every
/// slot that was due.
pub(crate) async fn work(link: &Link, plan: &Plan, sink: &Sink) -> LinkError {
    let mut desk = Desk::new(link, plan, sink);
    let loss = match desk.until_lost().await {
        Ok(never) => match never {},
        Err(loss) => loss,
    };
    // Only the gateway's own end leaves nobody to tell.
    let _ = desk.last_words().await;
    loss
}

/// Answers that are taken between two looks at the clock.
const ANSWERS_MAX: usize = 16;

impl Desk<'_> {
    async fn until_lost(&mut self) -> Result<Infallible, LinkError> {
        tokio::select! {
            biased;
            () = self.link.lost() => return Err(LinkError::Closed),
            prepared = self.prepare() => prepared.map_err(|status| self.explain(status, "asking the server about itself"))?,
        }
        loop {
            self.refill();
            self.on_time().await?;
            for _ in 0..ANSWERS_MAX {
                let Some(done) = self.wait().await? else { break };
                self.take(done).await?;
                self.refill();
            }
        }
    }

    /// The next answer; `None`: something is due.
    async fn wait(&mut self) -> Result<Option<Done>, LinkError> {
        let now = self.sink.now().monotonic;
        if self.sink.is_stopping() {
            return Err(LinkError::SinkClosed);
        }
        let rest = self.wake_at().saturating_sub(now);
        if rest == Duration::ZERO {
            return Ok(None);
        }
        let (link, sink) = (self.link, self.sink);
        tokio::select! {
            biased;
            () = link.lost() => Err(LinkError::Closed),
            Some(done) = self.pending.next() => Ok(Some(done)),
            paused = sink.pause(rest) => paused.map(|()| None).map_err(LinkError::from),
        }
    }

    async fn take(&mut self, done: Done) -> Result<(), LinkError> {
        match done {
            Done::Subscribed { wanted, result } => self.subscribed(wanted, result),
            Done::Created { at, batch, signs, result } => self.created(at, batch, signs, result).await,
            Done::Deleted { point, result } => self.deleted(point, result).await,
            Done::Published(result) => self.published(*result).await,
            Done::Republished { at, number, result } => self.republished(at, number, result).await,
            Done::Polled { group, due, polled, size } => self.polled(group, due, polled, size).await,
            Done::Tried { point, result } => self.tried(point, result).await,
            Done::Ranged { point, width } => {
                self.ranged(point, width);
                Ok(())
            }
            Done::Described(types) => {
                self.described(types);
                Ok(())
            }
            Done::History { batch, is_there, result } => {
                self.filled(batch, is_there, result).await?;
                self.fill_more(self.sink.now());
                Ok(())
            }
            Done::Saved(result) => {
                if let Err(error) = result {
                    tracing::warn!(device = %self.plan.name, %error, "the cursors cannot be saved");
                }
                Ok(())
            }
            Done::Clock(skew_us) => {
                self.server.skew_us = skew_us.or(self.server.skew_us);
                Ok(())
            }
        }
    }

    pub(crate) fn explain(&self, status: StatusCode, doing: &'static str) -> LinkError {
        match status {
            StatusCode::BAD_TIMEOUT => LinkError::Timeout { doing, after: self.plan.settings.timeout },
            _ if self.link.is_lost() => LinkError::Closed,
            status => LinkError::Protocol { what: format!("{} while {doing}", name(status)) },
        }
    }
}

/// The standard's symbolic name.
pub(crate) fn name(status: StatusCode) -> String {
    let status = opcua::types::StatusCode::from(status.0);
    status.to_string()
}
