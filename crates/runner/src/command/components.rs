//! `stageline components`.

use super::print;
use super::style::Style;
use stageline_builtin::{STATUSES, Status};
use stageline_component::{AttributeSpec, Kind, Spec};
use stageline_runner::{catalogue, spec_of};
use std::fmt::Write;
use std::process::ExitCode;

pub fn components(name: Option<&str>, style: Style) -> ExitCode {
    match name.map(spec_of) {
        None => print(&list(&catalogue())),
        Some(Ok(spec)) => print(&page(spec)),
        Some(Err(error)) => {
            style.error(&error);
            ExitCode::from(2)
        }
    }
}

fn list(specs: &[&Spec]) -> String {
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for spec in specs {
        let _ =
            writeln!(text, "{:width$}  {:9}  {}", spec.name, spec.kind.to_string(), spec.summary);
    }
    text
}

/// All of them, by kind, and the statuses that they answer with.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    let specs = catalogue();
    for kind in [Kind::Source, Kind::Transform, Kind::Sink] {
        let _ = writeln!(text, "\n## The {kind}s");
        for spec in specs.iter().filter(|spec| spec.kind == kind) {
            section(spec, &mut text);
        }
    }
    text.push_str(STATUS_HEAD);
    for Status { report, meaning, components } in STATUSES {
        let components: Vec<_> = components.iter().map(|name| format!("`{name}`")).collect();
        let (status, components) = (report.status(), components.join(", "));
        let _ = writeln!(text, "| {status} | {meaning} | {components} |");
    }
    text
}

const HEAD: &str = "\
<!-- Made by `stageline components --markdown`. -->
# The built-in components

`stageline components` lists them, and `stageline components NAME` describes one.
";

const STATUS_HEAD: &str = "
## Statuses

What messages are retried with (100 to 199) or fail with (200 to 299). Those of the runner stand in `README.md`.

| status | what it says of a message | components |
|---|---|---|
";

fn section(spec: &Spec, text: &mut String) {
    let _ = writeln!(text, "\n### {}\n\n{}.", spec.name, spec.summary);
    if !spec.attributes.is_empty() {
        text.push_str("\n| attribute | is | unless set | what it says |\n|---|---|---|---|\n");
    }
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    for AttributeSpec { name, kind, default, required, doc } in spec.attributes {
        let default = match (required, default) {
            (true, _) => String::from("must be set"),
            (false, Some(default)) => format!("`{}`", cell(&default.escape_debug().to_string())),
            (false, None) => String::new(),
        };
        let kind = cell(&kind.to_string());
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {} |", cell(doc));
    }
    if !spec.doc.trim().is_empty() {
        let _ = writeln!(text, "\n{}", spec.doc.trim_matches('\n'));
    }
}

fn page(spec: &Spec) -> String {
    let mut text = format!("{} ({}): {}\n", spec.name, spec.kind, spec.summary);
    if !spec.attributes.is_empty() {
        text.push_str("\nAttributes:\n");
    }
    for AttributeSpec { name, kind, default, required, doc } in spec.attributes {
        let _ = write!(text, "  {name}: {kind}");
        let _ = match (required, default) {
            (true, _) => write!(text, ", required"),
            (false, Some(default)) => write!(text, ", default {default}"),
            (false, None) => Ok(()),
        };
        let _ = writeln!(text, "\n      {doc}");
    }
    if !spec.doc.is_empty() {
        let _ = write!(text, "\n{}\n", spec.doc);
    }
    text
}
