//! Values made of values. Their bounds are kept by their constructors, so that whoever encodes or stores one can recurse.

use std::fmt;
use std::sync::Arc;

use crate::{BuiltinType, Value};

/// Values inside of one array or structure at most, those inside of inner ones included.
pub const ITEMS_MAX: usize = 1_048_576;
/// An array or structure of plain values is 1 deep.
pub const DEPTH_MAX: u8 = 10;

/// What an item costs beside its own weight: an integer, or the frame around a value, on the wire.
const ITEM_WEIGHT: usize = 12;

/// Of one element type, in row-major order (OPC 10000-6, 5.2.2.16).
#[derive(Clone, PartialEq)]
pub struct Array {
    element: BuiltinType,
    dimensions: Vec<u32>,
    items: Vec<Value>,
    extent: Extent,
}

/// Fields in the order of the type's description.
#[derive(Clone, PartialEq)]
pub struct Structure {
    type_id: Arc<str>,
    fields: Vec<(Arc<str>, Value)>,
    extent: Extent,
}

/// Why values do not make an array or a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misshapen {
    /// Not one to three dimensions, or their product is not the number of items.
    Dimensions,
    /// An item of another type than the array's elements, or an array in an array whose elements are no variants.
    Element,
    /// More than [`DEPTH_MAX`].
    TooDeep,
    /// More than [`ITEMS_MAX`].
    TooLarge,
}

/// How much is inside.
#[derive(Clone, Copy, Default, PartialEq)]
struct Extent {
    depth: u8,
    items: usize,
    weight: usize,
}

impl Array {
    /// `dimensions`: one to three, their product is the number of items. Every item is of type `element` or
    /// [`Value::Null`]; if that is Variant, of any type, and may be an array.
    pub fn new(element: BuiltinType, dimensions: Vec<u32>, items: Vec<Value>) -> Result<Array, Misshapen> {
        let product = dimensions.iter().try_fold(1_usize, |product, n| product.checked_mul(*n as usize));
        if !(1..=3).contains(&dimensions.len()) || product != Some(items.len()) {
            return Err(Misshapen::Dimensions);
        }
        let is_variant = element == BuiltinType::Variant;
        let fits = |item: &Value| {
            is_variant || matches!(item, Value::Null) || (item.builtin_type() == element && item.rank() == 0)
        };
        if !items.iter().all(fits) {
            return Err(Misshapen::Element);
        }
        let extent = Extent::around(items.iter())?;
        Ok(Array { element, dimensions, items, extent })
    }

    /// One dimension.
    pub fn of(element: BuiltinType, items: Vec<Value>) -> Result<Array, Misshapen> {
        let length = u32::try_from(items.len()).map_err(|_| Misshapen::TooLarge)?;
        Array::new(element, vec![length], items)
    }

    pub fn element(&self) -> BuiltinType {
        self.element
    }

    /// One to three.
    pub fn dimensions(&self) -> &[u32] {
        &self.dimensions
    }

    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Structure {
    /// `type_id`: the data type's NodeId in text form.
    pub fn new(type_id: Arc<str>, fields: Vec<(Arc<str>, Value)>) -> Result<Structure, Misshapen> {
        let mut extent = Extent::around(fields.iter().map(|(_, value)| value))?;
        let names = fields.iter().map(|(name, _)| name.len().saturating_add(ITEM_WEIGHT));
        extent.weight = names.fold(extent.weight.saturating_add(type_id.len()), usize::saturating_add);
        Ok(Structure { type_id, fields, extent })
    }

    pub fn type_id(&self) -> &Arc<str> {
        &self.type_id
    }

    pub fn fields(&self) -> &[(Arc<str>, Value)] {
        &self.fields
    }
}

impl Extent {
    fn around<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Extent, Misshapen> {
        let mut all = Extent { depth: 1, items: 0, weight: 0 };
        for value in values {
            let inside = Extent::of(value);
            all.depth = all.depth.max(inside.depth.saturating_add(1));
            all.items = all.items.saturating_add(inside.items).saturating_add(1);
            all.weight = all.weight.saturating_add(ITEM_WEIGHT).saturating_add(value.weight());
        }
        match all {
            Extent { depth, .. } if depth > DEPTH_MAX => Err(Misshapen::TooDeep),
            Extent { items, .. } if items > ITEMS_MAX => Err(Misshapen::TooLarge),
            all => Ok(all),
        }
    }

