use std::time::Duration;

use opcua::types::StatusCode;

use super::dial::Failure;
use super::guard::{Seen, Watch};
use crate::LinkError;

/// What is known of a connection beside the library's status code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) address: String,
    pub(crate) failure: Failure,
    pub(crate) watch: Watch,
    /// Where the server's people find what they have to trust.
    pub(crate) own_certificate: String,
    pub(crate) timeout: Duration,
}

impl Trace {
    /// For another connection to the same server.
    pub(crate) fn afresh(&self) -> Trace {
        Trace { failure: Failure::default(), watch: Watch::default(), ..self.clone() }
    }
}

/// Why a connection is gone, or never came.
pub(crate) fn loss(status: StatusCode, trace: &Trace) -> LinkError {
    let Seen { breach, .. } = trace.watch.seen();
    if let Some(breach) = breach {
        return LinkError::Protocol { what: breach.to_string() };
    }
    if let Some(source) = trace.failure.take() {
        return LinkError::Connect { address: trace.address.clone(), source };
    }
    let refused = |what: &str, hint: &str| LinkError::Refused { what: format!("{what} ({status})"), hint: hint.to_owned() };
    match status {
        StatusCode::BadTimeout | StatusCode::BadRequestTimeout => {
            LinkError::Timeout { doing: "waiting for the server", after: trace.timeout }
        }
        StatusCode::Good | StatusCode::BadConnectionClosed | StatusCode::BadCommunicationError => LinkError::Closed,
        StatusCode::BadUserAccessDenied | StatusCode::BadIdentityTokenRejected | StatusCode::BadIdentityTokenInvalid => {
            refused("the server refuses this user", "check user, password and the user's rights on the server")
        }
        StatusCode::BadSecurityChecksFailed
        | StatusCode::BadCertificateUntrusted
        | StatusCode::BadCertificateChainIncomplete
        | StatusCode::BadCertificateInvalid => refused(
            "the server does not accept the gateway's certificate",
            &format!("trust {} on the server", trace.own_certificate),
        ),
        StatusCode::BadTooManySessions | StatusCode::BadTcpNotEnoughResources | StatusCode::BadMaxConnectionsReached => refused(
            "the server has no session left",
            "close other clients, or let the server have more sessions",
        ),
        StatusCode::BadSecurityPolicyRejected | StatusCode::BadSecurityModeRejected => {
            refused("the server refuses this security", "look at `lingate probe opcua` and change policy or security")
        }
        _ => LinkError::Protocol { what: status.to_string() },
    }
}
