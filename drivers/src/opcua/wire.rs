use lingate_model::{BuiltinType, StatusCode};
use opcua::types::{ByteString, Guid, Identifier, NodeId, UAString};

/// OPC UA Binary (OPC 10000-6, 5.2) as a device sent it, read from the front. Knows where every part ends without
/// believing what is inside of it: `skip` functions find the end of a value that cannot be used, so that a bad one costs
/// nothing but itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

/// Why bytes do not make a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// They end too early, or a length or a mask is impossible: what follows cannot be found.
    Torn,
    /// A text that is not UTF-8, or a name in a namespace that the server does not have.
    Content,
    /// More values in each other, or beside each other, than the gateway carries.
    Limit,
    /// Of another type or shape than the point was configured with, or without the field that it names.
    Mismatch,
}

/// Values and diagnostics in each other (OPC 10000-6, 5.2.2.16 allows 100; the gateway carries 10).
const DEPTH_MAX: u8 = 10;

impl Flaw {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Flaw::Torn | Flaw::Content => StatusCode::BAD_DECODING_ERROR,
            Flaw::Limit => BAD_ENCODING_LIMITS_EXCEEDED,
            Flaw::Mismatch => StatusCode::BAD_TYPE_MISMATCH,
        }
    }
}

const BAD_ENCODING_LIMITS_EXCEEDED: StatusCode = StatusCode(0x8008_0000);

