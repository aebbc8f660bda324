use lingate_buffer::Loss;

/// Readings that will not arrive: counted by cause at once, declared by a gap record when there is an epoch for it.
pub(crate) struct Lost {
    pub(crate) cause: &'static str,
    pub(crate) readings: u64,
    pub(crate) notice: Option<String>,
}

impl Lost {
    /// The plan has no stream left that could carry the gap record; the counter and this sentence are all there is.
    pub(crate) fn undeclared(loss: &Loss) -> Lost {
        let notice = Some(format!("{} records of a dataset that is not configured any more are lost", loss.records));
        Lost { cause: "undeclared", readings: loss.readings, notice }
    }
}
