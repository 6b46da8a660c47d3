//! The physical limits that the engine's figures are divided by.

pub mod hand_ring;
pub mod ping_pong;
