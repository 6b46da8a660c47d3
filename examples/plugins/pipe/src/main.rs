//! A host of a page: a source and what follows it, in one thread.
//!
//! ```sh
//! cargo build --release -p stdin-component -p stdout-component -p stageline-plugin-reverse
//! cargo run --release -p stageline-plugin-pipe -- \
//!     target/release/lib{stdin,reverse,stdout}_component.so < README.md
//! ```
//!
//! It has no use for components that hold messages or want them again, and says so.

use stageline_component::host::Call;
use stageline_component::loader::Plugin;
use stageline_component::{
    Component, EmitError, Emitter, Error, Message, Report, ReportKind, TooLarge,
};
use std::env;
use std::process::ExitCode;

/// How many bytes a message has at most.
const MESSAGE_MAX: usize = 1 << 20;

/// Sends each message through all components before the next one is made.
struct Line {
    components: Vec<Box<dyn Component>>,
    message: Message,
    number: u64,
}

impl Emitter for Line {
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        self.message.reset();
        fill(&mut self.message)?;
        let number = self.number;
        self.number += 1;
        for component in &mut self.components {
            self.message.prepare(Call { attempt: 1, flush: None, held: 0 });
            let report = component.handle(&mut self.message);
            self.message.set_status(report.status());
            match report.kind() {
                ReportKind::Done => {}
                ReportKind::Drop => break,
                _ => {
                    report_to_user(number, report, self.message.description());
                    break;
                }
            }
        }
        Ok(number)
    }

    fn is_stopping(&self) -> bool {
        false
    }
}

fn report_to_user(number: u64, report: Report, description: &str) {
    eprintln!("message {number}: {report}: {description}");
}

fn run() -> Result<(), Error> {
    let mut factories = Vec::new();
    for path in env::args_os().skip(1) {
        let mut factory = Plugin::load(path)?.factory();
        factory.prepare()?;
        factories.push(factory);
    }
    let Some((first, rest)) = factories.split_first() else {
        return Err(Error::new("which plugins? the first one is a source"));
    };
    let mut source = first.source()?;
    let components = rest.iter().map(|factory| factory.component());
    let components = components.collect::<Result<_, _>>()?;
    let mut line = Line { components, message: Message::new(4096, MESSAGE_MAX), number: 0 };
    source.run(&mut line)?;
    line.components.iter_mut().try_for_each(|component| component.close())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
