//! The ring protocols, one file each. They move positions and slot indices, never payloads.

#[cfg(stageline_loom)]
pub mod claim;
#[cfg(not(stageline_loom))]
pub(crate) mod claim;

#[cfg(stageline_loom)]
pub mod completion;
#[cfg(not(stageline_loom))]
pub(crate) mod completion;

#[cfg(stageline_loom)]
pub mod posting;
#[cfg(not(stageline_loom))]
pub(crate) mod posting;
