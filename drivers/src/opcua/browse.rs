//! A server's address space, as far as the limits go, for `lingate browse`. Nothing of it is chosen here: what may leave
//! is for people to decide.

mod toml;
mod walk;

use opcua::types::{
    AttributeId, DataTypeId, DataValue, EUInformation, NodeId, Range, ReadValueId, TimestampsToReturn, Variant,
};
use opcua::client::Session;
use tokio::time::timeout;

use self::walk::Walk;
use super::connection::Connection;
use super::preset::Preset;
use super::tool::Tool;
use super::{text::shown, units};
use crate::{LinkError, Site};

/// What a browse may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Below the starting node.
    pub depth: usize,
    pub nodes: usize,
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { depth: 12, nodes: 20_000, requests: 5_000 }
    }
}

/// In the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub nodes: Vec<Found>,
    /// Browse names below which nothing was asked, because they tell of people.
    pub people: Vec<String>,
    /// The limit that ended it.
    pub cut: Option<&'static str>,
}

/// A node below Objects.
#[derive(Clone, Debug)]
pub struct Found {
    /// Namespace URI and browse name, from the child of Root on; as they came.
    pub(crate) path: Vec<(String, String)>,
    /// `nsu=...;s=...`, as it came.
    pub(crate) node: String,
    pub(crate) id: NodeId,
    pub is_variable: bool,
    /// A property, such as a serial number: shown, not proposed.
    pub is_property: bool,
    /// Of a variable: `double`, `int32[]`.
    pub value_type: Option<String>,
    /// UCUM.
    pub unit: Option<&'static str>,
    /// What the server calls the unit; escaped and cut.
    pub unit_text: Option<String>,
    pub range: Option<(f64, f64)>,
    unit_node: Option<NodeId>,
    range_node: Option<NodeId>,
}

/// For everything.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);
const READ_AT_ONCE: usize = 100;

pub async fn browse(tool: &Tool, site: &Site, limits: Limits, preset: Option<&Preset>) -> Result<Tree, LinkError> {
    let settings = &tool.settings;
    let mut connection = Connection::open(settings, site, &settings.endpoints[0]).await.map_err(|failed| failed.error)?;
    let session = connection.session();
    let found = timeout(PATIENCE, connection.during(look(&session, limits, preset))).await;
    connection.close().await;
    found.unwrap_or(Err(LinkError::Timeout { doing: "browsing", after: PATIENCE })).and_then(|found| {
        found.map_err(|status| LinkError::Protocol { what: format!("browsing ended with {status}") })
    })
}

impl Found {
    /// Parents before their children, siblings by name.
    pub fn sort_key(&self) -> impl Ord + use<> {
        self.path.clone()
    }

    pub fn depth(&self) -> usize {
        self.path.len()
    }

    /// Escaped and cut.
    pub fn name(&self) -> String {
        self.path.last().map(|(_, name)| shown(name)).unwrap_or_default()
    }

    /// Escaped and cut.
    pub fn node(&self) -> String {
        shown(&self.node)
    }
}

async fn look(session: &Session, limits: Limits, preset: Option<&Preset>) -> Result<Tree, opcua::types::StatusCode> {
    let mut walk = Walk::begin(session, limits).await?;
    walk.objects().await?;
    let mut tree = walk.tree;
    if let Some(preset) = preset {
        tree.nodes.retain(|found| found.is_variable && preset.machine_of(&found.path).is_some());
    }
    for some in tree.nodes.chunks_mut(READ_AT_ONCE) {
        types(session, some).await;
        units_and_ranges(session, some).await;
    }
    Ok(tree)
}

