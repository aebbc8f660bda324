use std::time::Duration;

use lingate_buffer::{Buffer, Disk, Recovery};
use lingate_model::{DeviceName, GatewayId, Now, PointId, TenantId};
use lingate_refine::ExportPlan;
use lingate_seal::{Entropy, SigningKey, VerifiedBundle};

use crate::{Input, Output, Status};

/// Everything that an engine starts with.
pub struct Setup<D: Disk> {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    /// `name version sha256:...` of the running software.
    pub software: String,
    pub export: ExportPlan,
    /// With the number of each device's first point, ascending.
    pub devices: Vec<(DeviceName, PointId)>,
    pub signer: SigningKey,
    pub bundle: Option<VerifiedBundle>,
    pub buffer: Buffer<D>,
    pub recovery: Recovery,
    pub commit_every: Duration,
    /// Most records in flight; 64 in production.
    pub window: usize,
    pub entropy: Box<dyn Entropy>,
}

pub struct Engine<D: Disk> {
    _setup: Setup<D>,
}

impl<D: Disk> Engine<D> {
    pub fn new(_now: Now, _setup: Setup<D>) -> Engine<D> {
        todo!()
    }

    pub fn handle(&mut self, _now: Now, _input: Input) {
        todo!()
    }

    /// Call until `None` after every `handle`.
    pub fn poll(&mut self) -> Option<Output> {
        todo!()
    }

    /// The monotonic time at which `Input::Wake` is due.
    pub fn wake_at(&self) -> Option<Duration> {
        todo!()
    }

    pub fn status(&self) -> Status {
        todo!()
    }
}
