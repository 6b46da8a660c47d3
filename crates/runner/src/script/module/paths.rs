//! Paths of sources and sinks that lead nowhere: the run would end there. They may lead somewhere by then, so that they
//! are warned of. And files that two components have.

use stageline_component::Value;
use std::path::{Path, PathBuf};

/// What must be there when a component begins.
#[derive(Clone, Copy)]
enum Leads {
    /// A file, unless it is followed.
    ToFile,
    /// The folder of a file that is made.
    ToFolder,
}

/// The attributes of components that are paths.
const PATHS: [(&str, &str, Leads); 4] = [
    ("file_source", "path", Leads::ToFile),
    ("unix_source", "path", Leads::ToFolder),
    ("file_sink", "path", Leads::ToFolder),
    ("sqlite", "path", Leads::ToFolder),
];

fn text_of(values: &[(String, Value)], name: &str) -> Option<String> {
    values.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.to_text())
}

fn paths_of(values: &[(String, Value)], name: &str) -> Vec<String> {
    match values.iter().find(|(other, _)| other == name).map(|(_, value)| value) {
        Some(Value::List(paths)) => paths.iter().filter_map(Value::to_text).collect(),
        // A text is a list of its lines.
        Some(Value::Text(text)) => text.lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A file that a component of the script reads or writes.
pub(super) struct Use {
    path: PathBuf,
    is_sink: bool,
    /// Others may write to it: it adds lines to what there is, and nothing else.
    is_shared: bool,
    line: Option<usize>,
}

/// Two components have one file.
pub(super) struct Clash {
    pub text: String,
    /// What one of them writes is lost by the other.
    pub is_loss: bool,
}

/// Writes down the files of a component with these attributes, and says which another one has.
pub(super) fn clashes(
    uses: &mut Vec<Use>,
    component: &str,
    values: &[(String, Value)],
    line: Option<usize>,
) -> Vec<Clash> {
    let is_sink = component == "file_sink";
    if !is_sink && component != "file_source" {
        return Vec::new();
    }
    let is_set = |name| text_of(values, name).is_some();
    let is_shared = text_of(values, "mode").as_deref() != Some("truncate")
        && !is_set("rotate_size")
        && !is_set("rotate_every");
    let mut found = Vec::new();
    for name in paths_of(values, "path") {
        let path = Path::new(&name);
        // (What is not there yet has no other name.)
        let path = path.canonicalize().or_else(|_| std::path::absolute(path));
        let own = Use { path: path.unwrap_or_default(), is_sink, is_shared, line };
        if let Some(other) = uses.iter().find(|other| {
            other.path == own.path
                && (other.is_sink || is_sink)
                && !(other.is_sink && is_sink && other.is_shared && is_shared)
        }) {
            let at = other.line.map(|line| format!(" in line {line}")).unwrap_or_default();
            let is_loss = other.is_sink && is_sink;
            let what = match (is_loss, is_sink) {
                (true, _) => {
                    "writes this file, too, and one would lose what the other writes: give each a file of its own"
                }
                (false, true) => "reads this file, and would read what is written here",
                (false, false) => "writes this file, and what it writes would be read here",
            };
            let who = if other.is_sink { "file_sink" } else { "file_source" };
            let text = format!("`{component}`: `path` = {name:?}: the `{who}`{at} {what}");
            found.push(Clash { text, is_loss });
        }
        uses.push(own);
    }
    found
}

/// What is to be said of the paths of a component with these attributes.
pub(super) fn astray(component: &str, values: &[(String, Value)]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, name, leads) in PATHS.iter().filter(|(name, ..)| *name == component) {
        for path in paths_of(values, name) {
            let wrong = match leads {
                Leads::ToFile => {
                    let follows = text_of(values, "follow");
                    file(&path, follows.as_deref() == Some("true"))
                }
                Leads::ToFolder => folder(&path),
            };
            found.extend(wrong.map(|wrong| format!("`{component}`: `{name}` = {path:?}: {wrong}")));
        }
    }
    found
}

fn file(path: &str, is_awaited: bool) -> Option<String> {
    // A pattern may find none, one, or several.
    let is_pattern = path.contains(['*', '?', '[']);
    match Path::new(path) {
        file if file.is_dir() => Some(String::from("it is a folder, and no file")),
        file if is_pattern || is_awaited || file.exists() => None,
        _ => Some(String::from("there is no such file")),
    }
}

fn folder(path: &str) -> Option<String> {
    // What SQLite does not keep in a file of this name.
    if path.starts_with(':') || path.starts_with("file:") || path.is_empty() {
        return None;
    }
    let path = Path::new(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        _ if path.is_dir() => Some(String::from("it is a folder, and no file")),
        Some(folder) if !folder.is_dir() => Some(format!("there is no folder {folder:?}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stageline_builtin::builtins;
    use stageline_component::Kind;

    #[test]
    fn each_path_of_a_source_or_a_sink_is_known() {
        for spec in builtins().map(|builtin| builtin.spec) {
            let is_known = PATHS.iter().any(|(component, ..)| *component == spec.name);
            let is_path = spec.attribute("path").is_some() && spec.kind != Kind::Transform;
            assert_eq!(is_known, is_path, "{}", spec.name);
        }
        for (component, attribute, _) in PATHS {
            let spec = stageline_builtin::builtin(component).map(|builtin| builtin.spec);
            assert!(spec.is_some_and(|spec| spec.attribute(attribute).is_some()), "{component}");
        }
    }
}
