use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use opcua::client::{Session, SessionActivity, SessionPollResult, SubscriptionActivity};
use opcua::types::StatusCode;
use tokio::time::timeout;

use super::address::Address;
use super::discovery;
use super::fault::{Trace, loss};
use super::guard::Seen;
use super::identity::Secrets;
use super::library::Library;
use super::settings::Settings;
use crate::{LinkError, Site};

/// A session with a server and everything below it. Whatever happens to it, it ends, and a new one is built from
/// nothing: the library can neither reactivate a secured session nor revive its subscriptions.
pub(crate) struct Connection {
    session: Arc<Session>,
    events: Option<Events>,
    trace: Trace,
    about: About,
    keep_alives_failed: u32,
}

/// No connection came about.
#[derive(Debug)]
pub(crate) struct OpenError {
    pub(crate) error: LinkError,
    /// The server's answer to the opening of a secured channel was decrypted, and nothing came of it.
    pub(crate) spoiled_opening: bool,
}

impl From<LinkError> for OpenError {
    fn from(error: LinkError) -> OpenError {
        OpenError { error, spoiled_opening: false }
    }
}

/// What is known of a connection, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) endpoint: String,
    pub(crate) security: String,
}

type Events = Pin<Box<dyn Stream<Item = Result<SessionPollResult, StatusCode>> + Send>>;

/// One lost answer may be the network's; two in a row are the end.
const KEEP_ALIVES_FAILED_MAX: u32 = 2;
/// For closing session and channel. The shutdown of the gateway waits 2 s for a session.
const GOODBYE: Duration = Duration::from_millis(1500);

impl Connection {
    /// Up to the activated session, within `connect_timeout`.
    pub(crate) async fn open(settings: &Settings, site: &Site, endpoint: &Address) -> Result<Connection, OpenError> {
        settings.security.allowed_at(site.clock.now().utc)?;
        let library = Library::build(settings, site, endpoint).await?;
        let after = settings.connect_timeout;
        let opened = timeout(after, Connection::establish(settings, site, &library)).await;
        opened.unwrap_or(Err(LinkError::Timeout { doing: "connecting", after })).map_err(|error| {
            let Seen { channels, messages, .. } = library.seen();
            OpenError { error, spoiled_opening: channels > 0 && messages == 0 }
        })
    }

    async fn establish(settings: &Settings, site: &Site, library: &Library) -> Result<Connection, LinkError> {
        let offered = library.endpoints().await?;
        let chosen = discovery::choose(offered, &settings.security, &library.address)?;
        library.trust(&chosen, &settings.rules, site)?;
        let secrets: Secrets = settings.identity.secrets(site)?;
        let user = secrets.policy_among(&chosen, &settings.security)?;
        let opened = library.session(chosen, user, secrets.into_token())?;
        let about = About { endpoint: library.address.short(), security: settings.security.in_words() };
        let (session, events, trace) = (opened.session, Box::pin(opened.events), opened.trace);
        let mut connection = Connection { session, events: Some(events), trace, about, keep_alives_failed: 0 };
        connection.activated().await.map(|()| connection)
    }

    pub(crate) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Lets the library work until the connection is lost. Cancellation safe.
    pub(crate) async fn drive(&mut self) -> LinkError {
        loop {
            match self.next().await {
                Next::Event(event) => {
                    if let Some(status) = self.is_the_end(&event) {
                        return loss(status, &self.trace);
                    }
                }
                Next::Ended(status) => return loss(status, &self.trace),
                Next::Panicked => {
                    return stumbled();
                }
            }
        }
    }

    /// Waits for something that asks the server; its error is that of the connection.
    pub(crate) async fn during<T>(&mut self, asking: impl Future<Output = T>) -> Result<T, LinkError> {
        tokio::select! {
            biased;
            loss = self.drive() => Err(loss),
            answer = asking => Ok(answer),
        }
    }

