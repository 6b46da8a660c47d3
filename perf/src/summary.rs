//! Samples, medians, ratios, and the table that is printed.

use std::collections::BTreeMap;

/// The median. The slice is sorted on the way.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// All samples of all processes, by scenario.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<String, Vec<f64>>);

/// A scenario, the reference that it is divided by, and the most that the ratio should be.
const RATIOS: [(&str, &str, f64); 6] = [
    ("round_trip_submission", "limit_ping_pong", 1.25),
    ("round_trip_completion", "limit_ping_pong", 1.45),
    ("stream_64", "limit_hand_ring_64", 1.6),
    ("groups_16", "stream_64", 1.3),
    ("idle_groups_1000", "round_trip_submission", 1.15),
    ("workers_10", "workers_1", 2.0),
];

impl Samples {
    /// Adds the lines `NAME VALUE` that a measuring process printed.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for line in text.lines() {
            let sample = line
                .split_once(' ')
                .and_then(|(name, value)| Some((name.to_owned(), value.parse::<f64>().ok()?)));
            let (name, value) = sample.ok_or_else(|| format!("not a sample: {line:?}"))?;
            self.0.entry(name).or_default().push(value);
        }
        Ok(())
    }
}

/// Prints each scenario's median and spread, and its ratio to its reference.
pub fn print_table(samples: &Samples) {
    println!(
        "{:28} {:>10} {:>22}   {:>24} {:>6} {:>6}",
        "ns a request", "median", "p10 .. p90", "reference", "ratio", "goal"
    );
    let medians: BTreeMap<&str, f64> = samples
        .0
        .iter()
        .map(|(name, values)| (name.as_str(), median(&mut values.clone())))
        .collect();
    for (name, values) in &samples.0 {
        let mut values = values.clone();
        let (low, high) = (quantile(&mut values, 0.1), quantile(&mut values, 0.9));
        print!("{name:28} {:>10.1} {low:>10.1} .. {high:<8.1}", medians[name.as_str()]);
        let ratio = RATIOS.iter().find(|(scenario, ..)| scenario == name).and_then(
            |(_, reference, goal)| {
                Some((reference, medians[name.as_str()] / medians.get(reference)?, goal))
            },
        );
        match ratio {
            Some((reference, ratio, goal)) => {
                println!("   {reference:>24} {ratio:>6.2} {goal:>6.2}")
            }
            None => println!(),
        }
    }
}
