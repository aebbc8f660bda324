use std::fmt;

/// OPC UA StatusCode (OPC 10000-4, 7.39): the top two bits are the severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Good,
    Uncertain,
    Bad,
}

macro_rules! status_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl StatusCode {
            $(#[doc = $text] pub const $name: StatusCode = StatusCode($code);)*

            /// The standard's symbolic name, where this gateway itself gives the code.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($code => Some($text),)* _ => None }
            }
        }
    };
}

status_codes! {
    GOOD = 0x0000_0000, "Good";
    UNCERTAIN = 0x4000_0000, "Uncertain";
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000, "UncertainLastUsableValue";
    BAD = 0x8000_0000, "Bad";
    BAD_COMMUNICATION_ERROR = 0x8005_0000, "BadCommunicationError";
    BAD_DECODING_ERROR = 0x8007_0000, "BadDecodingError";
    BAD_ENCODING_LIMITS_EXCEEDED = 0x8008_0000, "BadEncodingLimitsExceeded";
    BAD_TIMEOUT = 0x800A_0000, "BadTimeout";
    BAD_NO_COMMUNICATION = 0x8031_0000, "BadNoCommunication";
    BAD_OUT_OF_RANGE = 0x803C_0000, "BadOutOfRange";
    BAD_NOT_SUPPORTED = 0x803D_0000, "BadNotSupported";
    BAD_TYPE_MISMATCH = 0x8074_0000, "BadTypeMismatch";
    BAD_CONFIGURATION_ERROR = 0x8089_0000, "BadConfigurationError";
    BAD_NOT_CONNECTED = 0x808A_0000, "BadNotConnected";
    BAD_DEVICE_FAILURE = 0x808B_0000, "BadDeviceFailure";
    BAD_SENSOR_FAILURE = 0x808C_0000, "BadSensorFailure";
    BAD_NO_DATA = 0x809B_0000, "BadNoData";
    BAD_NODE_ID_UNKNOWN = 0x8034_0000, "BadNodeIdUnknown";
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000, "BadWaitingForInitialData";
    BAD_AGGREGATE_INVALID_INPUTS = 0x80D6_0000, "BadAggregateInvalidInputs";
    UNCERTAIN_DATA_SUB_NORMAL = 0x40A4_0000, "UncertainDataSubNormal";
    BAD_RESOURCE_UNAVAILABLE = 0x8004_0000, "BadResourceUnavailable";
}

impl StatusCode {
    /// The reserved severity 11 counts as bad (OPC 10000-4, 7.39.1).
    pub fn severity(self) -> Severity {
        match self.0 >> 30 {
            0 => Severity::Good,
            1 => Severity::Uncertain,
            _ => Severity::Bad,
        }
    }

    pub fn is_bad(self) -> bool {
        self.severity() == Severity::Bad
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_two_bits_are_the_severity_and_the_reserved_one_is_bad() {
        let severities = [Severity::Good, Severity::Uncertain, Severity::Bad, Severity::Bad];
        for (top, severity) in (0..).zip(severities) {
            assert_eq!(StatusCode(top << 30).severity(), severity);
            assert_eq!(StatusCode(top << 30 | 0x3FFF_FFFF).severity(), severity);
            assert_eq!(StatusCode(top << 30).is_bad(), severity == Severity::Bad);
        }
    }

    #[test]
    fn a_code_is_shown_by_its_name_or_as_the_standard_writes_numbers() {
        assert_eq!(StatusCode::BAD_TIMEOUT.to_string(), "BadTimeout");
        assert_eq!(StatusCode(0x800A_0500).to_string(), "0x800A0500");
    }
}
