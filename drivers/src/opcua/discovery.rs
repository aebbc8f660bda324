use opcua::types::{EndpointDescription, MessageSecurityMode};

use super::address::Address;
use super::security::{Security, policy_name};
use super::text::shown;
use crate::LinkError;

/// A server that offers more is not looked through.
const ENDPOINTS_MAX: usize = 100;

/// The one of the offered endpoints that is exactly as the configuration says. The offer comes unauthenticated, so
/// neither its order nor its security levels count, and nothing of it is a reason to accept less.
pub(crate) fn choose(
    offered: Vec<EndpointDescription>,
    security: &Security,
    address: &Address,
) -> Result<EndpointDescription, LinkError> {
    let is_wanted = |endpoint: &EndpointDescription| {
        endpoint.security_mode == security.mode
            && endpoint.security_policy_uri.as_ref() == security.policy.to_uri()
            && endpoint.endpoint_url.as_ref().starts_with("opc.tcp:")
    };
    let names: Vec<_> = offered.iter().take(ENDPOINTS_MAX).map(in_words).collect();
    match offered.into_iter().take(ENDPOINTS_MAX).find(is_wanted) {
        // Its own idea of its name may be wrong behind a router or a firewall.
        Some(endpoint) => Ok(EndpointDescription { endpoint_url: address.to_string().into(), ..endpoint }),
        None => Err(LinkError::Refused {
            what: format!("the server does not offer {}, but {}", security.in_words(), list(names)),
            hint: "let it offer what is configured; less is never accepted by itself".to_owned(),
        }),
    }
}

/// `Basic256Sha256, Sign`
pub(crate) fn in_words(endpoint: &EndpointDescription) -> String {
    let uri = endpoint.security_policy_uri.as_ref();
    let policy = opcua::crypto::SecurityPolicy::from_uri(uri);
    let name = match policy {
        opcua::crypto::SecurityPolicy::Unknown => shown(uri.rsplit('#').next().unwrap_or("nothing")),
        known => policy_name(known).to_owned(),
    };
    match endpoint.security_mode {
        MessageSecurityMode::None => name,
        MessageSecurityMode::Sign => format!("{name}, Sign"),
        MessageSecurityMode::SignAndEncrypt => format!("{name}, SignAndEncrypt"),
        MessageSecurityMode::Invalid => format!("{name}, an unknown mode"),
    }
}

fn list(mut names: Vec<String>) -> String {
    names.sort();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { shown(&names.join("; ")) }
}
