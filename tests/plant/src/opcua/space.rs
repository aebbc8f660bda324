//! A machine's nodes: one object, folders below it, variables with their engineering units.

use std::collections::BTreeMap;

use opcua::nodes::{AccessLevel, DataTypeBuilder, ObjectBuilder, VariableBuilder};
use opcua::server::address_space::AddressSpace;
use opcua::types::{
    DataTypeDefinition, DataTypeId, EUInformation, ExtensionObject, Identifier, LocalizedText, NodeId, ObjectId,
    ObjectTypeId, QualifiedName, ReferenceTypeId, StructureDefinition, StructureField, StructureType, UAString,
    VariableTypeId,
};

use super::machine::{Quantity, Variable};
use super::samples::DESCRIBED;
use super::spec::MachineSpec;
use super::wire;

/// Node ids of the variables, in their order.
pub(super) fn build(
    spec: &MachineSpec,
    namespace: u16,
    n: u32,
    has_history: bool,
    space: &mut AddressSpace,
) -> Vec<NodeId> {
    let builder = Builder { spec, namespace, n, has_history };
    let root = node(namespace, &spec.name);
    ObjectBuilder::new(&root, QualifiedName::new(namespace, spec.name.as_str()), spec.name.as_str())
        .organized_by(ObjectId::ObjectsFolder)
        .has_type_definition(ObjectTypeId::BaseObjectType)
        .insert(space);
    let mut folders = BTreeMap::from([(String::new(), root)]);
    if spec.variables().iter().any(|variable| matches!(variable.quantity, Quantity::Sample(_))) {
        builder.describe(space);
    }
    spec.variables().iter().map(|variable| builder.place(variable, &mut folders, space)).collect()
}

fn node(namespace: u16, identifier: &str) -> NodeId {
    NodeId::new(namespace, Identifier::from(identifier.to_owned()))
}

struct Builder<'a> {
    spec: &'a MachineSpec,
    namespace: u16,
    n: u32,
    has_history: bool,
}

impl Builder<'_> {
    fn place(&self, variable: &Variable, folders: &mut BTreeMap<String, NodeId>, space: &mut AddressSpace) -> NodeId {
        let (folder, name) = variable.path.rsplit_once('/').unwrap_or(("", &variable.path));
        let parent = self.folder(folder, folders, space);
        let id = node(self.namespace, &self.spec.identifier(variable));
        let value = wire::variant(&self.spec.value(variable, self.n), self.namespace);
        let (element, rank) = self.spec.builtin_type(variable);
        let data_type = match variable.name.as_str() {
            "structure_described" | "array_structure" => NodeId::new(self.namespace, DESCRIBED.0),
            // A Variant holds anything: BaseDataType.
            _ => NodeId::new(0, element as u32),
        };
        let mut access = AccessLevel::CURRENT_READ;
        if self.has_history {
            access |= AccessLevel::HISTORY_READ;
        }
        let mut builder = VariableBuilder::new(&id, QualifiedName::new(self.namespace, name), name)
            .data_type(data_type)
            .value_rank(if rank == 0 { -1 } else { i32::from(rank) })
            .value(value)
            .access_level(access)
            .user_access_level(access)
            .historizing(self.has_history)
            .has_type_definition(VariableTypeId::BaseAnalogType)
            .component_of(parent);
        if rank > 0 {
            builder = builder.array_dimensions(&vec![0; usize::from(rank)]);
        }
        builder.insert(space);
        self.units(variable, &id, space);
        id
    }

    fn folder(&self, path: &str, folders: &mut BTreeMap<String, NodeId>, space: &mut AddressSpace) -> NodeId {
        if let Some(found) = folders.get(path) {
            return found.clone();
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.folder(parent, folders, space);
        let id = node(self.namespace, &format!("{}/{path}", self.spec.name));
        ObjectBuilder::new(&id, QualifiedName::new(self.namespace, name), name)
            .component_of(parent)
            .has_type_definition(ObjectTypeId::BaseObjectType)
            .insert(space);
        folders.insert(path.to_owned(), id.clone());
        id
    }

    /// OPC 10000-8, 5.6.3: the unit id is the UNECE code's letters as a number.
    fn units(&self, variable: &Variable, id: &NodeId, space: &mut AddressSpace) {
        let Some((code, shown)) = unece(variable.unit) else { return };
        let unit = EUInformation {
            namespace_uri: UAString::from("http://www.opcfoundation.org/UA/units/un/cefact"),
            unit_id: code.bytes().fold(0, |id, letter| id << 8 | i32::from(letter)),
            display_name: LocalizedText::new("", shown),
            description: LocalizedText::null(),
        };
        let property = node(self.namespace, &format!("{}/EngineeringUnits", self.spec.identifier(variable)));
        VariableBuilder::new(&property, "EngineeringUnits", "EngineeringUnits")
            .data_type(DataTypeId::EUInformation)
            .value_rank(-1)
            .value(ExtensionObject::new(unit))
            .access_level(AccessLevel::CURRENT_READ)
            .user_access_level(AccessLevel::CURRENT_READ)
            .has_type_definition(VariableTypeId::PropertyType)
            .property_of(id.clone())
            .insert(space);
    }

    /// The data type with its definition, and its binary encoding (OPC 10000-3, 5.8.3 and 8.48).
    fn describe(&self, space: &mut AddressSpace) {
        let (id, encoding) = (NodeId::new(self.namespace, DESCRIBED.0), NodeId::new(self.namespace, DESCRIBED.1));
        let field = |name: &str, data_type: DataTypeId, value_rank: i32| StructureField {
            name: name.into(),
            data_type: data_type.into(),
            value_rank,
            array_dimensions: (value_rank > 0).then(|| vec![0]),
            ..StructureField::default()
        };
        let definition = DataTypeDefinition::Structure(StructureDefinition {
            default_encoding_id: encoding.clone(),
            base_data_type: DataTypeId::Structure.into(),
            structure_type: StructureType::Structure,
            fields: Some(vec![
                field("StepNumber", DataTypeId::UInt32, -1),
                field("Name", DataTypeId::String, -1),
                field("Setpoint", DataTypeId::Double, -1),
                field("Limits", DataTypeId::Double, 1),
                field("Skippable", DataTypeId::Boolean, -1),
            ]),
        });
        DataTypeBuilder::new(&id, QualifiedName::new(self.namespace, "RecipeStep"), "RecipeStep")
            .data_type_definition(definition)
            .subtype_of(DataTypeId::Structure)
            .insert(space);
        ObjectBuilder::new(&encoding, "Default Binary", "Default Binary")
            .has_type_definition(ObjectTypeId::DataTypeEncodingType)
            .insert(space);
        space.insert_reference(&id, &encoding, ReferenceTypeId::HasEncoding);
    }
}

/// UCUM to UNECE Recommendation 20, with what a display shows.
fn unece(unit: &str) -> Option<(&'static str, &'static str)> {
    Some(match unit {
        "Cel" => ("CEL", "°C"),
        "Pa" => ("PAL", "Pa"),
        "mbar" => ("MBR", "mbar"),
        "bar" => ("BAR", "bar"),
        "%" => ("P1", "%"),
        "W" => ("WTT", "W"),
        "V" => ("VLT", "V"),
        "W.h" => ("WHR", "W·h"),
        "/min" => ("RPM", "r/min"),
        "kg" => ("KGM", "kg"),
        "kg/h" => ("E93", "kg/h"),
        "m" => ("MTR", "m"),
        "m/min" => ("2X", "m/min"),
        "mL" => ("MLT", "mL"),
        "[pH]" => ("Q30", "pH"),
        _ => return None,
    })
}
