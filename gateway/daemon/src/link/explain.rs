use std::fmt::Display;
use std::io::ErrorKind;
use std::time::Duration;

use lingate_config::Broker;
use lingate_model::UtcMicros;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, TlsError};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::connection::{CONNECT_TIMEOUT, SILENCE};
use crate::tls::show_time;

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It will pass.
    Weather,
    /// Somebody must act: certificates, permissions, a second gateway of the same name.
    Refusal,
    /// The gateway is stopping.
    Stop,
}

/// The broker ended a connection and did not say why.
pub(super) const CUT: &str = "the broker closed the connection";
/// Connections in a row that were cut that early.
const CUTS_OF_A_TWIN: u32 = 3;
const EARLY: Duration = Duration::from_secs(15);

/// Two clients of one id push each other out, as MQTT 5 section 3.1.4 asks of the broker. Older brokers (mosquitto 2.0.11)
/// do it without the DISCONNECT that says so, so it is seen by its pattern.
#[derive(Debug, Default)]
pub(super) struct Cuts(u32);

impl Cuts {
    /// `lasted`: the connection, from its first attempt to its end.
    pub(super) fn judge(&mut self, loss: Loss, lasted: Duration) -> Loss {
        if loss.text != CUT || lasted > EARLY {
            self.0 = 0;
            return loss;
        }
        self.0 = self.0.saturating_add(1);
        if self.0 < CUTS_OF_A_TWIN {
            return loss;
        }
        let text = format!(
            "{CUT} {} times in a row, soon after it let this gateway in: does another client use this gateway's id? Look \
             for a second box with the same keys, and into the broker's log",
            self.0
        );
        Loss { text, ..loss }
    }
}

pub(super) fn stopping() -> Loss {
    Loss { text: "the gateway is stopping".to_owned(), kind: Kind::Stop }
}

pub(super) fn named(broker: &Broker, loss: Loss) -> Loss {
    let Loss { text, kind } = loss;
    Loss { text: format!("{}:{}: {text}", broker.host, broker.port), kind }
}

/// Why a broker did not let us in.
pub(super) fn unreached(error: &ConnectionError, broker: &Broker) -> Loss {
    let weather = |text: String| Loss { text, kind: Kind::Weather };
    match error {
        ConnectionError::Io(error) if is_silence(error.kind()) => weather(no_answer(broker, error.kind())),
        ConnectionError::Io(error) if error.to_string().contains("lookup") => weather(format!(
            "the broker's name {} cannot be looked up ({error}); check sandbox.broker, and this computer's name server",
            broker.host
        )),
        ConnectionError::Timeout(_) => weather(no_answer(broker, format!("no connection within {CONNECT_TIMEOUT:?}"))),
        error => named(broker, explain(error, true)),
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable | TimedOut)
}

fn no_answer(broker: &Broker, why: impl Display) -> String {
    let Broker { host, port } = broker;
    format!(
        "the broker {host}:{port} does not answer: {why}; is it running, and does a firewall let port {port} out? It is \
         tried again every few seconds"
    )
}

/// In words that say what to do. In TLS 1.3 the broker judges the client's certificate after the client's handshake has
/// ended, so that verdict arrives as a broken connection (RFC 8446, section 4.4.2.4).
pub(super) fn explain(error: &ConnectionError, connecting: bool) -> Loss {
    let weather = |text: String| Loss { text, kind: Kind::Weather };
    let refusal = |text: String| Loss { text, kind: Kind::Refusal };
    if let Some(error) = tls_error(error) {
        return explain_tls(error);
    }
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            let text = format!("the broker refused the connection: {code:?}");
            use ConnectReturnCode::{
                ConnectionRateExceeded, QuotaExceeded, ServerBusy, ServerUnavailable, ServiceUnavailable,
            };
            match code {
                ServerBusy | ServerUnavailable | ServiceUnavailable | QuotaExceeded | ConnectionRateExceeded => {
                    weather(text)
                }
                _ => refusal(format!("{text}; ask the sandbox whether this gateway's certificate and id are allowed")),
            }
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => refusal(
            "another client connected with this gateway's id; if no second gateway runs by mistake, its key was \
                     copied: have the sandbox revoke it"
                .to_owned(),
        ),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            weather(format!("the broker ended the connection: {reason_code:?}"))
        }
        ConnectionError::Timeout(_) => weather(format!("the broker was silent for {SILENCE:?}")),
        ConnectionError::MqttState(StateError::AwaitPingResp) => weather("the broker does not answer pings".to_owned()),
        error if connecting && matches!(error, ConnectionError::MqttState(_)) => weather(format!(
            "the broker closed the connection before it answered ({error}); if this stays, it may not accept this \
             gateway's certificate: compare its log"
        )),
        ConnectionError::MqttState(StateError::ConnectionAborted) => weather(CUT.to_owned()),
        error => weather(error.to_string()),
    }
}

fn shown(time: UnixTime) -> String {
    show_time(UtcMicros(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000)))
}

