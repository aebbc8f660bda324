use std::fmt::Display;
use std::io::ErrorKind;

use lingate_config::Broker;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, TlsError};
use rustls::{AlertDescription, CertificateError};

use super::connection::{CONNECT_TIMEOUT, SILENCE};

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
        error => weather(error.to_string()),
    }
}

fn explain_tls(error: &rustls::Error) -> Loss {
    use AlertDescription as Alert;
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
        rustls::Error::InvalidCertificate(reason) => refusal(format!(
            "the broker's certificate is refused: {}",
            match reason {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } =>
                    "it is for another host name; check sandbox.broker, or whether this is the right broker".to_owned(),
                CertificateError::UnknownIssuer | CertificateError::BadSignature =>
                    "it was not issued by the CA of sandbox.ca; check sandbox.ca, or whether this is the right broker"
                        .to_owned(),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } =>
                    "it has expired; tell the sandbox operator, and compare this computer's clock".to_owned(),
                reason => reason.to_string(),
            }
        )),
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
