use std::time::Duration;

use crate::World;

impl World {
    /// The process is so much older than it seems; the wall clock stays where it is. Before anything happens.
    pub fn has_run_for(&mut self, age: Duration) {
        self.time += age;
        self.jumped -= age.as_micros() as i64;
    }
}