fn explain_tls(error: &rustls::Error) -> Loss {
    use AlertDescription as Alert;
    let weather = |text: String| Loss { text, kind: Kind::Weather };
    let refusal = |text: String| Loss { text, kind: Kind::Refusal };
    match error {
        rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => refusal(format!(
            "the broker rejected this gateway's client certificate (TLS alert {alert:?}); check sandbox.certificate: \
             expired, revoked, or of another CA than the broker trusts?"
        )),
        rustls::Error::AlertReceived(Alert::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => refusal(
            "the broker does not speak TLS 1.3, and lingate speaks nothing older; enable it at the broker".to_owned(),
        ),
        // Only time or whoever sets the clock mends it, and both do so at any moment.
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            weather(format!(
                "this computer's clock is wrong: it stands at {}, and the broker's certificate was issued for {} and later. Set \
             the clock, or let a time server do it; readings are kept on disk meanwhile, and the broker is tried again every \
             few seconds",
                shown(*time),
                shown(*not_before)
            ))
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => refusal(format!(
            "the broker's certificate has expired at {}, or this computer's clock is wrong: it shows {}. Set the clock, or \
             tell the sandbox operator; readings are kept on disk meanwhile",
            shown(*not_after),
            shown(*time)
        )),
        rustls::Error::InvalidCertificate(reason) => refusal(format!(
            "the broker's certificate is refused: {}",
            match reason {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } =>
                    "it is for another host name; check sandbox.broker, or whether this is the right broker".to_owned(),
                CertificateError::UnknownIssuer | CertificateError::BadSignature =>
                    "it was not issued by the CA of sandbox.ca; check sandbox.ca, or whether this is the right broker"
                        .to_owned(),
                CertificateError::Expired =>
                    "it has expired; tell the sandbox operator, and compare this computer's clock".to_owned(),
                CertificateError::Revoked =>
                    "it was revoked: somebody else may hold its key; tell the sandbox operator, and do not take sandbox.crl \
                     out"
                        .to_owned(),
                CertificateError::UnknownRevocationStatus =>
                    "sandbox.crl has no revocation list of its issuer; ask the sandbox operator for a file with a list of \
                     each issuer in the chain"
                        .to_owned(),
                CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } =>
                    "the revocation list of sandbox.crl is overdue; put a newer one in its place, and compare this \
                     computer's clock"
                        .to_owned(),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } =>
                    "it is not valid yet; compare this computer's clock, and tell the sandbox operator".to_owned(),
                reason => reason.to_string(),
            }
        )),
        rustls::Error::InvalidCertRevocationList(_) => refusal(
            "the revocation list of sandbox.crl was not signed by the CA of sandbox.ca; take one of the sandbox operator"
                .to_owned(),
        ),
        error => Loss { text: format!("TLS: {error}"), kind: Kind::Weather },
    }
}

fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(PacketError::Io(error))) => {
            error.get_ref()?.downcast_ref::<rustls::Error>()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> Loss {
        explain(&ConnectionError::MqttState(StateError::ConnectionAborted), false)
    }

    #[test]
    fn a_second_client_of_the_same_id_is_suspected_when_connections_are_cut_early_again_and_again() {
        let (mut cuts, soon, late) = (Cuts::default(), Duration::from_secs(1), Duration::from_secs(16));
        let mut told = |loss, lasted| cuts.judge(loss, lasted).text;
        assert_eq!([told(cut(), soon), told(cut(), soon)], [CUT, CUT]);
        let third = told(cut(), soon);
        assert!(third.contains("3 times in a row") && third.contains("another client"), "{third}");
        assert_eq!(told(cut(), late), CUT, "a connection that lasted was no quarrel");
        assert_eq!([told(cut(), soon), told(cut(), soon)], [CUT, CUT]);
        told(stopping(), soon);
        assert_eq!([told(cut(), soon), told(cut(), soon)], [CUT, CUT], "another end in between");
    }

    #[test]
    fn a_certificate_of_tomorrow_sends_to_the_clock() {
        for reason in [CertificateError::NotValidYet, CertificateError::Expired] {
            let text = explain_tls(&rustls::Error::InvalidCertificate(reason)).text;
            assert!(text.contains("clock"), "{text}");
        }
    }

    fn told(error: CertificateError) -> Loss {
        explain_tls(&rustls::Error::InvalidCertificate(error))
    }

    #[test]
    fn a_clock_that_was_never_set_is_called_wrong_and_not_the_certificate() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let early = told(CertificateError::NotValidYetContext { time: at(0), not_before: at(1_780_000_000) });
        assert!(
            early.text.starts_with("this computer's clock is wrong: it stands at 1970-01-01T00:00:00Z"),
            "{}",
            early.text
        );
        // It is tried again every few seconds, because nobody tells the link that the clock was set.
        assert_eq!(early.kind, Kind::Weather);
        let late = told(CertificateError::ExpiredContext { time: at(2_147_483_648), not_after: at(1_780_000_000) });
        assert!(
            late.text.contains("or this computer's clock is wrong: it shows 2038-01-19T03:14:08Z"),
            "{}",
            late.text
        );
        assert_eq!(late.kind, Kind::Refusal);
    }
}
