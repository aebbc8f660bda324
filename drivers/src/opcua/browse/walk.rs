use std::collections::{BTreeSet, VecDeque};

use opcua::client::Session;
use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResult, ByteString, NodeClass, NodeId, ObjectId, ReadValueId,
    ReferenceDescription, ReferenceTypeId, StatusCode, TimestampsToReturn, VariableId, Variant,
};

use super::{Found, Limits, Tree};
use crate::opcua::preset::tells_of_people;
use crate::opcua::text::shown;

/// Breadth first, each node once.
pub(super) struct Walk<'a> {
    session: &'a Session,
    limits: Limits,
    requests: usize,
    namespaces: Vec<String>,
    seen: BTreeSet<String>,
    pub(super) tree: Tree,
}

/// Browsed together; servers that cannot do so many are asked one by one.
const AT_ONCE: usize = 16;
const REFERENCES_MAX: u32 = 1000;
/// Of one node: a server that always has more to tell is not believed.
const CONTINUATIONS_MAX: usize = 64;
const NAMESPACES_MAX: usize = 1000;
/// Of a name or an identifier.
const TEXT_MAX: usize = 1000;
/// Object and Variable.
const CLASSES: u32 = NodeClass::Object as u32 | NodeClass::Variable as u32;
const ALL_FIELDS: u32 = 63;

