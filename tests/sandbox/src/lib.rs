//! The other side: what the sandbox does with what a gateway sends. For tests, for the demo, and for recipients who
//! want to see how little it takes.
//!
//! Promises:
//! - [`Authority`] keeps its keys in files that only their owner reads, never overwrites a key, never signs the same
//!   bundle version twice, and gives a certificate only to the key that asked for it.
//! - [`Intake`] takes a message only after signature, epoch, signer, sequence number, decryption and content hold, in
//!   this order. What it does not take it counts by reason; what an honest gateway never signs raises an [`Alarm`].
//! - A record is in the [`Store`] once, however often it arrives, and it is there, synced, before [`Receiver`]
//!   acknowledges it to the broker. Content keys are never stored.
//! - [`Report`] tells what is missing: every sequence number of a known epoch is received, declared lost, or a hole.
//! - [`Broker`] is for tests and demo only: its queues are in memory.
//!
//! Refused: messages of gateways that were not enrolled, KEYs beyond the policy, more than 4,096 records of one gateway
//! that wait for a KEY.

mod authority;
mod broker;
mod bundle;
mod clock;
mod database;
mod enroll;
mod epoch;
mod files;
mod identity;
mod intake;
pub mod json;
mod jws;
mod keys;
mod lineage;
mod link;
mod live;
mod merkle;
mod mosquitto;
mod opened;
mod opener;
mod parquet;
mod pki;
mod policy;
mod policy_file;
mod publish;
mod receipts;
mod receiver;
mod rejected;
mod report;
mod store;
mod table;
mod tls;
mod topic;
mod trust;
mod witness;

pub use authority::{Authority, DatasetChange, InitOptions, Issued, KeyChange, KnownGateway, PurposeChange, Server};
pub use broker::{Broker, Refusal, Tap, TapCounts};
pub use enroll::Software;
pub use identity::GatewayIdentity;
pub use intake::{Arrival, Intake};
pub use keys::{Jwk, RoleKey};
pub use lineage::{Evidence, Hop};
pub use link::BrokerAddress;
pub use opened::{Event, OpenedBatch, OpenedGap, OpenedReading};
pub use opener::Opener;
pub use policy::sample as sample_policy;
pub use policy::{Acknowledgement, Policy};
pub use publish::{Message, publish_bundles, publish_messages};
pub use receiver::{Group, LinkState, LiveDataset, Receiver, ReceiverConfig, ReceiverHandle, ReceiverOptions, Sink};
pub use rejected::Rejected;
pub use report::{DatasetReport, DescribedDevice, Report, StepReport};
pub use store::{Alarm, ContextFilter, ContextRow, Store, StoreError};
pub use topic::{Channel, Topic};
pub use trust::{Trust, UsedKey};
pub use witness::{Judged, Reply, Witness, WitnessedLog};
