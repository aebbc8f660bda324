//! Floor 3: store and forward. An append-only segment log per priority class; the disk is behind a trait.
//!
//! Promises
//! - A record is durable when [`Buffer::commit`] names it: `fdatasync` returned for it and for every record before it in
//!   its class, and its file's directory entry was synced. From then on it is handed out by [`Buffer::next`] until it is
//!   acknowledged, or it is told as a [`Loss`]. Nothing that is not durable is handed out.
//! - Within a class, records come in the order in which they were appended. A position is never used for two records
//!   once it was reported.
//! - After a crash, records that were acknowledged may come again; records that were not never go missing unnoticed.
//! - A failed sync makes its segment non-durable from that point for ever: nothing is written to it again, and the
//!   records are written to a new segment from memory.
//! - Damage costs the frame that it hit, and is told one frame at a time. One flipped bit in a header costs nothing, nor
//!   does one in a KEY, a catalogue or a gap record, on which other records depend.
//! - Space returns by whole segments, and memory is bounded: uncommitted records by
//!   [`Settings::uncommitted_bytes`], reading by one record and 64 KiB a class.
//!
//! Refusals: [`Buffer::open`] refuses a directory that another process holds, that cannot be used, or that holds a segment
//! of a newer version, and nothing else.
//! [`Buffer::append`] refuses when nothing may be dropped to make room.
//!
//! [`Buffer::purge`] destroys: the sealed bytes of a dataset are overwritten with zeros in place and synced, and what of
//! them waited is a [`Loss`]. Flash may keep old copies of a block: what protects those is that no key is on this disk.
//!
//! Losses: whoever takes them from [`Buffer::losses`] appends their gap records before the next commit. Only when that
//! commit went through, and they are not held by [`Buffer::hold_losses`], does the buffer forget the lost records. An
//! overflow waits for none of that: it writes the losses of the oldest segment into a ledger, and the segment goes. A
//! process that ends before they are declared, or before the cursor that says so is synced, tells them again at its next
//! start. When the KEY or catalogue of an epoch
//! is lost, the rest of that epoch is told as lost too, also by later processes, and never handed out.
//!
//! [`Buffer::quarantine`] sets a record aside that a broker refuses for ever: it is a [`Loss`] from then on, and its
//! bytes stay in a folder of their own, at most one segment's worth, the oldest going first.
//!
//! Bytes
//! ```text
//! LOCK                              held while the process lives
//! reserve                           zeros, given up when the disk is full
//! quarantine/                       records that a broker refuses               (quarantine.rs)
//! high/ normal/ low/
//!   cursor                          two slots of 4 KiB: what is done, what is durable   (cursor.rs)
//!   00000000000000000000.seg        header of 48 bytes, then frames                     (segment.rs)
//!   00000000000000008123.seg        a frame is a header of 104 bytes and sealed bytes   (frame.rs)
//!   00000000000000000000.lost       losses of a dropped segment, not declared yet       (ledger.rs)
//! ```
//! A segment's name is its first position; it ends where the next one begins. Its life:
//! ```text
//! (none) --start--> active --full, or a sync failed--> closed --all done: cursor synced--> removed
//!                                                        |                                    ^
//!                                                        +--overflow: losses written down-----+
//! ```

mod ahead;
mod cursor;
mod disk;
pub mod fake;
mod frame;
mod inspect;
mod ledger;
mod log;
mod names;
mod positions;
mod purge;
mod quarantine;
mod reading;
mod real_disk;
mod recovery;
mod report;
mod reserve;
mod segment;
mod settings;
mod space;
mod store;

pub use disk::{Disk, DiskError, Entry, FileId};
pub use inspect::{
    ClassView, CursorView, SegmentView, Walked, inspect, inspect_watched, quarantined, read_quarantined,
};
pub use purge::Purged;
pub use quarantine::Quarantined;
pub use real_disk::RealDisk;
pub use report::{Committed, Loss, LossCause, RecordId, Recovery, Usage};
pub use settings::{AppendError, BufferError, Overflow, Settings};
pub use store::Buffer;
