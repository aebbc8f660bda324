use lingate_model::GatewayId;
use lingate_seal::{Entropy, SigningKey};

use crate::heads::Heads;

/// What every stream seals with.
pub(crate) struct Sealing {
    pub(crate) gateway: GatewayId,
    pub(crate) software: String,
    pub(crate) signer: SigningKey,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) heads: Heads,
}
