//! The other side: what the sandbox does with what a gateway sends. For tests, for the demo, and for recipients who
//! want to see how little it takes.
//!
//! Promises:
//! - [`Authority`] keeps its keys in files that only their owner reads, never overwrites a key, never signs the same
//!   bundle version twice, and gives a certificate only to the key that asked for it.

mod authority;
mod bundle;
mod clock;
mod enroll;
mod files;
mod identity;
mod jws;
mod keys;
mod mosquitto;
mod pki;
mod policy;

pub use authority::{Authority, InitOptions, Issued, KeyChange, KnownGateway};
pub use enroll::Software;
pub use identity::GatewayIdentity;
pub use keys::{Jwk, RoleKey};
pub use policy::Policy;
