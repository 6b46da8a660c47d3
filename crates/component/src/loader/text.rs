//! The values of attributes as the texts in which they reach a plugin.

use crate::attributes::{Attributes, Typed};
use crate::value::Value;

/// The text of an attribute that is set, in the form that the interface says; or why there is none.
pub fn of(attributes: &Attributes, name: &str) -> Option<Result<String, &'static str>> {
    Some(match attributes.get(name)? {
        Typed::Text(text) => Ok(text.clone()),
        Typed::Integer(number) => Ok(number.to_string()),
        Typed::Number(number) => Ok(number.to_string()),
        Typed::Boolean(is_true) => Ok(is_true.to_string()),
        Typed::Duration(duration) => Ok(format!("{}ns", duration.as_nanos())),
        Typed::Size(bytes) => Ok(bytes.to_string()),
        Typed::List(values) => lines(values.iter().map(|value| (None, value))),
        Typed::Map(values) => {
            lines(values.iter().map(|(name, value)| (Some(name.as_str()), value)))
        }
        Typed::Function(_) => Err("a plugin takes no functions"),
    })
}

fn lines<'a>(
    values: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
) -> Result<String, &'static str> {
    let mut lines = String::new();
    for (name, value) in values {
        let text =
            value.to_text().ok_or("a plugin takes texts, numbers and booleans alone in it")?;
        let name = name.unwrap_or_default();
        if text.contains('\n') || name.contains(['\n', '=']) {
            return Err("a plugin takes no line feeds in it, and no `=` in a name");
        }
        let is_pair = !name.is_empty();
        lines.extend([name, if is_pair { "=" } else { "" }, &text, "\n"]);
    }
    Ok(lines)
}
