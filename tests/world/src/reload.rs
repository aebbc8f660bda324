//! Another configuration for a gateway that runs.

use lingate_engine::{Input, NewPlan, Rules};
use lingate_refine::ExportPlan;

use crate::world::COMMIT_EVERY;
use crate::{World, plan};

impl World {
    /// Another configuration with the same devices, for this process and the next.
    pub fn reload(&mut self, written: ExportPlan) {
        self.placed = self.placed.place(&plan::placed(written.clone()));
        self.written = written;
        let Rules { quotas, live_first, replay, .. } = self.rules.clone();
        let devices = self.placed.devices.iter().map(|(name, first, _)| (name.clone(), *first)).collect();
        let (export, retired) = (self.placed.export.clone(), self.placed.retired.clone());
        let (commit_every, pseudonyms) = (COMMIT_EVERY, Vec::new());
        let new = NewPlan { export, retired, devices, quotas, live_first, replay, commit_every, pseudonyms };
        self.feed(Input::Reload(Box::new(new)));
    }

    /// As the configuration has it at this moment.
    pub fn written(&self) -> ExportPlan {
        self.written.clone()
    }
}
