//! `lingate/1/{tenant}/{gateway}/{k|d}/{alias}`: where a gateway publishes.

use lingate_model::{DatasetAlias, GatewayId, TenantId};

/// Checkpoints of every gateway's audit log.
pub(crate) const CHECKPOINTS: &str = "lingate/1/+/+/a";

/// What a receiver subscribes to. In a group everybody gets every KEY, because a broker gives retained messages to no
/// shared subscription; each DATA goes to one of the group.
pub(crate) fn filters(group: Option<&str>) -> [String; 2] {
    let data = "lingate/1/+/+/d/+";
    let data = group.map_or_else(|| data.to_owned(), |group| format!("$share/{group}/{data}"));
    ["lingate/1/+/+/k/+".to_owned(), data]
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub tenant: TenantId,
    pub gateway: GatewayId,
    pub channel: Channel,
    pub alias: DatasetAlias,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Key,
    Data,
}

impl Topic {
    pub fn parse(name: &str) -> Option<Topic> {
        let mut levels = name.strip_prefix("lingate/1/")?.split('/');
        let topic = Topic {
            tenant: levels.next()?.parse().ok()?,
            gateway: levels.next()?.parse().ok()?,
            channel: match levels.next()? {
                "k" => Channel::Key,
                "d" => Channel::Data,
                _ => return None,
            },
            alias: levels.next()?.parse().ok()?,
        };
        levels.next().is_none().then_some(topic)
    }

    pub fn name(&self) -> String {
        let Topic { tenant, gateway, channel, alias } = self;
        let channel = match channel {
            Channel::Key => "k",
            Channel::Data => "d",
        };
        format!("lingate/1/{tenant}/{gateway}/{channel}/{alias}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_topics_of_the_protocol_are_understood() {
        let topic = Topic::parse("lingate/1/acme/gw-0001/d/q7").expect("a topic");
        assert_eq!((topic.gateway.as_str(), topic.channel), ("gw-0001", Channel::Data));
        assert_eq!(topic.name(), "lingate/1/acme/gw-0001/d/q7");
        for other in [
            "lingate/1/acme/gw-0001/d",
            "lingate/1/acme/gw-0001/d/q7/x",
            "lingate/1/acme/gw-0001/r/q7",
            "lingate/2/acme/gw-0001/d/q7",
            "lingate/1/acme//d/q7",
            "lingate/1/acme/gw+/d/q7",
            "",
        ] {
            assert_eq!(Topic::parse(other), None, "{other}");
        }
    }
}
