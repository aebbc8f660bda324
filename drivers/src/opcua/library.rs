use std::fs;
use std::sync::Arc;

use futures_util::Stream;
use opcua::client::{Client, ClientBuilder, IdentityToken, Session, SessionPollResult};
use opcua::crypto::{CertificateStore, SecurityPolicy, X509};
use opcua::types::{EndpointDescription, StatusCode, UserTokenPolicy};

use super::address::Address;
use super::dial::{Dial, Failure, Source};
use super::fault::{Trace, loss};
use super::guard::{Limits, Seen, Watch};
use super::own::{Own, application_uri};
use super::settings::Settings;
use super::trust::{Question, Rules, Store, Thumbprint, replace};
use crate::{LinkError, Site};

/// The protocol library, set up for one attempt to connect to one server.
pub(crate) struct Library {
    client: Client,
    pub(crate) address: Address,
    limits: Limits,
    trace: Trace,
    secured: Watch,
    /// Where the library looks for the one certificate that was found good.
    folder: std::path::PathBuf,
}

/// A session that was not yet created on the server.
pub(crate) struct Opened<E> {
    pub(crate) session: Arc<Session>,
    pub(crate) events: E,
    pub(crate) trace: Trace,
}

/// OPC 10000-6, 7.1.2.3: what a HEL offers. One chunk is never larger.
const CHUNK: usize = 65_535;
/// Milliseconds. The channel's keys are renewed after three quarters of it.
const CHANNEL_LIFETIME: u32 = 600_000;
const PRODUCT_URI: &str = "urn:lingate";

impl Library {
    pub(crate) async fn build(settings: &Settings, site: &Site, address: &Address) -> Result<Library, LinkError> {
        let own = if settings.security.is_none() { Own::of(&Store::of(&site.folder)) } else { Own::ensure(site).await? };
        // Devices of one address believe the same certificate, or the rules refuse one of them first.
        let name = Thumbprint::sha256(address.to_string().as_bytes()).to_string();
        let folder = Store::of(&site.folder).folder().join("library").join(name);
        let max_message = settings.max_message as usize;
        let trace = Trace {
            address: address.short(),
            own_certificate: own.certificate.display().to_string(),
            timeout: settings.timeout,
            ..Trace::default()
        };
        let client = ClientBuilder::new()
            .application_name(format!("lingate {}", site.gateway))
            .application_uri(application_uri(&site.gateway))
            .product_uri(PRODUCT_URI)
            .session_name(format!("lingate {}", site.gateway))
            .pki_dir(&folder)
            .certificate_path(own.certificate)
            .private_key_path(own.key)
            .create_sample_keypair(false)
            .trust_server_certs(false)
            // Its checks are a part of ours and know no exceptions.
            .verify_server_certs(false)
            .session_retry_limit(0)
            .recreate_subscriptions(false)
            .keep_alive_interval(settings.keep_alive)
            .max_failed_keep_alive_count(0)
            .request_timeout(settings.timeout)
            .publish_timeout(settings.timeout.saturating_mul(3))
            .session_timeout(u32::try_from(settings.session_timeout.as_millis()).unwrap_or(u32::MAX))
            .channel_lifetime(CHANNEL_LIFETIME)
            .max_message_size(max_message)
            .max_chunk_count(max_message.div_ceil(CHUNK) + 1)
            .max_chunk_size(CHUNK)
            .max_incoming_chunk_size(CHUNK)
            // Every element has a byte at least.
            .max_array_length(max_message)
            .max_string_length(max_message)
            .max_byte_string_length(max_message)
            .ignore_clock_skew(true)
            .client()
            .map_err(|errors| LinkError::Protocol { what: errors.join("; ") })?;
        let limits = Limits { chunk: CHUNK as u32, message: settings.max_message, policy_uri: "", certificate: None };
        Ok(Library { client, address: address.clone(), limits, trace, secured: Watch::default(), folder })
    }

    /// By the guard of the newest session.
    pub(crate) fn seen(&self) -> Seen {
        self.secured.seen()
    }

    /// What the server offers to everybody; unauthenticated.
    pub(crate) async fn endpoints(&self) -> Result<Vec<EndpointDescription>, LinkError> {
        let trace = self.trace.afresh();
        let dial = self.dial(&trace, SecurityPolicy::None, None);
        let endpoints = self.client.get_server_endpoints_from_url(dial).await;
        endpoints.map_err(|error| loss(error.status(), &trace))
    }

    /// Judges the server's certificate, and lets the library know of no other.
    pub(crate) fn trust(&self, endpoint: &EndpointDescription, rules: &Rules, site: &Site) -> Result<(), LinkError> {
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        if policy == SecurityPolicy::None {
            return Ok(());
        }
        let der = endpoint.server_certificate.as_ref();
        let application_uri = endpoint.server.application_uri.as_ref();
        let question = Question { der, host: &self.address.host, application_uri, policy, now: site.clock.now() };
        rules.judge(&question, &Store::of(&site.folder))?;
        self.hand_over(der).map_err(|what| LinkError::Refused {
            what: format!("the server's certificate cannot be handed to the protocol library: {what}"),
            hint: "look at the state folder and its disk; a common name of a few letters and digits helps".to_owned(),
        })
    }

    /// The library believes what lies in its folder under a name that holds the certificate's common name.
    fn hand_over(&self, der: &[u8]) -> Result<(), String> {
        let certificate = X509::from_der(der).map_err(|error| error.to_string())?;
        let path = self.folder.join("trusted").join(CertificateStore::cert_file_name(&certificate));
        if fs::read(&path).is_ok_and(|held| held == der) {
            return Ok(());
        }
        for folder in ["trusted", "rejected"] {
            let folder = self.folder.join(folder);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        }
        replace(&path, der).map_err(|error| error.to_string())
    }

    /// Nothing is sent before the events are polled.
    pub(crate) fn session(
        &self,
        endpoint: EndpointDescription,
        user: UserTokenPolicy,
        token: IdentityToken,
    ) -> Result<Opened<impl Stream<Item = Result<SessionPollResult, StatusCode>> + Send + use<>>, LinkError> {
        let trace = Trace { watch: self.secured.clone(), ..self.trace.afresh() };
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        let certificate = (policy != SecurityPolicy::None).then(|| Arc::from(endpoint.server_certificate.as_ref()));
        let dial = self.dial(&trace, policy, certificate);
        // The only way that is left to say who we are.
        let endpoint = EndpointDescription { user_identity_tokens: Some(vec![user]), ..endpoint };
        let built = self
            .client
            .session_builder()
            .connect_to_endpoint_directly(endpoint)
            .and_then(|builder| {
                let builder = builder.user_identity_token(token).with_connector(Source(dial));
                builder.build(self.client.certificate_store().clone())
            })
            .map_err(|error| loss(error.status(), &trace))?;
        let (session, events) = built;
        Ok(Opened { session, events: events.enter(), trace })
    }

    fn dial(&self, trace: &Trace, policy: SecurityPolicy, certificate: Option<Arc<[u8]>>) -> Dial {
        let limits = Limits { policy_uri: policy.to_uri(), certificate, ..self.limits.clone() };
        let (watch, failure): (Watch, Failure) = (trace.watch.clone(), trace.failure.clone());
        Dial { address: self.address.clone(), limits, watch, failure }
    }
}

