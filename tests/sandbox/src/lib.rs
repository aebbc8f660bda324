//! The other side: what the sandbox does with what a gateway sends. For tests, for the demo, and for recipients who
//! want to see how little it takes.
//!
//! Promises:
//! - [`Authority`] keeps its keys in files that only their owner reads, never overwrites a key, never signs the same
//!   bundle version twice, and gives a certificate only to the key that asked for it.

mod authority;
mod broker;
mod bundle;
mod clock;
mod enroll;
mod epoch;
mod files;
mod identity;
mod intake;
mod jws;
mod keys;
mod link;
mod live;
mod merkle;
mod mosquitto;
mod opened;
mod pki;
mod policy;
mod receiver;
mod rejected;
mod report;
mod store;
mod table;
mod tls;
mod topic;
mod trust;

pub use authority::{Authority, InitOptions, Issued, KeyChange, KnownGateway};
pub use broker::{Broker, Refusal, Tap, TapCounts};
pub use enroll::Software;
pub use identity::GatewayIdentity;
pub use intake::{Arrival, Intake};
pub use keys::{Jwk, RoleKey};
pub use link::BrokerAddress;
pub use opened::{Event, OpenedBatch, OpenedGap, OpenedReading};
pub use policy::Policy;
pub use receiver::{LinkState, LiveDataset, Receiver, ReceiverConfig, ReceiverHandle, Sink};
pub use rejected::Rejected;
pub use report::{DatasetReport, Report, StepReport};
pub use store::{Alarm, Store, StoreError};
pub use topic::{Channel, Topic};
pub use trust::Trust;