/// Left out where the server does not say.
async fn types(session: &Session, nodes: &mut [Found]) {
    let attribute = |id: &NodeId, attribute: AttributeId| ReadValueId {
        node_id: id.clone(),
        attribute_id: attribute as u32,
        ..ReadValueId::default()
    };
    let variables: Vec<_> = nodes.iter_mut().filter(|found| found.is_variable).collect();
    let wanted: Vec<_> = variables
        .iter()
        .flat_map(|found| [attribute(&found.id, AttributeId::DataType), attribute(&found.id, AttributeId::ValueRank)])
        .collect();
    let answers = read(session, &wanted).await;
    for (found, answer) in variables.into_iter().zip(answers.chunks(2)) {
        let [data_type, rank] = answer else { continue };
        let Some(Variant::NodeId(data_type)) = &data_type.value else { continue };
        let rank = if let Some(Variant::Int32(rank)) = rank.value { rank } else { -1 };
        let dimensions = match rank {
            1 => "[]",
            2 => "[,]",
            3 => "[,,]",
            _ => "",
        };
        found.value_type = builtin(data_type).map(|word| format!("{word}{dimensions}"));
    }
}

/// The built-in type of what namespace 0 defines (OPC 10000-3, 8; OPC 10000-5, 12); an enumeration is an Int32.
fn builtin(data_type: &NodeId) -> Option<&'static str> {
    const WORDS: [&str; 25] = [
        "boolean", "sbyte", "byte", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float", "double", "string",
        "datetime", "guid", "bytestring", "xmlelement", "nodeid", "expandednodeid", "statuscode", "qualifiedname",
        "localizedtext", "structure", "datavalue", "variant", "diagnosticinfo",
    ];
    if data_type.namespace != 0 {
        return None;
    }
    let id = match data_type.as_data_type_id().ok()? {
        DataTypeId::Duration => 11,
        DataTypeId::UtcTime => 13,
        DataTypeId::LocaleId => 12,
        DataTypeId::Counter | DataTypeId::IntegerId => 7,
        DataTypeId::Enumeration | DataTypeId::ServerState => 6,
        DataTypeId::EUInformation | DataTypeId::Range => 22,
        other => other as usize,
    };
    // A scalar Variant (BaseDataType) has no type of its own.
    WORDS.get(id.checked_sub(1)?).copied().filter(|word| *word != "variant")
}

async fn units_and_ranges(session: &Session, nodes: &mut [Found]) {
    let wanted: Vec<_> = nodes.iter().flat_map(|found| [found.unit_node.clone(), found.range_node.clone()]).collect();
    let asked: Vec<_> = wanted.iter().flatten().map(|id| ReadValueId::from(id.clone())).collect();
    let mut answers = read(session, &asked).await.into_iter();
    for found in nodes {
        if found.unit_node.is_some() && let Some(answer) = answers.next() {
            found.take_unit(&answer);
        }
        if found.range_node.is_some() && let Some(answer) = answers.next() {
            found.take_range(&answer);
        }
    }
}

impl Found {
    fn take_unit(&mut self, answer: &DataValue) {
        let Some(Variant::ExtensionObject(object)) = &answer.value else { return };
        let Some(unit) = object.inner_as::<EUInformation>() else { return };
        self.unit = units::ucum(unit.namespace_uri.as_ref(), unit.unit_id);
        self.unit_text = Some(shown(unit.display_name.text.as_ref()));
    }

    fn take_range(&mut self, answer: &DataValue) {
        let Some(Variant::ExtensionObject(object)) = &answer.value else { return };
        let Some(range) = object.inner_as::<Range>() else { return };
        let is_range = range.low.is_finite() && range.high.is_finite() && range.low < range.high;
        self.range = is_range.then_some((range.low, range.high));
    }
}

/// As many as asked for, or none.
async fn read(session: &Session, nodes: &[ReadValueId]) -> Vec<DataValue> {
    if nodes.is_empty() {
        return Vec::new();
    }
    let values = session.read(nodes, TimestampsToReturn::Neither, 0.0).await.unwrap_or_default();
    if values.len() == nodes.len() { values } else { Vec::new() }
}
