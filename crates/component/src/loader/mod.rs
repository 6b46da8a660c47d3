//! The side of the host: plugins that are loaded at run time. (Feature `loader`.)
//!
//! A plugin is native code in the process, and is trusted: what can be checked is checked when it is loaded, and no
//! check finds a function that does not do what it says.

mod check;
mod error;
mod factory;
mod text;

pub use error::LoadError;

use crate::abi::{PluginTable, SYMBOL};
use crate::component::Factory;
use crate::spec::Spec;
use libloading::Library;
use std::fs;
use std::path::{Path, PathBuf};

/// A plugin that was loaded. It is never unloaded: what it made may be in use, and threads may be in its code.
#[derive(Clone, Debug)]
pub struct Plugin {
    table: &'static PluginTable,
    spec: &'static Spec,
    version: &'static str,
    path: PathBuf,
}

impl Plugin {
    /// Loads the plugin of this file: a path, relative to the working directory. No other directory is searched.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let file = || path.to_owned();
        let whole =
            fs::canonicalize(path).map_err(|source| LoadError::Absent { path: file(), source })?;
        // SAFETY: what runs when a library is loaded is trusted, as the rest of a plugin is.
        let library = unsafe { Library::new(whole) }
            .map_err(|source| LoadError::NotShared { path: file(), source: Box::new(source) })?;
        // For ever, whatever comes of it: its threads and its exit handlers may be there already.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: a plugin gives this name to this function alone.
        let symbol = unsafe { library.get::<extern "C" fn() -> *const PluginTable>(SYMBOL) };
        let symbol = symbol
            .map_err(|source| LoadError::NoSymbol { path: file(), source: Box::new(source) })?;
        // SAFETY: what the function answers is a table that stays, by rule 2 of the interface.
        unsafe { Self::of_table(symbol(), path) }
    }

    /// The plugin of a table that is in the process already; `path` stands in errors.
    ///
    /// # Safety
    ///
    /// It is null or a table of some version of the interface, which keeps the rules of [`crate::abi`].
    pub unsafe fn of_table(table: *const PluginTable, path: &Path) -> Result<Self, LoadError> {
        // SAFETY: by the contract.
        let (table, spec, version) = unsafe { check::table(table, path)? };
        Ok(Self { table, spec, version, path: path.to_owned() })
    }

    /// What it makes, and which attributes that has.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The plugin's own version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A factory, for one place in a pipeline. Where the plugin cannot make one, [`Factory::prepare`] says why.
    pub fn factory(&self) -> Box<dyn Factory> {
        Box::new(factory::PluginFactory::new(self.table, self.spec))
    }
}
