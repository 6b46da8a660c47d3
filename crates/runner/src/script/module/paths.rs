//! Paths of sources and sinks that lead nowhere: the run would end there. They may lead somewhere by then, so that they
//! are warned of.

use stageline_component::Value;
use std::path::Path;

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

/// What is to be said of the paths of a component with these attributes.
pub(super) fn astray(component: &str, values: &[(String, Value)]) -> Vec<String> {
    let value = |name: &str| values.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let mut found = Vec::new();
    for (_, name, leads) in PATHS.iter().filter(|(name, ..)| *name == component) {
        let paths: Vec<String> = match value(name) {
            Some(Value::List(paths)) => paths.iter().filter_map(Value::to_text).collect(),
            // A text is a list of its lines.
            Some(Value::Text(text)) => text.lines().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        for path in paths {
            let wrong = match leads {
                Leads::ToFile => {
                    let follows = value("follow").and_then(Value::to_text);
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