macro_rules! numbers {
    ($($name:ident $size:literal),+) => {$(
        pub(crate) fn $name(&mut self) -> Result<$name, Flaw> {
            self.fixed::<$size>().map(<$name>::from_le_bytes)
        }
    )+};
}

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Wire<'a> {
        Wire { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    numbers!(u8 1, i8 1, u16 2, i16 2, u32 4, i32 4, u64 8, i64 8, f32 4, f64 8);

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Flaw::Torn)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Flaw::Torn)?;
        self.rest = rest;
        Ok(head)
    }

    /// The number of an array's elements, `None` for the null array. Each needs `size_min` bytes at least, so that a
    /// length that the message cannot hold is found before anything is made of it.
    pub(crate) fn count(&mut self, size_min: usize) -> Result<Option<usize>, Flaw> {
        let count = self.i32()?;
        let Ok(count) = usize::try_from(count) else {
            return if count == -1 { Ok(None) } else { Err(Flaw::Torn) };
        };
        let is_possible = count.checked_mul(size_min.max(1)).is_some_and(|size| size <= self.rest.len());
        if is_possible { Ok(Some(count)) } else { Err(Flaw::Torn) }
    }

    pub(crate) fn bytes(&mut self) -> Result<Option<&'a [u8]>, Flaw> {
        self.count(1)?.map(|length| self.take(length)).transpose()
    }

    pub(crate) fn text(&mut self) -> Result<Option<&'a str>, Flaw> {
        self.bytes()?.map(|bytes| std::str::from_utf8(bytes).map_err(|_| Flaw::Content)).transpose()
    }

    /// In the order of its text: the first three groups are little-endian on the wire (OPC 10000-6, 5.2.2.6).
    pub(crate) fn guid(&mut self) -> Result<[u8; 16], Flaw> {
        let mut bytes = self.fixed::<16>()?;
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        Ok(bytes)
    }

    pub(crate) fn node_id(&mut self) -> Result<NodeId, Flaw> {
        let encoding = self.u8()?;
        self.node_id_of(encoding)
    }

    /// `encoding`: the first byte without the flags of an ExpandedNodeId.
    pub(crate) fn node_id_of(&mut self, encoding: u8) -> Result<NodeId, Flaw> {
        let (namespace, identifier) = match encoding {
            0 => (0, Identifier::Numeric(u32::from(self.u8()?))),
            1 => (u16::from(self.u8()?), Identifier::Numeric(u32::from(self.u16()?))),
            2 => (self.u16()?, Identifier::Numeric(self.u32()?)),
            3 => (self.u16()?, Identifier::String(self.text()?.map_or_else(UAString::null, UAString::from))),
            4 => (self.u16()?, Identifier::Guid(Guid::from_bytes(self.fixed::<16>()?))),
            5 => (self.u16()?, Identifier::ByteString(ByteString { value: self.bytes()?.map(<[u8]>::to_vec) })),
            _ => return Err(Flaw::Torn),
        };
        Ok(NodeId { namespace, identifier })
    }

    /// The encoding id and the body of an ExtensionObject; `None`: it has no body.
    pub(crate) fn extension(&mut self) -> Result<Option<Framed<'a>>, Flaw> {
        let encoding = self.node_id()?;
        let form = match self.u8()? {
            0 => return Ok(None),
            1 => BodyForm::Binary,
            2 => BodyForm::Xml,
            _ => return Err(Flaw::Torn),
        };
        Ok(self.bytes()?.map(|body| (encoding, body, form)))
    }

    /// What a function read, as the bytes that it read.
    pub(crate) fn extent(&mut self, skip: impl FnOnce(&mut Wire<'a>) -> Result<(), Flaw>) -> Result<&'a [u8], Flaw> {
        let mut ahead = *self;
        skip(&mut ahead)?;
        self.take(self.rest.len() - ahead.rest.len())
    }

    pub(crate) fn skip_variant(&mut self) -> Result<(), Flaw> {
        self.skip_variant_at(0)
    }

    pub(crate) fn skip_data_value(&mut self) -> Result<(), Flaw> {
        self.skip_data_value_at(0)
    }

    pub(crate) fn skip_diagnostic(&mut self) -> Result<(), Flaw> {
        self.skip_diagnostic_at(0)
    }

    fn skip_variant_at(&mut self, depth: u8) -> Result<(), Flaw> {
        let mask = self.u8()?;
        let Some(element) = element_of(mask)? else { return Ok(()) };
        if mask & IS_ARRAY == 0 {
            return self.skip_one(element, depth);
        }
        let count = self.count(size_min(element))?.unwrap_or(0);
        match size_of(element) {
            Some(size) => self.take(count.checked_mul(size).ok_or(Flaw::Torn)?).map(drop)?,
            None => (0..count).try_for_each(|_| self.skip_one(element, depth))?,
        }
        if mask & HAS_DIMENSIONS != 0 {
            let dimensions = self.count(4)?.unwrap_or(0);
            self.take(dimensions * 4)?;
        }
        Ok(())
    }

    pub(crate) fn skip_one(&mut self, element: BuiltinType, depth: u8) -> Result<(), Flaw> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        match element {
            BuiltinType::String | BuiltinType::ByteString | BuiltinType::XmlElement => self.bytes().map(drop),
            BuiltinType::NodeId => self.skip_node_id(false),
            BuiltinType::ExpandedNodeId => self.skip_node_id(true),
            BuiltinType::QualifiedName => {
                self.take(2)?;
                self.bytes().map(drop)
            }
            BuiltinType::LocalizedText => {
                let mask = self.u8()?;
                (0..2).filter(|bit| mask & 1 << bit != 0).try_for_each(|_| self.bytes().map(drop))
            }
            BuiltinType::Structure => {
                self.skip_node_id(false)?;
                if self.u8()? == 0 { Ok(()) } else { self.bytes().map(drop) }
            }
            BuiltinType::DataValue => self.skip_data_value_at(depth + 1),
            BuiltinType::Variant => self.skip_variant_at(depth + 1),
            BuiltinType::DiagnosticInfo => self.skip_diagnostic_at(depth + 1),
            fixed => self.take(size_of(fixed).unwrap_or(0)).map(drop),
        }
    }

    fn skip_node_id(&mut self, is_expanded: bool) -> Result<(), Flaw> {
        let first = self.u8()?;
        match if is_expanded { first & 0x3F } else { first } {
            0 => self.take(1).map(drop)?,
            1 => self.take(3).map(drop)?,
            2 => self.take(6).map(drop)?,
            3 | 5 => {
                self.take(2)?;
                self.bytes()?;
            }
            4 => self.take(18).map(drop)?,
            _ => return Err(Flaw::Torn),
        }
        if is_expanded && first & NODE_HAS_URI != 0 {
            self.bytes()?;
        }
        if is_expanded && first & NODE_HAS_SERVER != 0 {
            self.take(4)?;
        }
        Ok(())
    }

    fn skip_data_value_at(&mut self, depth: u8) -> Result<(), Flaw> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        let mask = self.u8()?;
        if mask & 0x01 != 0 {
            self.skip_variant_at(depth)?;
        }
        let sizes = [(0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)];
        sizes.into_iter().filter(|(bit, _)| mask & bit != 0).try_for_each(|(_, size)| self.take(size).map(drop))
    }

    fn skip_diagnostic_at(&mut self, depth: u8) -> Result<(), Flaw> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        let mask = self.u8()?;
        for _ in (0..4).filter(|bit| mask & 1 << bit != 0) {
            self.take(4)?;
        }
        if mask & 0x10 != 0 {
            self.bytes()?;
        }
        if mask & 0x20 != 0 {
            self.take(4)?;
        }
        if mask & 0x40 != 0 { self.skip_diagnostic_at(depth + 1) } else { Ok(()) }
    }
}

