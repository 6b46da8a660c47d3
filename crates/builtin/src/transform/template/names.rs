//! How a template uses names: whether it only prints what is called so, only calls it, or does something else with it.
//!
//! This goes by the tags alone. What it is not sure of is something else.

use std::collections::HashMap;

/// All uses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// `{{ name }}`, `{{ name.field }}`, `{{ name["field"][0] }}`.
    pub(super) prints: bool,
    /// `name(...)`.
    pub(super) calls: bool,
    /// Any other.
    pub(super) computes: bool,
}

/// The names in the tags of a template.
pub(super) fn names(source: &str) -> HashMap<&str, Uses> {
    let mut names = HashMap::<&str, Uses>::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (begin, inner) = rest[at..].split_at(rest.len().min(at + 2) - at);
        rest = match begin {
            "{{" | "{%" => {
                let end = tag_end(inner, if begin == "{{" { "}}" } else { "%}" });
                read_tag(&inner[..end], begin == "{{", &mut names);
                &inner[end..]
            }
            "{#" => inner.find("#}").map_or("", |end| &inner[end..]),
            _ => &rest[at + 1..],
        };
    }
    names
}

fn read_tag<'a>(tag: &'a str, prints: bool, names: &mut HashMap<&'a str, Uses>) {
    let text = tag.trim_matches(['-', '+']).trim();
    if prints && let Some(name) = printed(text) {
        names.entry(name).or_default().prints = true;
        return;
    }
    let mut rest = text;
    let mut is_member = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => string_end(rest),
            _ if is_letter(first) => word(rest).len(),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if is_letter(first) && !is_member {
            let uses = names.entry(token).or_default();
            let is_called = behind.trim_start().starts_with('(');
            *(if is_called { &mut uses.calls } else { &mut uses.computes }) = true;
        }
        is_member = first == '.' || is_member && first.is_whitespace();
        rest = behind;
    }
}

/// The first name of what is a name, its fields and its elements, and nothing else.
fn printed(text: &str) -> Option<&str> {
    let name = word(text);
    let mut rest = &text[name.len()..];
    while !rest.is_empty() {
        let length = if let Some(field) = rest.strip_prefix('.') {
            1 + Some(word(field).len()).filter(|length| *length > 0)?
        } else {
            let index = rest.strip_prefix('[')?;
            let length = match index.chars().next()? {
                '"' | '\'' => string_end(index),
                _ => index.bytes().take_while(u8::is_ascii_digit).count(),
            };
            index[length..].strip_prefix(']')?;
            length + 2
        };
        rest = &rest[length..];
    }
    Some(name).filter(|name| !name.is_empty())
}

fn is_letter(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

fn word(text: &str) -> &str {
    &text[..text.find(|char| !is_letter(char)).unwrap_or(text.len())]
}

/// Where a string ends, behind its second quote.
fn string_end(text: &str) -> usize {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else { return 0 };
    while let Some((at, char)) = chars.next() {
        if char == quote {
            return at + char.len_utf8();
        }
        if char == '\\' {
            chars.next();
        }
    }
    text.len()
}

/// Where a tag ends, which brackets and strings may have the sign of in them.
fn tag_end(inner: &str, sign: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(first) = inner[at..].chars().next() {
        if depth == 0 && inner[at..].starts_with(sign) {
            break;
        }
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += match first {
            '"' | '\'' => string_end(&inner[at..]),
            _ => first.len_utf8(),
        };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(source: &str, name: &str) -> String {
        let Uses { prints, calls, computes } = names(source).get(name).copied().unwrap_or_default();
        let all = [(prints, "prints"), (calls, "calls"), (computes, "computes")];
        all.iter().filter(|(is_so, _)| *is_so).map(|(_, what)| *what).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn uses_of_names_are_told_apart() {
        let cases = [
            ("{{ a }}", "prints"),
            ("{{a}} {{- a -}}", "prints"),
            ("{{ a.b.c }}{{ a[0]['x}}'].b }}", "prints"),
            ("{{ a + 1 }}", "computes"),
            ("{{ a | round }}", "computes"),
            ("{{ a }}{% if a > 1 %}x{% endif %}", "prints computes"),
            ("{% for a in b %}{{ a }}{% endfor %}", "prints computes"),
            ("{{ a(1) }} {{ a (2) + 1 }}", "calls"),
            ("{{ [a[b]] }}", "computes"),
            ("{{ {'x': {'y': a}} ~ a }}", "computes"),
            ("{{ '}}' ~ a }}", "computes"),
            ("{{ '\\'}}' ~ a }}", "computes"),
            ("{{ b.a }} {{ b . a + 1 }} a {# {{ a }} #} { a }", ""),
            ("{{ 'a' + \"a\" }}", ""),
            ("{{ a[ }}", "computes"),
            ("{{ a. }}", "computes"),
            ("{{ b[a] }}", "computes"),
            ("{", ""),
            ("{{", ""),
            ("\u{e4}{{ a }}\u{e4}", "prints"),
        ];
        for (source, expected) in cases {
            assert_eq!(uses(source, "a"), expected, "{source}");
        }
    }
}
