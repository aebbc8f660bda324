use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lingate_model::{BuiltinType, Structure, Value};
use opcua::types::{NodeId, StructureDefinition, StructureField, StructureType};

use super::decode::{Decoder, array, dimensions};
use super::wire::{Flaw, Wire};

/// What the server's DataTypeDefinition attributes say of its structures (OPC 10000-3, 8.47), for one session.
#[derive(Debug, Default)]
pub(crate) struct Types {
    by_encoding: HashMap<NodeId, Arc<Description>>,
    by_type: HashMap<NodeId, Arc<Description>>,
    notes: Mutex<Notes>,
}

/// What decoding found out about the types, on its way.
#[derive(Debug, Default)]
struct Notes {
    /// Encoding ids without a description, to ask the server for.
    unknown: BTreeSet<String>,
    unknown_ids: Vec<NodeId>,
    opaque: u64,
}

/// One structure or union.
#[derive(Debug, PartialEq)]
pub(crate) struct Description {
    /// The data type's NodeId in text form.
    pub(crate) type_id: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Optional fields are named by a mask in front.
    Optional,
    /// One field, named by a number in front.
    Union,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) content: Content,
    /// 0: a scalar.
    pub(crate) rank: u8,
    pub(crate) is_optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Builtin(BuiltinType),
    /// Of this data type, without a frame around it.
    Structure(NodeId),
}

/// Different encoding ids that a server may send before the rest is not asked for.
const UNKNOWN_MAX: usize = 64;
/// Structures of one server.
pub(crate) const TYPES_MAX: usize = 512;
/// Fields of one structure.
const FIELDS_MAX: usize = 1024;

/// ns=0;i=50, which has no description: its encoding is the standard's own (OPC 10000-6, 5.2.2.18 and 5.1.10).
const DECIMAL: u32 = 50;

impl Types {
    pub(crate) fn find(&self, encoding: &NodeId) -> Option<&Description> {
        self.by_encoding.get(encoding).map(Arc::as_ref)
    }

    /// What was found out later.
    pub(crate) fn extend(&mut self, more: Types) {
        if self.by_type.len() + more.by_type.len() <= TYPES_MAX {
            self.by_type.extend(more.by_type);
            self.by_encoding.extend(more.by_encoding);
        }
    }

    pub(crate) fn add(&mut self, data_type: NodeId, encoding: NodeId, description: Description) {
        if self.by_type.len() >= TYPES_MAX {
            return;
        }
        let description = Arc::new(description);
        if !encoding.is_null() {
            self.by_encoding.insert(encoding, Arc::clone(&description));
        }
        self.by_type.insert(data_type, description);
    }

    /// `is_described`: a description is there, but does not fit, and asking again would not help.
    pub(crate) fn note_opaque(&self, encoding: &NodeId, is_described: bool) {
        let mut notes = self.notes();
        notes.opaque = notes.opaque.saturating_add(1);
        if !is_described && notes.unknown.len() < UNKNOWN_MAX && notes.unknown.insert(encoding.to_string()) {
            notes.unknown_ids.push(encoding.clone());
        }
    }

    /// Encoding ids that came without a description, each once in a session.
    pub(crate) fn take_unknown(&self) -> Vec<NodeId> {
        std::mem::take(&mut self.notes().unknown_ids)
    }