/// Encoding id and body of a structure.
pub(crate) type Framed<'a> = (NodeId, &'a [u8], BodyForm);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyForm {
    Binary,
    Xml,
}

/// Flags of an ExpandedNodeId's first byte (OPC 10000-6, 5.2.2.10).
pub(crate) const NODE_HAS_URI: u8 = 0x80;
pub(crate) const NODE_HAS_SERVER: u8 = 0x40;
/// Flags of a Variant's first byte (OPC 10000-6, 5.2.2.16).
pub(crate) const IS_ARRAY: u8 = 0x80;
pub(crate) const HAS_DIMENSIONS: u8 = 0x40;

/// What a variant's mask says of its elements; `None`: it is null.
pub(crate) fn element_of(mask: u8) -> Result<Option<BuiltinType>, Flaw> {
    match mask & 0x3F {
        0 if mask & IS_ARRAY == 0 => Ok(None),
        id => BuiltinType::from_id(u32::from(id)).map(Some).ok_or(Flaw::Torn),
    }
}

fn size_of(element: BuiltinType) -> Option<usize> {
    Some(match element {
        BuiltinType::Boolean | BuiltinType::SByte | BuiltinType::Byte => 1,
        BuiltinType::Int16 | BuiltinType::UInt16 => 2,
        BuiltinType::Int32 | BuiltinType::UInt32 | BuiltinType::Float | BuiltinType::StatusCode => 4,
        BuiltinType::Int64 | BuiltinType::UInt64 | BuiltinType::Double | BuiltinType::DateTime => 8,
        BuiltinType::Guid => 16,
        _ => return None,
    })
}

pub(crate) fn size_min(element: BuiltinType) -> usize {
    size_of(element).unwrap_or(match element {
        BuiltinType::String | BuiltinType::ByteString | BuiltinType::XmlElement => 4,
        BuiltinType::QualifiedName => 6,
        BuiltinType::NodeId | BuiltinType::ExpandedNodeId => 2,
        BuiltinType::Structure => 3,
        _ => 1,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_that_the_message_cannot_hold_is_refused_before_anything_is_made_of_it() {
        for length in [i32::MAX, 5, -2, i32::MIN] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend([0; 4]);
            assert_eq!(Wire::new(&bytes).bytes(), Err(Flaw::Torn), "{length}");
        }
        assert_eq!(Wire::new(&(-1_i32).to_le_bytes()).bytes(), Ok(None));
        assert_eq!(Wire::new(&0_i32.to_le_bytes()).bytes(), Ok(Some(&[][..])));
    }

    #[test]
    fn values_in_each_other_end_at_a_bound_and_not_at_the_stack() {
        // An array of one variant, in an array of one variant, ...
        let nested = [0x80 | 24, 1, 0, 0, 0].repeat(100_000);
        assert_eq!(Wire::new(&nested).skip_variant(), Err(Flaw::Limit));
        let diagnostics = [0x40].repeat(100_000);
        assert_eq!(Wire::new(&diagnostics).skip_diagnostic(), Err(Flaw::Limit));
    }

    #[test]
    fn an_array_of_nothing_cannot_be_long_for_free() {
        let mut bytes = vec![0x80];
        bytes.extend(i32::MAX.to_le_bytes());
        assert_eq!(Wire::new(&bytes).skip_variant(), Err(Flaw::Torn));
    }

    #[test]
    fn a_guid_is_in_the_order_of_its_text() {
        let wire = [0x91, 0x2B, 0x96, 0x72, 0x75, 0xFA, 0xE6, 0x4A, 0x8D, 0x28, 0xB4, 0x04, 0xDC, 0x7D, 0xAF, 0x63];
        let text = "72962b91-fa75-4ae6-8d28-b404dc7daf63".replace('-', "");
        let hex: String = Wire::new(&wire).guid().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic_or_read_beyond_its_end(bytes: Vec<u8>) {
            let mut wire = Wire::new(&bytes);
            let _ = wire.extent(Wire::skip_data_value);
            let _ = Wire::new(&bytes).skip_diagnostic();
            let _ = Wire::new(&bytes).extension();
            prop_assert!(wire.rest.len() <= bytes.len());
        }
    }
}
