use std::time::Duration;

use super::super::decode::ByteOrder;
use super::super::line::{LineSettings, Manners};
use super::super::plan::Limits;
use super::super::register::{ADDRESSINGS, Addressing};
use super::transport::{Protocol, take_transport};
use crate::SharedLine;
use crate::settings::{Table, show_duration};

/// The driver's own keys of a device.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) protocol: Protocol,
    pub(crate) line: LineSettings,
    pub(crate) unit: u8,
    pub(crate) manners: Manners,
    pub(crate) limits: Limits,
    /// The connection is closed after each poll, for devices that take one client at a time.
    pub(crate) closes_after_poll: bool,
    /// Ask who the device is.
    pub(crate) identifies: bool,
    pub(super) addressing: Addressing,
    pub(super) order: ByteOrder,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

impl Settings {
    /// Wrong keys read as their defaults; the problems stay in `table`.
    pub(crate) fn take(table: &mut Table<'_>, protocol: Protocol) -> Settings {
        let pauses = Duration::ZERO..=PAUSE_MAX;
        let per_second = table.take("max_requests_per_second").integer(1..=1000_u32);
        Settings {
            protocol,
            line: LineSettings {
                transport: take_transport(table, protocol),
                pause: table.take("pause").duration(pauses.clone()).unwrap_or_default(),
                pause_after_connect: table.take("pause_after_connect").duration(pauses).unwrap_or_default(),
                spacing: per_second.map_or(Duration::ZERO, |count| Duration::from_secs(1) / count),
            },
            unit: table.take("unit").integer(0..=u8::MAX).unwrap_or(1),
            manners: Manners {
                timeout: table.take("timeout").duration(MILLISECOND * 10..=MINUTE).unwrap_or(Duration::from_secs(1)),
                connect_timeout: table
                    .take("connect_timeout")
                    .duration(MILLISECOND * 10..=PAUSE_MAX * 4)
                    .unwrap_or(Duration::from_secs(3)),
                retries: table.take("retries").integer(0..=5).unwrap_or(0),
            },
            limits: Limits {
                registers: table.take("max_registers").integer(1..=125).unwrap_or(125),
                bits: table.take("max_bits").integer(1..=2000).unwrap_or(2000),
                gap: table.take("max_gap").integer(0..=100).unwrap_or(8),
            },
            closes_after_poll: table.take("close_after_poll").boolean().unwrap_or(false),
            identifies: table.take("identify").boolean().unwrap_or(true),
            addressing: table.take("addressing").word(&ADDRESSINGS).unwrap_or(Addressing::ZeroBased),
            order: table.take("word_order").word(&ByteOrder::OF_32).unwrap_or_default(),
        }
    }

    pub(crate) fn shared_line(&self) -> SharedLine {
        let LineSettings { transport, pause, pause_after_connect, spacing } = &self.line;
        let per_second = match spacing.is_zero() {
            true => "without a limit".to_owned(),
            false => format!("{:.0}", 1.0 / spacing.as_secs_f64()),
        };
        let mut settings = vec![("driver", self.protocol.kind().to_owned())];
        settings.extend(transport.settings());
        settings.extend([
            ("pause", show_duration(*pause)),
            ("pause_after_connect", show_duration(*pause_after_connect)),
            ("max_requests_per_second", per_second),
        ]);
        SharedLine { name: transport.line_name(), settings, station: format!("unit {}", self.unit) }
    }
}
