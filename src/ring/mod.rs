//! The ring protocols, one file each. They move positions and slot indices, never payloads.

#[cfg(stageline_models)]
pub mod claim;
#[cfg(not(stageline_models))]
pub(crate) mod claim;

#[cfg(stageline_models)]
pub mod completion;
#[cfg(not(stageline_models))]
pub(crate) mod completion;

#[cfg(stageline_models)]
pub mod posting;
#[cfg(not(stageline_models))]
pub(crate) mod posting;