    /// Structures that were carried as bytes since the last call.
    pub(crate) fn take_opaque(&self) -> u64 {
        std::mem::take(&mut self.notes().opaque)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Description {
    /// `None`: it has fields of types that cannot be told apart on the wire, or too many.
    pub(crate) fn new(
        type_id: Arc<str>,
        definition: &StructureDefinition,
        content: impl Fn(&NodeId) -> Option<Content>,
    ) -> Option<Description> {
        let (kind, has_subtypes) = match definition.structure_type {
            StructureType::Structure => (Kind::Plain, false),
            StructureType::StructureWithOptionalFields => (Kind::Optional, false),
            StructureType::Union => (Kind::Union, false),
            StructureType::StructureWithSubtypedValues => (Kind::Plain, true),
            StructureType::UnionWithSubtypedValues => (Kind::Union, true),
        };
        let fields = definition.fields.iter().flatten();
        let fields: Option<Vec<_>> = fields.map(|field| Field::new(field, kind, has_subtypes, &content)).collect();
        let fields = fields.filter(|fields| fields.len() <= FIELDS_MAX)?;
        Some(Description { type_id, kind, fields })
    }
}

impl Field {
    fn new(
        field: &StructureField,
        kind: Kind,
        has_subtypes: bool,
        content: impl Fn(&NodeId) -> Option<Content>,
    ) -> Option<Field> {
        // Where a field may be of a subtype, its value comes with a frame that names the type (OPC 10000-6, 5.2.6).
        let content = match content(&field.data_type)? {
            Content::Structure(_) if has_subtypes && field.is_optional => Content::Builtin(BuiltinType::Structure),
            Content::Builtin(_) if has_subtypes && field.is_optional => Content::Builtin(BuiltinType::Variant),
            content => content,
        };
        let rank = match field.value_rank {
            -1 => 0,
            rank @ 1..=3 => u8::try_from(rank).ok()?,
            _ => return None,
        };
        let is_optional = kind == Kind::Optional && field.is_optional;
        Some(Field { name: field.name.as_ref().into(), content, rank, is_optional })
    }
}

impl Decoder<'_> {
    pub(crate) fn described(&self, description: &Description, body: &[u8], depth: u8) -> Result<Value, Flaw> {
        let mut wire = Wire::new(body);
        let value = self.fields(&mut wire, description, depth)?;
        // What is left would be data that nobody can name.
        if wire.is_empty() { Ok(value) } else { Err(Flaw::Mismatch) }
    }

    fn fields(&self, wire: &mut Wire<'_>, description: &Description, depth: u8) -> Result<Value, Flaw> {
        if depth >= lingate_model::DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        let mut fields = Vec::with_capacity(description.fields.len());
        match description.kind {
            Kind::Union => {
                let chosen = wire.u32()? as usize;
                if let Some(index) = chosen.checked_sub(1) {
                    let field = description.fields.get(index).ok_or(Flaw::Torn)?;
                    fields.push((field.name.clone(), self.field(wire, field, depth + 1)?));
                }
            }
            kind => {
                let mut present = if kind == Kind::Optional { wire.u32()? } else { 0 };
                for field in &description.fields {
                    let is_there = !field.is_optional || present & 1 != 0;
                    present = if field.is_optional { present >> 1 } else { present };
                    let value = if is_there { self.field(wire, field, depth + 1)? } else { Value::Null };
                    fields.push((field.name.clone(), value));
                }
            }
        }
        Ok(Value::Structure(Structure::new(description.type_id.clone(), fields)?.into()))
    }

    fn field(&self, wire: &mut Wire<'_>, field: &Field, depth: u8) -> Result<Value, Flaw> {
        if field.rank == 0 {
            return self.content(wire, &field.content, depth);
        }
        let element = match field.content {
            Content::Builtin(builtin) => builtin,
            Content::Structure(_) => BuiltinType::Structure,
        };
        // More than one dimension: the lengths first, then all values (OPC 10000-6, 5.2.5).
        let lengths = if field.rank == 1 { Vec::new() } else { dimensions(wire)? };
        let count = match lengths[..] {
            [] => wire.count(1)?.unwrap_or(0),
            _ => lengths.iter().try_fold(1_usize, |all, n| all.checked_mul(*n as usize)).ok_or(Flaw::Torn)?,
        };
        if count > lingate_model::ITEMS_MAX || depth >= lingate_model::DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        let items: Result<Vec<_>, _> = (0..count).map(|_| self.content(wire, &field.content, depth + 1)).collect();
        array(element, lengths, items?)
    }

    fn content(&self, wire: &mut Wire<'_>, content: &Content, depth: u8) -> Result<Value, Flaw> {
        match content {
            Content::Builtin(builtin) => self.one(wire, *builtin, depth),
            Content::Structure(data_type) => match self.types.by_type.get(data_type) {
                Some(description) => self.fields(wire, description, depth),
                None => Err(Flaw::Mismatch),
            },
        }
    }
}

/// The built-in type that a data type of the standard's own namespace has on the wire; `None`: it must be asked for.
pub(crate) fn standard_content(data_type: &NodeId) -> Option<Content> {
    if data_type.namespace != 0 {
        return None;
    }
    let builtin = match data_type.as_u32()? {
        id @ 1..=21 => BuiltinType::from_id(id)?,
        22 => BuiltinType::Structure,
        23 => BuiltinType::DataValue,
        24 | 26..=28 => BuiltinType::Variant,
        25 => BuiltinType::DiagnosticInfo,
        29 => BuiltinType::Int32,
        30 => BuiltinType::ByteString,
        290 => BuiltinType::Double,
        294 | 293 => BuiltinType::DateTime,
        288 | 289 | 17588 => BuiltinType::UInt32,
        291 | 292 | 295 | 12877 | 12878 | 12879 | 12880 | 12881 | 23751 => BuiltinType::String,
        311 => BuiltinType::ByteString,
        _ => return None,
    };
    Some(Content::Builtin(builtin))
}

/// The exact text of a Decimal: a number of any length and how many of its digits stand behind the point.
pub(crate) fn decimal(encoding: &NodeId, body: &[u8]) -> Option<Value> {
    if *encoding != NodeId::new(0, DECIMAL) {
        return None;
    }
    let (scale, digits) = body.split_first_chunk::<2>()?;
    let text = decimal_text(i16::from_le_bytes(*scale), digits)?;
    let fields = vec![("Decimal".into(), Value::String(text.into()))];
    Structure::new("i=50".into(), fields).ok().map(|decimal| Value::Structure(decimal.into()))
}

/// Longer numbers than any that a measurement needs, so that turning them into digits stays cheap.
const DECIMAL_BYTES_MAX: usize = 64;

fn decimal_text(scale: i16, little_endian: &[u8]) -> Option<String> {
    if little_endian.is_empty() || little_endian.len() > DECIMAL_BYTES_MAX {
        return None;
    }
    let is_negative = little_endian.last().is_some_and(|top| top & 0x80 != 0);
    let digits = digits(&magnitude(little_endian, is_negative));
    let sign = if is_negative { "-" } else { "" };
    let Ok(places) = usize::try_from(scale) else {
        let zeros = if digits == "0" { 0 } else { usize::from(scale.unsigned_abs()) };
        return Some(format!("{sign}{digits}{}", "0".repeat(zeros)));
    };
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    Some(if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn magnitude(little_endian: &[u8], is_negative: bool) -> Vec<u8> {
    if !is_negative {
        return little_endian.to_vec();
    }
    let mut carry = true;
    let negate = |byte: &u8| {
        let (byte, overflowed) = (!byte).overflowing_add(u8::from(carry));
        carry = overflowed;
        byte
    };
    little_endian.iter().map(negate).collect()
}

fn digits(little_endian: &[u8]) -> String {
    let mut rest = little_endian.to_vec();
    let mut digits = Vec::new();
    while rest.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u32;
        for byte in rest.iter_mut().rev() {
            let part = remainder << 8 | u32::from(*byte);
            *byte = (part / 10) as u8;
            remainder = part % 10;
        }
        digits.push(b'0' + remainder as u8);
    }
    if digits.is_empty() { "0".to_owned() } else { digits.iter().rev().map(|digit| char::from(*digit)).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::super::names::Namespaces;
    use super::super::wire::BodyForm;
    use super::*;

    const PLANT: u16 = 1;

    fn field(name: &str, data_type: NodeId, value_rank: i32, is_optional: bool) -> StructureField {
        StructureField { name: name.into(), data_type, value_rank, is_optional, ..Default::default() }
    }

    fn types(of: &[(u32, StructureType, Vec<StructureField>)]) -> Types {
        let mut types = Types::default();
        for (id, structure_type, fields) in of {
            let definition = StructureDefinition {
                structure_type: *structure_type,
                fields: Some(fields.clone()),
                ..Default::default()
            };
            let content = |data_type: &NodeId| match data_type.namespace {
                PLANT => Some(Content::Structure(data_type.clone())),
                _ => standard_content(data_type),
            };
            let description = Description::new(format!("nsu=urn:plant;i={id}").into(), &definition, content).unwrap();
            types.add(NodeId::new(PLANT, *id), NodeId::new(PLANT, *id + 1000), description);
        }
        types
    }

    fn decode(types: &Types, id: u32, body: &[u8]) -> Value {
        let namespaces = Namespaces::new(vec!["http://opcfoundation.org/UA/".into(), "urn:plant".into()]);
        let decoder = Decoder { namespaces: &namespaces, types };
        decoder.body(&NodeId::new(PLANT, id + 1000), body, BodyForm::Binary, 0).unwrap()
    }

    fn structure(id: u32, fields: Vec<(&str, Value)>) -> Value {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Value::Structure(Structure::new(format!("nsu=urn:plant;i={id}").into(), fields).unwrap().into())
    }

    fn double() -> NodeId {
        NodeId::new(0, 11)
    }

    #[test]
    fn a_described_structure_has_its_fields_by_name_and_its_inner_structures() {
        let point = vec![field("x", double(), -1, false), field("label", NodeId::new(0, 12), -1, false)];
        let outer = vec![
            field("count", NodeId::new(0, 5), -1, false),
            field("at", NodeId::new(PLANT, 1), -1, false),
            field("all", NodeId::new(PLANT, 1), 1, false),
            field("grid", NodeId::new(0, 3), 2, false),
        ];
        let plain = StructureType::Structure;
        let types = types(&[(1, plain, point), (2, plain, outer)]);
        let mut inner = 1.5_f64.to_le_bytes().to_vec();
        inner.extend([1, 0, 0, 0, b'a']);
        let mut body = vec![7, 0];
        body.extend(&inner);
        body.extend([2, 0, 0, 0]);
        body.extend(inner.repeat(2));
        body.extend([2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 8, 9]);
        let point = || structure(1, vec![("x", Value::Double(1.5)), ("label", Value::String("a".into()))]);
        let all = array(BuiltinType::Structure, vec![2], vec![point(), point()]).unwrap();
        let grid = array(BuiltinType::Byte, vec![1, 2], vec![Value::Byte(8), Value::Byte(9)]).unwrap();
        let expected = structure(2, vec![("count", Value::UInt16(7)), ("at", point()), ("all", all), ("grid", grid)]);
        assert!(decode(&types, 2, &body) == expected);
        assert_eq!(types.take_opaque(), 0);
    }

    #[test]
    fn optional_fields_that_are_not_there_are_nothing_and_a_union_has_one_field() {
        let fields = || vec![field("a", NodeId::new(0, 3), -1, true), field("b", NodeId::new(0, 3), -1, true)];
        let types =
            types(&[(1, StructureType::StructureWithOptionalFields, fields()), (2, StructureType::Union, fields())]);
        let only_b = structure(1, vec![("a", Value::Null), ("b", Value::Byte(9))]);
        assert!(decode(&types, 1, &[2, 0, 0, 0, 9]) == only_b);
        assert!(decode(&types, 2, &[2, 0, 0, 0, 9]) == structure(2, vec![("b", Value::Byte(9))]));
        assert!(decode(&types, 2, &[0, 0, 0, 0]) == structure(2, vec![]));
    }

    #[test]
    fn a_description_that_does_not_fit_leaves_the_bytes_as_they_came() {
        let types = types(&[(1, StructureType::Structure, vec![field("a", double(), -1, false)])]);
        for body in [&[1, 2, 3][..], &[0; 9]] {
            let Value::Opaque { type_id, body: carried, .. } = decode(&types, 1, body) else { panic!("decoded") };
            assert_eq!((&*type_id, &*carried), ("nsu=urn:plant;i=1001", body));
        }
        assert_eq!(types.take_opaque(), 2);
        assert!(types.take_unknown().is_empty());
        decode(&types, 5, &[1]);
        decode(&types, 5, &[1]);
        assert_eq!(types.take_unknown(), [NodeId::new(PLANT, 1005)]);
    }

    #[test]
    fn a_structure_in_itself_ends_at_the_depth_bound() {
        let this = vec![field("deeper", NodeId::new(PLANT, 1), 1, false)];
        let types = types(&[(1, StructureType::Structure, this)]);
        let body = [1, 0, 0, 0].repeat(10_000);
        assert!(matches!(decode(&types, 1, &body), Value::Opaque { .. }));
    }

    #[test]
    fn a_decimal_is_its_exact_text() {
        for (scale, bytes, text) in [
            (2, &[0x39, 0x30][..], "123.45"),
            (0, &[0xFF], "-1"),
            (3, &[0x85], "-0.123"),
            (-3, &[5], "5000"),
            (0, &[0], "0"),
            (1, &[0xFF; 16], "-0.1"),
            (0, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0], "18446744073709551615"),
        ] {
            assert_eq!(decimal_text(scale, bytes).as_deref(), Some(text));
        }
        assert_eq!(decimal_text(0, &[]), None);
        assert_eq!(decimal_text(0, &[1; DECIMAL_BYTES_MAX + 1]), None);
    }
}
