//! In place of the example's own failures, most of which are of its database: the one that its tables
//! need.

/// Why the tables could not be read.
#[derive(Debug)]
#[allow(dead_code, reason = "shown by Debug")]
pub enum Failure {
    Table { name: &'static str, source: csv::Error },
}
