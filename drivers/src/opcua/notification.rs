use opcua::types::{NotificationMessage, ObjectId};

use super::convert::body_of;
use super::decode::{Decoder, Sample};
use super::wire::{Flaw, Wire};

/// What one notification message says.
#[derive(Default)]
pub(crate) struct Notified {
    /// Client handle and value, in the order of the server.
    pub(crate) changes: Vec<(u32, Sample)>,
    /// The subscription has ended, with this status code.
    pub(crate) ended: Option<u32>,
    /// Changes that were in the message and cannot be found in it.
    pub(crate) torn: bool,
}

impl Notified {
    pub(crate) fn of(message: &NotificationMessage, decoder: &Decoder<'_>) -> Notified {
        let mut notified = Notified::default();
        for part in message.notification_data.iter().flatten() {
            let Some((encoding, body)) = body_of(part) else { continue };
            let read = match encoding.as_object_id() {
                Ok(ObjectId::DataChangeNotification_Encoding_DefaultBinary) => notified.read_changes(body, decoder),
                Ok(ObjectId::StatusChangeNotification_Encoding_DefaultBinary) => notified.read_end(body),
                _ => Ok(()),
            };
            notified.torn |= read.is_err();
        }
        notified
    }

    /// OPC 10000-4, 7.25.2.
    fn read_changes(&mut self, body: &[u8], decoder: &Decoder<'_>) -> Result<(), Flaw> {
        let mut wire = Wire::new(body);
        let count = wire.count(5)?.unwrap_or(0);
        for _ in 0..count {
            let handle = wire.u32()?;
            self.changes.push((handle, decoder.data_value(&mut wire)?));
        }
        Ok(())
    }

    fn read_end(&mut self, body: &[u8]) -> Result<(), Flaw> {
        self.ended = Some(Wire::new(body).u32()?);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::Value;
    use opcua::types::{
        BinaryDecodable, BinaryEncodable, ContextOwned, DataChangeNotification, DataValue, MonitoredItemNotification,
        StatusChangeNotification,
    };

    use super::super::convert::keep_structures_as_bytes;
    use super::super::names::Namespaces;
    use super::super::structure::Types;
    use super::*;

    /// As it comes over the wire, with the last `cut` bytes of its part gone.
    fn notified(part: opcua::types::ExtensionObject, cut: i32) -> Notified {
        let mut context = ContextOwned::default();
        let message = NotificationMessage { notification_data: Some(vec![part]), ..Default::default() };
        let mut bytes = message.encode_to_vec(&context.context());
        // Sequence number, time, one part, its four bytes of encoding id and its form: then the length.
        let length = &mut bytes[4 + 8 + 4 + 4 + 1..][..4];
        let shorter = i32::from_le_bytes(length.try_into().unwrap()) - cut;
        length.copy_from_slice(&shorter.to_le_bytes());
        keep_structures_as_bytes(&mut context);
        let message = NotificationMessage::decode(&mut &bytes[..], &context.context()).unwrap();
        let (namespaces, types) = (Namespaces::default(), Types::default());
        Notified::of(&message, &Decoder { namespaces: &namespaces, types: &types })
    }

    fn changes() -> opcua::types::ExtensionObject {
        let item = |handle: u32| MonitoredItemNotification {
            client_handle: handle,
            value: DataValue::value_only(f64::from(handle)),
        };
        let monitored_items = Some(vec![item(7), item(9)]);
        opcua::types::ExtensionObject::from_message(DataChangeNotification { monitored_items, diagnostic_infos: None })
    }

    #[test]
    fn every_change_comes_with_its_handle() {
        let Notified { changes, ended, torn } = notified(changes(), 0);
        let values: Vec<_> = changes.into_iter().map(|(handle, sample)| (handle, sample.value)).collect();
        assert!(values == [(7, Ok(Some(Value::Double(7.0)))), (9, Ok(Some(Value::Double(9.0))))]);
        assert!(ended.is_none() && !torn);
    }

    #[test]
    fn what_stands_before_a_tear_is_kept_and_the_tear_is_told() {
        let Notified { changes, torn, .. } = notified(changes(), 8);
        assert_eq!((changes.len(), torn), (1, true));
    }

    #[test]
    fn the_end_of_a_subscription_is_heard() {
        let status = opcua::types::StatusCode::BadTimeout;
        let end = StatusChangeNotification { status, ..Default::default() };
        let ended = notified(opcua::types::ExtensionObject::from_message(end), 0).ended;
        assert_eq!(ended, Some(0x800A_0000));
    }
}
