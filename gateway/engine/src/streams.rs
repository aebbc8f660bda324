//! Which stream something belongs to.

use lingate_buffer::Disk;
use lingate_model::{DatasetAlias, Priority};

use crate::engine::Engine;

impl<D: Disk> Engine<D> {
    pub(crate) fn stream_of(&self, alias: &DatasetAlias) -> Option<usize> {
        self.streams.iter().position(|stream| stream.alias() == Some(alias))
    }

    /// For a record whose own stream is not known any more.
    pub(crate) fn stream_of_class(&self, priority: Priority) -> Option<usize> {
        let mut streams = self.streams.iter().zip(&self.export.datasets);
        streams.position(|(stream, plan)| plan.priority == priority && !stream.is_retired())
    }
}
