//! The ratios: what is divided by what. Below 1 means that the engine takes less time.

use crate::scenarios::{BATCHES, flow, hops, lateness, shares};

/// A ratio of two scenarios of the same run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    pub name: String,
    /// The scenario that is judged.
    pub scenario: String,
    /// What it is divided by.
    pub reference: String,
    /// The most that it should be, where that was set.
    pub goal: Option<f64>,
}

/// Peers with a stream by batch and a round trip; the last are those with 16 streams.
pub const PEERS: [&str; 10] = [
    "kanal",
    "flume",
    "tokio_mpsc",
    "rayon",
    "crossbeam_channel",
    "rtrb_chunks",
    "disruptor",
    "array_queue",
    "thingbuf",
    "lmax_disruptor",
];
pub const PEERS_WITH_GROUPS: [&str; 6] =
    ["crossbeam_channel", "rtrb_chunks", "disruptor", "array_queue", "thingbuf", "lmax_disruptor"];

/// The name of the figure that is no ratio: calls of the allocator a request.
pub const ALLOCATIONS: &str = "allocations_per_request";

/// The ratios among these scenarios, those of which one side is missing included.
pub fn all(scenarios: &[String]) -> Vec<Ratio> {
    let mut list = List(Vec::new());
    for way in ["submission", "completion", "spin_then_yield", "spin_then_park"] {
        let goal = match way {
            "submission" => Some(1.25),
            "completion" => Some(1.45),
            _ => None,
        };
        list.add(&format!("round_trip_{way}"), "ping_pong", "limit_ping_pong", goal);
    }
    for batch in BATCHES {
        let goal = (batch == 64).then_some(1.6);
        let stream = format!("stream_{batch}");
        list.add(&stream, "hand_ring", &format!("limit_hand_ring_{batch}"), goal);
        list.add(&stream, "one_way", &format!("limit_one_way_{batch}"), None);
    }
    list.add("stream_64_completion", "hand_ring", "limit_hand_ring_64", None);
    list.add("stream_64_runtime_table", "hand_ring", "limit_hand_ring_64", None);
    list.add("stream_64_runtime_table", "disruptor", "disruptor_stream_64", None);
    list.add("stream_64", "inline_table", "limit_inline_table", None);
    for window in [64, 256, 4096] {
        list.add(&format!("stream_64_window_{window}"), "stream_64", "stream_64", None);
    }
    list.add("groups_16", "stream_64", "stream_64", Some(1.3));
    list.add("idle_groups_1000", "round_trip", "round_trip_submission", Some(1.15));
    list.add("workers_10", "workers_1", "workers_1", Some(2.0));
    for size in [8, 64, 256, 1024, 4096] {
        list.add(&format!("payload_{size}"), "payload_56", "payload_56", None);
    }
    list.add_as("isolation_over_round_trip", "isolation_saturated", "isolation_alone");
    list.add_as("isolation_undrained_over_round_trip", "isolation_undrained", "isolation_alone");
    for scenario in ["saturated_8", "express", "express_8"] {
        let name = format!("isolation_{scenario}");
        list.add_as(&format!("{name}_over_round_trip"), &name, "isolation_alone");
    }
    for (scenario, alone) in shares::names() {
        list.add(&scenario, "alone", &alone, None);
    }
    for (scenario, short, reference) in flow::ratios() {
        list.add(&scenario, short, &reference, None);
    }
    for (scenario, idle) in lateness::ratios() {
        list.add(&scenario, "idle", &idle, None);
    }
    for (scenario, short, reference) in hops::RATIOS {
        list.add(scenario, short, reference, None);
    }
    for scenario in ["open_close", "open_trip_close"] {
        list.add(scenario, "round_trip", "round_trip_submission", None);
    }
    for scenario in scenarios {
        if let Some((work, _)) = scenario.split_once("_workers_") {
            list.add(scenario, "inline", &format!("{work}_inline"), None);
        }
    }
    list.peers();
    list.0
}

struct List(Vec<Ratio>);

impl List {
    fn add(&mut self, scenario: &str, short: &str, reference: &str, goal: Option<f64>) {
        self.0.push(Ratio {
            name: format!("{scenario}_over_{short}"),
            scenario: scenario.to_owned(),
            reference: reference.to_owned(),
            goal,
        });
    }

    fn add_as(&mut self, name: &str, scenario: &str, reference: &str) {
        let [name, scenario, reference] = [name, scenario, reference].map(str::to_owned);
        self.0.push(Ratio { name, scenario, reference, goal: None });
    }

    fn peers(&mut self) {
        for peer in PEERS {
            for batch in BATCHES {
                let scenario = format!("stream_{batch}");
                self.add(&scenario, peer, &format!("{peer}_{scenario}"), None);
            }
            self.add("round_trip_submission", peer, &format!("{peer}_round_trip"), None);
        }
        for peer in PEERS_WITH_GROUPS {
            self.add("groups_16", peer, &format!("{peer}_groups_16"), None);
        }
    }
}

/// The scenarios whose name contains one of these, and the references that their ratios need; all, if
/// nothing is asked for.
pub fn with_references(scenarios: &[String], only: &[String]) -> Vec<String> {
    let is_asked = |name: &String| only.is_empty() || only.iter().any(|part| name.contains(part));
    let ratios = all(scenarios);
    let is_needed = |name: &String| {
        ratios.iter().any(|ratio| {
            ratio.reference == *name
                && is_asked(&ratio.scenario)
                && scenarios.contains(&ratio.scenario)
        })
    };
    scenarios.iter().filter(|name| is_asked(name) || is_needed(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn references_come_with_what_is_asked_for() {
        let scenarios =
            names(&["limit_ping_pong", "round_trip_submission", "stream_64", "groups_16"]);
        let chosen = with_references(&scenarios, &names(&["groups"]));
        assert_eq!(chosen, names(&["stream_64", "groups_16"]));
        let chosen = with_references(&scenarios, &names(&["round_trip_s", "stream"]));
        assert_eq!(chosen, names(&["limit_ping_pong", "round_trip_submission", "stream_64"]));
        assert_eq!(with_references(&scenarios, &[]), scenarios);
        assert_eq!(with_references(&scenarios, &names(&["nothing"])), names(&[]));
    }

    #[test]
    fn every_ratio_has_a_name_of_its_own() {
        let all = all(&names(&["work_1us_workers_1", "work_1us_workers_shared"]));
        let mut names: Vec<_> = all.iter().map(|ratio| &ratio.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
        let found = all.iter().find(|ratio| ratio.name == "work_1us_workers_shared_over_inline");
        assert_eq!(found.expect("it is made").reference, "work_1us_inline");
    }
}
