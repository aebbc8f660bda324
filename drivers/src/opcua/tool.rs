use lingate_model::DeviceName;

use super::address::Address;
use super::identity::Identity;
use super::security::Security;
use super::settings::Settings;
use super::trust::Rules;
use crate::settings::{DeTable, Table};

/// How a tool reaches a server: as a device of a configuration does, or without any protection and as nobody.
#[derive(Clone, Debug)]
pub struct Tool {
    pub(crate) settings: Settings,
    pub(crate) wants_session: bool,
}

impl Tool {
    /// `session`: whether a session without protection may be opened.
    pub fn plain(url: &str, session: bool) -> Result<Tool, String> {
        let address = Address::parse(url).map_err(|(what, hint)| match hint {
            Some(hint) => format!("{url:?} {what}; {hint}"),
            None => format!("{url:?} {what}"),
        })?;
        let text = "address = \"host\"";
        let file = DeTable::parse(text).expect("it is TOML");
        let defaults = Settings::take(&mut Table::new(file.get_ref(), file.span(), ""));
        let settings = Settings {
            endpoints: vec![address],
            security: Security::NONE,
            rules: Rules::default(),
            identity: Identity::Anonymous,
            ..defaults
        };
        Ok(Tool { settings, wants_session: session })
    }

    /// As the device of this name in a configuration that was checked before; of another address if one is given.
    pub fn of_device(configuration: &str, device: &DeviceName, url: Option<&str>) -> Result<Tool, String> {
        let file = DeTable::parse(configuration).map_err(|error| error.to_string())?;
        let mut root = Table::new(file.get_ref(), file.span(), "");
        let devices = root.take("device").tables(0..=usize::MAX);
        let is_meant = |table: &mut Table<'_>| table.take("name").string().as_deref() == Some(device.as_str());
        let Some(mut table) = devices.into_iter().find_map(|mut table| is_meant(&mut table).then_some(table)) else {
            return Err(format!("there is no device {device} in the configuration"));
        };
        if table.take("driver").string().as_deref() != Some(super::DRIVER.kind) {
            return Err(format!("device {device} does not speak OPC UA"));
        }
        let mut settings = Settings::take(&mut table);
        if let Some(problem) = table.take_problems().into_iter().next() {
            return Err(format!("{}: {}", problem.path, problem.what));
        }
        if let Some(url) = url {
            settings.endpoints = vec![Address::parse(url).map_err(|(what, _)| format!("{url:?} {what}"))?];
        }
        Ok(Tool { settings, wants_session: true })
    }

    pub fn address(&self) -> String {
        self.settings.endpoints[0].to_string()
    }

    /// How the server is reached, in words.
    pub fn security(&self) -> String {
        self.settings.security.in_words()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_tool_reaches_a_server_as_its_device_does() {
        let file = format!("[gateway]\nid = \"gw\"\n{}", crate::opcua::DRIVER.sample);
        let tool = Tool::of_device(&file, &"etch-3".parse().unwrap(), None).unwrap();
        assert_eq!(tool.address(), "opc.tcp://10.0.4.30:4840");
        assert_eq!(tool.security(), "Basic256Sha256, SignAndEncrypt");
        assert!(tool.wants_session);
        let elsewhere = Tool::of_device(&file, &"etch-3".parse().unwrap(), Some("10.0.4.31")).unwrap();
        assert_eq!(elsewhere.address(), "opc.tcp://10.0.4.31:4840");
        assert!(Tool::of_device(&file, &"etch-4".parse().unwrap(), None).is_err());
    }

    #[test]
    fn a_plain_tool_opens_no_session_unless_told() {
        assert!(!Tool::plain("opc.tcp://host", false).unwrap().wants_session);
        assert!(Tool::plain("http://host", false).is_err());
    }
}
