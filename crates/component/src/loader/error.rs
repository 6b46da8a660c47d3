//! Why a plugin was not loaded.

use crate::abi::SYMBOL;
use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a plugin was not loaded. Each names the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file, or it cannot be reached.
    Absent {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no shared object for this machine, or needs another that is not there.
    NotShared {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The shared object is no plugin: it does not export the one symbol.
    NoSymbol {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The plugin was built for another version of the interface.
    Version {
        /// The file.
        path: PathBuf,
        /// That of the plugin.
        found: u32,
        /// That of this host.
        expected: u32,
    },
    /// The plugin was built with structs of another size.
    Size {
        /// The file.
        path: PathBuf,
        /// The name of the struct in C.
        name: &'static str,
        /// Its size in the plugin.
        found: u32,
        /// Its size here.
        expected: u32,
    },
    /// Something that must be there is null.
    Null {
        /// The file.
        path: PathBuf,
        /// The field; for the whole table, the name of the symbol.
        field: String,
    },
    /// A text is no UTF-8.
    Text {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
    },
    /// A kind that there is not.
    Kind {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What stands there.
        found: u32,
    },
}

impl LoadError {
    /// The file, as it was named.
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Absent { path, .. }
            | Self::NotShared { path, .. }
            | Self::NoSymbol { path, .. }
            | Self::Version { path, .. }
            | Self::Size { path, .. }
            | Self::Null { path, .. }
            | Self::Text { path, .. }
            | Self::Kind { path, .. } => path,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin `{}`: ", self.path().display())?;
        match self {
            Self::Absent { source, .. } => write!(f, "cannot be found: {source}"),
            Self::NotShared { source, .. } => write!(f, "is no shared object: {source}"),
            Self::NoSymbol { .. } => {
                write!(f, "is a shared object but no plugin: it does not export `{SYMBOL}`")
            }
            Self::Version { found, expected, .. } => write!(
                f,
                "has version {found} of the interface, and this host version {expected}: build it with \
                 the host's `stageline_component.h`"
            ),
            Self::Size { name, found, expected, .. } => write!(
                f,
                "`{name}` has {found} bytes there and {expected} here: build it with the host's \
                 `stageline_component.h`"
            ),
            Self::Null { field, .. } => write!(f, "`{field}` is null"),
            Self::Text { field, .. } => write!(f, "`{field}` is no text in UTF-8"),
            Self::Kind { field, found, .. } => write!(f, "`{field}` is {found}, which is no kind"),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Absent { source, .. } => Some(source),
            Self::NotShared { source, .. } | Self::NoSymbol { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// The whole text: a load error says all by itself.
impl From<LoadError> for crate::Error {
    fn from(error: LoadError) -> Self {
        Self::new(error.to_string())
    }
}
