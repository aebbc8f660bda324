use std::collections::{BTreeMap, HashMap, VecDeque};

use lingate_model::{BuiltinType, StatusCode};
use opcua::types::{
    AttributeId, BinaryDecodable, BrowseDescription, BrowseDirection, ContextOwned, NodeId, ObjectId, ReferenceTypeId,
    StructureDefinition, Variant,
};

use super::ask::Ask;
use super::convert::body_of;
use super::desk::{Desk, Done};
use super::names::Namespaces;
use super::standard;
use super::structure::{Content, Description, TYPES_MAX, Types, standard_content};
use super::subscription::attribute;

/// What the server says of one data type.
enum Defined {
    Structure(StructureDefinition),
    /// Any other type, as it is on the wire.
    Plain(BuiltinType),
}

/// Requests are small and follow each other: describing types has overloaded controllers.
const CHUNK: usize = 20;
/// Types that stand between a data type and the built-in type below it.
const BASES_MAX: usize = 10;

impl Desk<'_> {
    /// Only the types of points that are structures, and only once.
    pub(crate) async fn describe_types(&mut self) -> Result<(), StatusCode> {
        let is_structure = |point: &usize| {
            let item = &self.plan.items[*point];
            item.shape.builtin_type == BuiltinType::Structure || !item.field.is_empty()
        };
        let points: Vec<usize> = (0..self.nodes.len()).filter(is_structure).collect();
        let nodes: Vec<NodeId> = points.into_iter().filter_map(|point| self.nodes[point].clone().ok()).collect();
        let mut types = Vec::new();
        for chunk in nodes.chunks(CHUNK) {
            let asked = chunk.iter().map(|node| attribute(node.clone(), AttributeId::DataType)).collect();
            let Ok(read) = self.ask.read(asked).await else { break };
            types.extend(read.values.into_iter().filter_map(|value| match value.value {
                Some(Variant::NodeId(data_type)) => Some(*data_type),
                _ => None,
            }));
        }
        types.sort_by_key(ToString::to_string);
        types.dedup();
        standard::add_to(&mut self.types);
        describe(&self.ask, &self.server.namespaces, types, &mut self.types).await;
        Ok(())
    }

    /// Asks for the types of structures that came without a description: a value may be of a subtype.
    pub(crate) fn describe_more(&mut self) {
        let unknown = self.types.take_unknown();
        if unknown.is_empty() {
            return;
        }
        let (ask, namespaces) = (self.ask.clone(), self.server.namespaces.clone());
        self.pending.push(Box::pin(async move {
            let mut types = Types::default();
            let mut data_types = Vec::new();
            for encoding in unknown {
                data_types.extend(up(&ask, encoding, ReferenceTypeId::HasEncoding).await);
            }
            describe(&ask, &namespaces, data_types, &mut types).await;
            Done::Described(types)
        }));
    }

    pub(crate) fn described(&mut self, types: Types) {
        self.types.extend(types);
    }
}

/// Adds the descriptions of these data types and of all that are in them. What the server does not tell stays unknown.
async fn describe(ask: &Ask, namespaces: &Namespaces, data_types: Vec<NodeId>, types: &mut Types) {
    let mut defined: HashMap<NodeId, Defined> = HashMap::new();
    let mut order = Vec::new();
    let mut open: VecDeque<NodeId> = data_types.into();
    while !open.is_empty() && defined.len() < TYPES_MAX {
        let mut chunk: Vec<NodeId> = open.drain(..open.len().min(CHUNK)).collect();
        chunk.retain(|id| !defined.contains_key(id) && standard_content(id).is_none());
        for (id, definition) in define(ask, chunk).await {
            if let Defined::Structure(structure) = &definition {
                open.extend(structure.fields.iter().flatten().map(|field| field.data_type.clone()));
                order.push(id.clone());
            }
            defined.insert(id, definition);
        }
    }
    let content = |id: &NodeId| match defined.get(id) {
        Some(Defined::Structure(_)) => Some(Content::Structure(id.clone())),
        Some(Defined::Plain(builtin)) => Some(Content::Builtin(*builtin)),
        None => standard_content(id),
    };
    for id in order {
        let Some(Defined::Structure(structure)) = defined.get(&id) else { continue };
        let Ok(type_id) = namespaces.node_text(&id) else { continue };
        if let Some(description) = Description::new(type_id.into(), structure, content) {
            types.add(id, structure.default_encoding_id.clone(), description);
        }
    }
}

async fn define(ask: &Ask, ids: Vec<NodeId>) -> Vec<(NodeId, Defined)> {
    if ids.is_empty() {
        return Vec::new();
    }
    let asked = ids.iter().map(|id| attribute(id.clone(), AttributeId::DataTypeDefinition)).collect();
    let read: BTreeMap<usize, Option<Variant>> = match ask.read(asked).await {
        Ok(read) => read.values.into_iter().map(|value| value.value).enumerate().collect(),
        Err(_) => return Vec::new(),
    };
    let mut defined = Vec::new();
    for (id, value) in ids.into_iter().zip(read.into_values()) {
        let definition = match value {
            Some(Variant::ExtensionObject(object)) => body_of(&object).and_then(|(id, body)| parse(id, body)),
            _ => base(ask, &id).await.map(Defined::Plain),
        };
        defined.extend(definition.map(|definition| (id, definition)));
    }
    defined
}

fn parse(encoding: &NodeId, mut body: &[u8]) -> Option<Defined> {
    match encoding.as_object_id().ok()? {
        ObjectId::StructureDefinition_Encoding_DefaultBinary => {
            let context = ContextOwned::default();
            StructureDefinition::decode(&mut body, &context.context()).ok().map(Defined::Structure)
        }
        ObjectId::EnumDefinition_Encoding_DefaultBinary => Some(Defined::Plain(BuiltinType::Int32)),
        _ => None,
    }
}

/// The built-in type that a data type without fields is made of.
async fn base(ask: &Ask, id: &NodeId) -> Option<BuiltinType> {
    let mut id = id.clone();
    for _ in 0..BASES_MAX {
        id = up(ask, id, ReferenceTypeId::HasSubtype).await?;
        if let Some(Content::Builtin(builtin)) = standard_content(&id) {
            // Fields of the abstract structure come with a frame, of one without a definition nobody knows them.
            return Some(builtin).filter(|builtin| *builtin != BuiltinType::Structure);
        }
    }
    None
}

/// The node at the other end of a reference that points here.
async fn up(ask: &Ask, node_id: NodeId, by: ReferenceTypeId) -> Option<NodeId> {
    let description = BrowseDescription {
        node_id,
        browse_direction: BrowseDirection::Inverse,
        reference_type_id: by.into(),
        include_subtypes: false,
        node_class_mask: 0,
        result_mask: 0,
    };
    let found = ask.browse(vec![description]).await.ok()?.pop()?;
    let reference = found.references?.into_iter().next()?;
    (reference.node_id.server_index == 0).then_some(reference.node_id.node_id)
}
