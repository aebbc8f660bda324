use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serial2_tokio::rs4xx::{Rs485Config, TransceiverMode};
use serial2_tokio::{CharSize, Parity as LibraryParity, SerialPort, Settings, StopBits};

/// A serial port and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serial {
    /// Opened anew each time, so that a port behind `/dev/serial/by-id` is found again under another number.
    pub(crate) path: PathBuf,
    pub(crate) baud: u32,
    pub(crate) parity: Parity,
    /// 7 or 8.
    pub(crate) data_bits: u8,
    /// 1 or 2.
    pub(crate) stop_bits: u8,
    /// The kernel switches the direction of an RS-485 transceiver.
    pub(crate) rs485: Option<Rs485>,
    /// Least silence between an answer and the next request.
    pub(crate) turnaround: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parity {
    None,
    Even,
    Odd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rs485 {
    /// RTS is low while sending.
    pub(crate) is_inverted: bool,
}

impl Serial {
    pub(crate) fn open(&self) -> io::Result<SerialPort> {
        let port = SerialPort::open(&self.path, |settings| self.apply(settings)).map_err(|error| self.explain(error))?;
        if let Some(rs485) = self.rs485 {
            let mut mode = Rs485Config::new();
            mode.set_invert_rts(rs485.is_inverted);
            port.set_rs4xx_mode(TransceiverMode::Rs485(mode))?;
        }
        port.discard_buffers()?;
        Ok(port)
    }

    /// The driver of a pseudo-terminal leaves out what it does not have, and the library refuses to go on without it.
    fn explain(&self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::PermissionDenied {
            let todo = "the port must belong to the service's group: /usr/share/doc/lingate/systemd.md, Serial devices";
            return io::Error::new(error.kind(), format!("{error}: {todo}"));
        }
        let is_pseudo = std::fs::canonicalize(&self.path).is_ok_and(|path| path.starts_with("/dev/pts"));
        let is_plain = self.parity == Parity::None && self.data_bits == 8;
        if !is_pseudo || is_plain || error.kind() == io::ErrorKind::NotFound {
            return error;
        }
        let what = format!("{error}: a pseudo-terminal has no parity and only bytes of 8 bits");
        io::Error::new(error.kind(), format!("{what}; write parity = \"none\" and data_bits = 8"))
    }

    fn apply(&self, mut settings: Settings) -> io::Result<Settings> {
        settings.set_raw();
        settings.set_baud_rate(self.baud)?;
        settings.set_char_size(if self.data_bits == 7 { CharSize::Bits7 } else { CharSize::Bits8 });
        settings.set_stop_bits(if self.stop_bits == 2 { StopBits::Two } else { StopBits::One });
        settings.set_parity(match self.parity {
            Parity::None => LibraryParity::None,
            Parity::Even => LibraryParity::Even,
            Parity::Odd => LibraryParity::Odd,
        });
        Ok(settings)
    }

    /// 3.5 characters, above 19,200 baud 1.75 ms (Modbus over Serial Line V1.02, 2.5.1.1).
    pub(crate) fn silence(&self) -> Duration {
        let silence = self.duration_of(7) / 2;
        silence.max(Duration::from_micros(1750)).max(self.turnaround)
    }

    /// Start bit, data, parity and stop bits of so many characters.
    pub(crate) fn duration_of(&self, characters: usize) -> Duration {
        let parity = u64::from(self.parity != Parity::None);
        let bits = 1 + u64::from(self.data_bits) + parity + u64::from(self.stop_bits);
        let nanos = bits.saturating_mul(1_000_000_000) / u64::from(self.baud.max(1));
        Duration::from_nanos(nanos.saturating_mul(u64::try_from(characters).unwrap_or(u64::MAX)))
    }
}

/// `9600 8E1`, as everybody writes it.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)?;
        match self.rs485 {
            Some(Rs485 { is_inverted: false }) => f.write_str(" rs485"),
            Some(Rs485 { is_inverted: true }) => f.write_str(" rs485-inverted"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(baud: u32, parity: Parity) -> Serial {
        let turnaround = Duration::ZERO;
        Serial { path: "/dev/ttyS0".into(), baud, parity, data_bits: 8, stop_bits: 1, rs485: None, turnaround }
    }

    #[test]
    fn the_silence_is_that_of_three_and_a_half_characters_and_never_below_the_standards() {
        assert_eq!(line(9600, Parity::Even).silence().as_micros(), 4010);
        assert_eq!(line(1200, Parity::None).silence().as_micros(), 29_166);
        assert_eq!(line(19_200, Parity::Even).silence().as_micros(), 2005);
        assert_eq!(line(115_200, Parity::Even).silence().as_micros(), 1750);
        let slow = Serial { turnaround: Duration::from_millis(9), ..line(115_200, Parity::None) };
        assert_eq!(slow.silence().as_millis(), 9);
    }

    #[test]
    fn a_line_is_told_as_everybody_writes_it() {
        assert_eq!(line(9600, Parity::Even).to_string(), "9600 8E1");
        let inverted = Serial { rs485: Some(Rs485 { is_inverted: true }), stop_bits: 2, ..line(300, Parity::Odd) };
        assert_eq!(inverted.to_string(), "300 8O2 rs485-inverted");
    }
}
