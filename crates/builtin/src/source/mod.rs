//! Sources.

use crate::Builtin;

pub(crate) const ALL: &[Builtin] = &[];
