//! The command line: what it says, and what follows from it.

use crate::cores::Cores;
use crate::meter::Size;
use crate::peers::lmax;
use clap::Parser;
use std::path::PathBuf;

/// Measures stageline against the physical limits of this machine and against its peers.
#[derive(Debug, Parser)]
pub struct Args {
    /// Processes to run one after the other. [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    processes: Option<u32>,
    /// Rounds in each process; every round measures every scenario once. [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Only the scenarios whose name contains this, and the references of their ratios; may be repeated.
    #[arg(long, value_name = "SUBSTR")]
    pub only: Vec<String>,
    /// CPU ids: first the submitter's, then the workers'. [default: all that the process may use]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Shorter repetitions and fewer of them: less than a minute on two quiet CPUs, with all ratios.
    #[arg(long)]
    quick: bool,
    /// Write the results to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the plot of throughput, as an image, to this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Compare the ratios with those of an earlier run; exit code 1 if something became slower.
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Take the results from this file, and measure nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "cores", "quick", "rounds", "processes"])]
    pub from: Option<PathBuf>,
    /// The folder in which the jar of LMAX Disruptor is looked for.
    #[arg(long, value_name = "FOLDER", default_value = lmax::JARS)]
    pub jars: PathBuf,
    /// As few requests as there can be: whether everything runs, for tests.
    #[arg(long, hide = true, conflicts_with = "quick")]
    tiny: bool,
    /// Measure in this process what the text orders (what the parent process starts).
    #[arg(long, hide = true)]
    pub child: Option<String>,
}

impl Args {
    pub fn size(&self) -> Size {
        match (self.quick, self.tiny) {
            (false, false) => Size::Full,
            (true, _) => Size::Quick,
            (_, true) => Size::Tiny,
        }
    }

    pub fn processes(&self) -> u32 {
        self.processes.unwrap_or(match self.size() {
            Size::Full => 5,
            Size::Quick => 2,
            Size::Tiny => 1,
        })
    }

    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(match self.size() {
            Size::Full => 5,
            Size::Quick => 2,
            Size::Tiny => 1,
        })
    }

    pub fn cores(&self) -> Result<Cores, String> {
        Cores::choose(&self.cores)
    }
}