/// A node whose children are wanted; `None`: of Objects itself.
struct Open {
    id: NodeId,
    found: Option<usize>,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(session: &'a Session, limits: Limits) -> Result<Walk<'a>, StatusCode> {
        let node: NodeId = VariableId::Server_NamespaceArray.into();
        let values = session.read(&[ReadValueId::from(node)], TimestampsToReturn::Neither, 0.0).await;
        let values = values.map_err(|error| error.status())?;
        let namespaces = match values.into_iter().next().and_then(|value| value.value) {
            Some(Variant::Array(array)) => array.values.into_iter().take(NAMESPACES_MAX).map(|value| match value {
                Variant::String(uri) => uri.as_ref().to_owned(),
                _ => String::new(),
            }),
            _ => return Err(StatusCode::BadUnexpectedError),
        };
        let namespaces = namespaces.collect();
        let tree = Tree::default();
        Ok(Walk { session, limits, requests: 1, namespaces, seen: BTreeSet::new(), tree })
    }

    pub(super) async fn objects(&mut self) -> Result<(), StatusCode> {
        let mut open = VecDeque::from([Open { id: ObjectId::ObjectsFolder.into(), found: None }]);
        // The server's own diagnosis tells of clients and their users.
        self.seen.insert(NodeId::from(ObjectId::Server).to_string());
        while !open.is_empty() && self.tree.cut.is_none() {
            let parents: Vec<_> = open.drain(..open.len().min(AT_ONCE)).collect();
            for (parent, references) in parents.iter().zip(self.children(&parents).await?) {
                for reference in references {
                    open.extend(self.enter(parent, &reference));
                }
            }
        }
        Ok(())
    }

    async fn children(&mut self, parents: &[Open]) -> Result<Vec<Vec<ReferenceDescription>>, StatusCode> {
        let wanted: Vec<_> = parents.iter().map(|parent| description(&parent.id)).collect();
        let mut results = match self.browse(&wanted).await {
            Ok(results) if results.len() == wanted.len() => results,
            Err(status) if wanted.len() == 1 => return Err(status),
            Ok(_) | Err(_) => {
                let mut results = Vec::new();
                for one in &wanted {
                    results.extend(self.browse(std::slice::from_ref(one)).await?.into_iter().take(1));
                }
                results
            }
        };
        let mut children = Vec::new();
        for result in &mut results {
            let mut references = result.references.take().unwrap_or_default();
            self.continue_with(&mut references, &result.continuation_point).await?;
            children.push(references);
        }
        Ok(children)
    }

    async fn continue_with(&mut self, references: &mut Vec<ReferenceDescription>, point: &ByteString) -> Result<(), StatusCode> {
        let mut point = point.clone();
        for _ in 0..CONTINUATIONS_MAX {
            if point.is_null_or_empty() {
                return Ok(());
            }
            if !self.may_ask() || self.tree.nodes.len().saturating_add(references.len()) > self.limits.nodes {
                break;
            }
            let next = self.session.browse_next(false, std::slice::from_ref(&point)).await;
            let Some(next) = next.map_err(|error| error.status())?.into_iter().next() else { return Ok(()) };
            references.extend(next.references.unwrap_or_default());
            point = next.continuation_point;
        }
        self.tree.cut.get_or_insert("a node that has more children than are asked for");
        let _ = self.session.browse_next(true, &[point]).await;
        Ok(())
    }

    async fn browse(&mut self, wanted: &[BrowseDescription]) -> Result<Vec<BrowseResult>, StatusCode> {
        if !self.may_ask() {
            return Ok(wanted.iter().map(|_| BrowseResult::default()).collect());
        }
        self.session.browse(wanted, REFERENCES_MAX, None).await.map_err(|error| error.status())
    }

    fn may_ask(&mut self) -> bool {
        self.requests += 1;
        if self.requests > self.limits.requests {
            self.tree.cut.get_or_insert("the number of requests");
        }
        self.requests <= self.limits.requests
    }

    /// The child, if its own children are wanted.
    fn enter(&mut self, parent: &Open, reference: &ReferenceDescription) -> Option<Open> {
        let id = reference.node_id.node_id.clone();
        let name = reference.browse_name.name.as_ref();
        if reference.node_id.server_index != 0 || name.len() > TEXT_MAX {
            return None;
        }
        let above = parent.found.map(|at| &self.tree.nodes[at]);
        let is_property = reference.reference_type_id == ReferenceTypeId::HasProperty;
        if let Some(at) = parent.found.filter(|at| is_property && self.tree.nodes[*at].is_variable) {
            let above = &mut self.tree.nodes[at];
            match (reference.browse_name.namespace_index, name) {
                (0, "EngineeringUnits") => above.unit_node = Some(id),
                (0, "EURange") => above.range_node = Some(id),
                _ => {}
            }
            return None;
        }
        if tells_of_people(name) {
            let path = above.map(Found::name).unwrap_or_default();
            self.tree.people.push(shown(&format!("{path}/{name}")));
            return None;
        }
        let mut path = above.map_or_else(|| vec![(self.uri(0), "Objects".to_owned())], |above| above.path.clone());
        let uri = self.uri(reference.browse_name.namespace_index);
        let node = self.text_of(&id)?;
        if !self.seen.insert(id.to_string()) {
            return None;
        }
        if self.tree.nodes.len() >= self.limits.nodes {
            self.tree.cut.get_or_insert("the number of nodes");
            return None;
        }
        path.push((uri, name.to_owned()));
        let is_open = path.len() <= self.limits.depth;
        self.tree.nodes.push(Found {
            path,
            node,
            id: id.clone(),
            is_variable: reference.node_class == NodeClass::Variable,
            is_property,
            value_type: None,
            unit: None,
            unit_text: None,
            range: None,
            unit_node: None,
            range_node: None,
        });
        let at = self.tree.nodes.len() - 1;
        (is_open && !is_property).then_some(Open { id, found: Some(at) })
    }

    fn uri(&self, index: u16) -> String {
        self.namespaces.get(usize::from(index)).cloned().unwrap_or_default()
    }

    /// With the namespace's URI (OPC 10000-6, 5.1.12); `None`: the server has no such namespace, or the id is monstrous.
    fn text_of(&self, id: &NodeId) -> Option<String> {
        let identifier = id.identifier.to_string();
        if identifier.len() > TEXT_MAX {
            return None;
        }
        if id.namespace == 0 {
            return Some(identifier);
        }
        let uri = self.namespaces.get(usize::from(id.namespace)).filter(|uri| !uri.is_empty() && uri.len() <= TEXT_MAX)?;
        Some(format!("nsu={};{identifier}", uri.replace('%', "%25").replace(';', "%3B")))
    }
}

fn description(node: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: CLASSES,
        result_mask: ALL_FIELDS,
    }
}
