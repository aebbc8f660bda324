use lingate_plant::opcua::Say;
use opcua::core::ResponseMessage;
use opcua::types::{DataChangeNotification, ExtensionObject, MonitoredItemNotification, NotificationMessage};

/// Changes what a Publish answer brings.
pub(crate) fn published(
    change: impl Fn(&mut Vec<MonitoredItemNotification>, &mut NotificationMessage) + Send + Sync + 'static,
) -> Say {
    Say::twist(move |_, mut answer| {
        if let ResponseMessage::Publish(publish) = &mut answer {
            let message = &mut publish.notification_message;
            let data = message.notification_data.take().unwrap_or_default().into_iter().next();
            let notification = data.and_then(ExtensionObject::into_inner_as::<DataChangeNotification>);
            let mut values = notification.and_then(|it| it.monitored_items).unwrap_or_default();
            change(&mut values, message);
            let notification = DataChangeNotification { monitored_items: Some(values), diagnostic_infos: None };
            message.notification_data = Some(vec![ExtensionObject::new(notification)]);
        }
        answer
    })
}
