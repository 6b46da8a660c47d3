//! The tables that rows are joined with, by code.

use crate::failure::Failure;
use std::collections::HashMap;

/// Place of an airline in its table.
#[derive(Clone, Copy, Debug)]
pub struct AirlineId(usize);

/// Place of an airport in its table.
#[derive(Clone, Copy, Debug)]
pub struct AirportId(usize);

/// Names by code. A row keeps places in the tables, so that joining copies no text.
#[derive(Debug)]
pub struct Lookup {
    airlines: Table,
    airports: Table,
}

impl Lookup {
    /// Reads the built-in tables.
    pub fn load() -> Result<Self, Failure> {
        Ok(Self {
            airlines: Table::read("airlines.csv", include_str!("data/airlines.csv"))?,
            airports: Table::read("airports.csv", include_str!("data/airports.csv"))?,
        })
    }

    /// The airline with this carrier code.
    pub fn airline(&self, carrier: &str) -> Option<AirlineId> {
        self.airlines.places.get(carrier).copied().map(AirlineId)
    }

    /// The airport with this FAA code.
    pub fn airport(&self, faa: &str) -> Option<AirportId> {
        self.airports.places.get(faa).copied().map(AirportId)
    }

    /// The airline's name.
    pub fn airline_name(&self, airline: AirlineId) -> &str {
        &self.airlines.names[airline.0]
    }

    /// The airport's name.
    pub fn airport_name(&self, airport: AirportId) -> &str {
        &self.airports.names[airport.0]
    }
}

#[derive(Debug, Default)]
struct Table {
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl Table {
    /// Reads a table whose first column is the code and whose second one is the name.
    fn read(name: &'static str, text: &str) -> Result<Self, Failure> {
        let mut table = Self::default();
        for row in csv::Reader::from_reader(text.as_bytes()).into_deserialize() {
            let (code, name): (String, String) =
                row.map_err(|source| Failure::Table { name, source })?;
            table.places.insert(code, table.names.len());
            table.names.push(name);
        }
        Ok(table)
    }
}
