//! What a server tells of itself, for `lingate probe opcua`. Believes nothing: it only shows.

use lingate_model::{DeviceIdentity, DeviceTime};
use opcua::client::Session;
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    DataValue, EndpointDescription, NodeId, ReadValueId, TimestampsToReturn, UserTokenType, VariableId, Variant,
};
use serde::Serialize;
use tokio::time::timeout;

use super::connection::Connection;
use super::discovery::in_words;
use super::library::Library;
use super::settings::Settings;
use super::tool::Tool;
use super::text::shown;
use super::trust::Certificate;
use crate::{LinkError, Site};

/// All texts are escaped and cut.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    pub address: String,
    pub application: String,
    pub application_uri: String,
    pub product_uri: String,
    /// At most 100.
    pub endpoints: Vec<Offered>,
    pub certificate: Option<ShownCertificate>,
    pub session: Option<About>,
    /// Why there is no session.
    pub no_session: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offered {
    pub url: String,
    /// `Basic256Sha256, SignAndEncrypt`
    pub security: String,
    /// Not for new installations: no protection, or SHA-1.
    pub is_weak: bool,
    /// The server's own opinion; the gateway does not follow it.
    pub level: u8,
    pub users: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShownCertificate {
    pub subject: String,
    pub issuer: String,
    pub sha256: String,
    pub sha1: String,
    pub hosts: String,
    pub application_uri: String,
    pub key_bits: usize,
    pub is_signed_with_sha1: bool,
    /// Negative: it is over.
    pub days_left: i64,
}

/// What only a session can ask.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    pub vendor: String,
    pub product: String,
    pub version: String,
    /// 0: it runs.
    pub state: Option<i32>,
    /// The server's clock less that of the gateway, milliseconds.
    pub clock_skew_ms: Option<i64>,
    pub service_level: Option<u8>,
    /// By name, those that are set.
    pub limits: Vec<(&'static str, u32)>,
    pub namespaces: Vec<String>,
}

const NAMESPACES_MAX: usize = 200;

/// Answers within twice the tool's `connect_timeout`.
pub async fn probe(tool: &Tool, site: &Site) -> Result<Probe, LinkError> {
    let Tool { settings, wants_session } = tool;
    let address = &settings.endpoints[0];
    let library = Library::build(settings, site, address).await?;
    let after = settings.connect_timeout;
    let offered = timeout(after, library.endpoints()).await;
    let offered = offered.unwrap_or(Err(LinkError::Timeout { doing: "asking for its endpoints", after }))?;
    let mut probe = Probe::of(&offered, address.to_string(), site);
    if !wants_session {
        probe.no_session = Some("a session is opened only for a device of a configuration, or without any protection with --anonymous-none".to_owned());
        return Ok(probe);
    }
    match ask(settings, site).await {
        Ok(about) => probe.session = Some(about),
        Err(error) => probe.no_session = Some(error.to_string()),
    }
    Ok(probe)
}

impl Probe {
    fn of(offered: &[EndpointDescription], address: String, site: &Site) -> Probe {
        let server = offered.first().map(|endpoint| &endpoint.server);
        let text = |text: Option<&str>| shown(text.unwrap_or(""));
        let now = site.clock.now().utc;
        let certificate = offered.iter().find_map(|endpoint| {
            let certificate = Certificate::parse(endpoint.server_certificate.as_ref()).ok()?;
            Some(ShownCertificate::of(&certificate, now))
        });
        Probe {
            address,
            application: text(server.map(|server| server.application_name.text.as_ref())),
            application_uri: text(server.map(|server| server.application_uri.as_ref())),
            product_uri: text(server.map(|server| server.product_uri.as_ref())),
            endpoints: offered.iter().take(100).map(Offered::of).collect(),
            certificate,
            session: None,
            no_session: None,
        }
    }
}

impl Offered {
    fn of(endpoint: &EndpointDescription) -> Offered {
        let policy = SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref());
        let users = endpoint.user_identity_tokens.iter().flatten().take(20).map(|policy| match policy.token_type {
            UserTokenType::Anonymous => "anonymous".to_owned(),
            UserTokenType::UserName => "user name".to_owned(),
            UserTokenType::Certificate => "certificate".to_owned(),
            UserTokenType::IssuedToken => "issued token".to_owned(),
        });
        let mut users: Vec<String> = users.collect();
        users.dedup();
        let is_weak = matches!(
            policy,
            SecurityPolicy::None | SecurityPolicy::Basic128Rsa15 | SecurityPolicy::Basic256 | SecurityPolicy::Unknown
        );
        Offered {
            url: shown(endpoint.endpoint_url.as_ref()),
            security: in_words(endpoint),
            is_weak,
            level: endpoint.security_level,
            users,
        }
    }
}

