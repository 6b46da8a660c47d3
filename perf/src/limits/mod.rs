//! The physical limits that the engine's figures are divided by.

pub mod hand_ring;
pub mod inline;
pub mod one_way;
pub mod ping_pong;
