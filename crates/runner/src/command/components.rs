//! `stageline components`.

use super::print;
use super::style::Style;
use stageline_component::{AttributeSpec, Spec, nearest};
use stageline_runner::catalogue;
use std::fmt::Write;
use std::process::ExitCode;

pub fn components(name: Option<&str>, style: Style) -> ExitCode {
    let specs = catalogue();
    let Some(name) = name else {
        return print(&list(&specs));
    };
    match specs.iter().find(|spec| spec.name == name) {
        Some(spec) => print(&page(spec)),
        None => {
            let hint = match nearest(name, specs.iter().map(|spec| spec.name)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => String::from("`stageline components` lists those that there are"),
            };
            style.error(&format!("there is no component `{name}`; {hint}"));
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