impl ShownCertificate {
    pub fn of(certificate: &Certificate, now: lingate_model::UtcMicros) -> ShownCertificate {
        ShownCertificate {
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            sha256: certificate.sha256().to_string(),
            sha1: super::trust::Thumbprint::sha1(certificate.der()).to_string(),
            hosts: certificate.hosts(),
            application_uri: shown(certificate.application_uri().unwrap_or("")),
            key_bits: certificate.key_bits(),
            is_signed_with_sha1: certificate.is_signed_with_sha1(),
            days_left: certificate.days_left(now),
        }
    }
}

async fn ask(settings: &Settings, site: &Site) -> Result<About, LinkError> {
    let mut connection = Connection::open(settings, site, &settings.endpoints[0]).await.map_err(|failed| failed.error)?;
    let session = connection.session();
    let after = settings.connect_timeout;
    let about = timeout(after, connection.during(About::ask(&session, site))).await;
    connection.close().await;
    about.unwrap_or(Err(LinkError::Timeout { doing: "asking for its limits", after }))
}

/// OPC 10000-5, 6.3.11.
const LIMITS: [(&str, VariableId); 9] = [
    ("nodes per read", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
    ("nodes per history read", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData),
    ("nodes per browse", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse),
    ("nodes per translate", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds),
    ("nodes per register", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes),
    ("monitored items per call", VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall),
    ("sessions", VariableId::Server_ServerCapabilities_MaxSessions),
    ("subscriptions", VariableId::Server_ServerCapabilities_MaxSubscriptions),
    ("array length", VariableId::Server_ServerCapabilities_MaxArrayLength),
];

impl About {
    /// What the server does not tell stays empty.
    async fn ask(session: &Session, site: &Site) -> About {
        const STATUS: [VariableId; 7] = [
            VariableId::Server_ServerStatus_BuildInfo_ManufacturerName,
            VariableId::Server_ServerStatus_BuildInfo_ProductName,
            VariableId::Server_ServerStatus_BuildInfo_SoftwareVersion,
            VariableId::Server_ServerStatus_State,
            VariableId::Server_ServerStatus_CurrentTime,
            VariableId::Server_ServiceLevel,
            VariableId::Server_NamespaceArray,
        ];
        let values = read(session, &STATUS).await;
        let now = site.clock.now().utc;
        let value = |index: usize| values.get(index).and_then(|value| value.value.as_ref());
        let text = |index: usize| match value(index) {
            Some(Variant::String(text)) => shown(text.as_ref()),
            Some(Variant::LocalizedText(text)) => shown(text.text.as_ref()),
            _ => String::new(),
        };
        let skew = |time: &opcua::types::DateTime| {
            DeviceTime(time.ticks()).utc().0.saturating_sub(now.0).div_euclid(1000)
        };
        let namespaces = match value(6) {
            Some(Variant::Array(array)) => array.values.iter().take(NAMESPACES_MAX).filter_map(|value| match value {
                Variant::String(uri) => Some(shown(uri.as_ref())),
                _ => None,
            }),
            _ => return About::default(),
        };
        let mut about = About {
            vendor: text(0),
            product: text(1),
            version: text(2),
            state: if let Some(Variant::Int32(state)) = value(3) { Some(*state) } else { None },
            clock_skew_ms: if let Some(Variant::DateTime(time)) = value(4) { Some(skew(time)) } else { None },
            service_level: if let Some(Variant::Byte(level)) = value(5) { Some(*level) } else { None },
            limits: Vec::new(),
            namespaces: namespaces.collect(),
        };
        let values = read(session, &LIMITS.map(|(_, node)| node)).await;
        about.limits = LIMITS.iter().zip(values).filter_map(|((name, _), value)| Some((*name, limit(&value)?))).collect();
        about
    }

    pub fn identity(&self) -> DeviceIdentity {
        let About { vendor, product, version, .. } = self.clone();
        DeviceIdentity { vendor, product, revision: version }
    }
}

/// 0 means that there is none.
fn limit(value: &DataValue) -> Option<u32> {
    match value.value {
        Some(Variant::UInt32(limit)) if limit > 0 => Some(limit),
        Some(Variant::UInt16(limit)) if limit > 0 => Some(u32::from(limit)),
        _ => None,
    }
}

async fn read(session: &Session, nodes: &[VariableId]) -> Vec<DataValue> {
    let nodes: Vec<_> = nodes.iter().map(|node| ReadValueId::from(NodeId::from(*node))).collect();
    session.read(&nodes, TimestampsToReturn::Neither, 0.0).await.unwrap_or_default()
}