    fn of(value: &Value) -> Extent {
        match value {
            Value::Array(array) => array.extent,
            Value::Structure(structure) => structure.extent,
            _ => Extent::default(),
        }
    }
}

impl Value {
    /// Bytes that it may need on the wire beyond those of a number: 0 for numbers, at least their content for texts,
    /// bytes, arrays and structures.
    pub fn weight(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        match self {
            Value::String(text) | Value::Text { text, .. } => text.len(),
            Value::ByteString(bytes) => bytes.len(),
            Value::LocalizedText { locale, text: t } => text(locale).saturating_add(text(t)),
            Value::Opaque { type_id, body, .. } => type_id.len().saturating_add(body.len()),
            Value::Array(_) | Value::Structure(_) => Extent::of(self).weight,
            _ => 0,
        }
    }
}

impl std::error::Error for Misshapen {}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misshapen::Dimensions => f.write_str("an array has one to three dimensions, which its items fill"),
            Misshapen::Element => f.write_str("an array's items are of its element type"),
            Misshapen::TooDeep => write!(f, "more than {DEPTH_MAX} arrays and structures in each other"),
            Misshapen::TooLarge => write!(f, "more than {ITEMS_MAX} values in one"),
        }
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array of {:?} {:?}", self.element, self.dimensions)
    }
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Structure {} of {} fields", self.type_id, self.fields.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Vec<Value> {
        vec![Value::Byte(1); count]
    }

    /// `depth` variants in each other.
    fn nested(depth: u8) -> Result<Array, Misshapen> {
        let mut array = Array::of(BuiltinType::Variant, bytes(1))?;
        for _ in 1..depth {
            array = Array::of(BuiltinType::Variant, vec![Value::Array(array.into())])?;
        }
        Ok(array)
    }

    #[test]
    fn the_product_of_the_dimensions_is_the_number_of_items() {
        for (dimensions, items) in [(vec![0], 0), (vec![6], 6), (vec![2, 3], 6), (vec![1, 2, 3], 6), (vec![7, 0], 0)] {
            let array = Array::new(BuiltinType::Byte, dimensions.clone(), bytes(items)).unwrap();
            assert_eq!(usize::from(Value::Array(array.into()).rank()), dimensions.len());
        }
        let wrong = [vec![], vec![5], vec![2, 2], vec![1, 1, 1, 6], vec![u32::MAX, u32::MAX, u32::MAX]];
        for dimensions in wrong {
            let refused = Array::new(BuiltinType::Byte, dimensions.clone(), bytes(6));
            assert_eq!(refused.unwrap_err(), Misshapen::Dimensions, "{dimensions:?}");
        }
    }

    #[test]
    fn only_variants_differ_in_type_and_anything_may_be_nothing() {
        let mixed = || vec![Value::Byte(1), Value::Null, Value::Boolean(true)];
        assert_eq!(Array::of(BuiltinType::Byte, mixed()).unwrap_err(), Misshapen::Element);
        assert!(Array::of(BuiltinType::Variant, mixed()).is_ok());
        assert!(Array::of(BuiltinType::String, vec![Value::Null, Value::String("a".into())]).is_ok());
        let inner = || vec![Value::Array(Array::of(BuiltinType::Byte, bytes(2)).unwrap().into())];
        assert_eq!(Array::of(BuiltinType::Byte, inner()).unwrap_err(), Misshapen::Element);
        assert!(Array::of(BuiltinType::Variant, inner()).is_ok());
    }

    #[test]
    fn nothing_is_deeper_or_larger_than_its_bound() {
        assert!(nested(DEPTH_MAX).is_ok());
        assert_eq!(nested(DEPTH_MAX + 1).unwrap_err(), Misshapen::TooDeep);
        let deepest = Value::Array(nested(DEPTH_MAX).unwrap().into());
        let around = Structure::new("i=1".into(), vec![("field".into(), deepest)]);
        assert_eq!(around.unwrap_err(), Misshapen::TooDeep);

        let half = Value::Array(Array::of(BuiltinType::Byte, bytes(ITEMS_MAX / 2)).unwrap().into());
        assert!(Array::of(BuiltinType::Byte, bytes(ITEMS_MAX)).is_ok());
        assert_eq!(Array::of(BuiltinType::Byte, bytes(ITEMS_MAX + 1)).unwrap_err(), Misshapen::TooLarge);
        assert!(Structure::new("i=1".into(), vec![("a".into(), half.clone())]).is_ok());
        let twice = Structure::new("i=1".into(), vec![("a".into(), half.clone()), ("b".into(), half)]);
        assert_eq!(twice.unwrap_err(), Misshapen::TooLarge);
    }

    #[test]
    fn only_numbers_weigh_nothing() {
        assert_eq!(Value::Double(77.5).weight(), 0);
        assert_eq!(Value::String("four".into()).weight(), 4);
        let array = Array::of(BuiltinType::Double, vec![Value::Double(1.0); 10]).unwrap();
        assert_eq!(Value::Array(array.into()).weight(), 120);
    }
}