    /// Closes session and channel, if the server still listens, and gives everything free.
    pub(crate) async fn close(mut self) {
        let session = self.session();
        let goodbye = session.disconnect();
        let driving = async { while let Next::Event(_) = self.next().await {} };
        let _ = timeout(GOODBYE, async {
            tokio::select! {
                _ = goodbye => {}
                () = driving => {}
            }
        })
        .await;
        self.cut();
    }

    /// Ends the connection without a word: every request that waits gets its error.
    pub(crate) fn cut(&mut self) {
        self.events = None;
    }

    /// Until the session is active.
    async fn activated(&mut self) -> Result<(), LinkError> {
        loop {
            match self.next().await {
                Next::Event(SessionPollResult::Reconnected(_)) => return Ok(()),
                Next::Event(SessionPollResult::BeginConnect) => {}
                Next::Event(SessionPollResult::ReconnectFailed(status)) | Next::Ended(status) => {
                    return Err(loss(status, &self.trace));
                }
                Next::Event(_) => {}
                Next::Panicked => {
                    return Err(stumbled());
                }
            }
        }
    }

    fn is_the_end(&mut self, event: &SessionPollResult) -> Option<StatusCode> {
        match event {
            SessionPollResult::ConnectionLost(status) | SessionPollResult::ReconnectFailed(status) => Some(*status),
            SessionPollResult::BeginConnect | SessionPollResult::Reconnected(_) => Some(StatusCode::BadConnectionClosed),
            SessionPollResult::Subscription(SubscriptionActivity::FatalFailure(status)) => Some(*status),
            SessionPollResult::SessionActivity(SessionActivity::KeepAliveSucceeded) => {
                self.keep_alives_failed = 0;
                None
            }
            // It answers: the server is there and says that it does not run.
            SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(StatusCode::BadServerHalted)) => None,
            SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)) => {
                self.keep_alives_failed += 1;
                (self.keep_alives_failed >= KEEP_ALIVES_FAILED_MAX).then_some(*status)
            }
            _ => None,
        }
    }

    async fn next(&mut self) -> Next {
        let next = std::future::poll_fn(|cx| poll(&mut self.events, cx)).await;
        if !matches!(next, Next::Event(_)) {
            self.cut();
        }
        next
    }
}

fn stumbled() -> LinkError {
    LinkError::Protocol { what: "an answer that the protocol library stumbled over".to_owned() }
}

enum Next {
    Event(SessionPollResult),
    Ended(StatusCode),
    /// A defect of the library that a server found. What panicked is not asked again.
    Panicked,
}

fn poll(events: &mut Option<Events>, cx: &mut Context<'_>) -> Poll<Next> {
    let Some(stream) = events else { return Poll::Ready(Next::Ended(StatusCode::BadConnectionClosed)) };
    match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Some(Ok(event)))) => Poll::Ready(Next::Event(event)),
        Ok(Poll::Ready(Some(Err(status)))) => Poll::Ready(Next::Ended(status)),
        Ok(Poll::Ready(None)) => Poll::Ready(Next::Ended(StatusCode::BadConnectionClosed)),
        Err(_) => Poll::Ready(Next::Panicked),
    }
}

impl Drop for Connection {
    /// For who was dropped before `close`: sends CloseSession without waiting for the answer, as far as the socket takes
    /// it at once, so that no session is left on the server. The library's own guard only stops its loop.
    fn drop(&mut self) {
        const POLLS: u32 = 16;
        if self.events.is_none() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let session = self.session();
        let mut goodbye = std::pin::pin!(session.disconnect());
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..POLLS {
            let asked = catch_unwind(AssertUnwindSafe(|| goodbye.as_mut().poll(&mut cx)));
            if matches!(poll(&mut self.events, &mut cx), Poll::Ready(Next::Ended(_) | Next::Panicked)) || asked.is_err() {
                break;
            }
        }
        self.cut();
    }
}
