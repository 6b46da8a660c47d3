//! Scripts out of bytes: mostly such as somebody would write, with mistakes of all kinds.

use arbitrary::Unstructured;
use stageline_component::{AttributeKind, AttributeSpec, Spec};
use stageline_runner::catalogue;
use std::fmt::Write;

/// Entries of a list, at most.
const ENTRIES_MAX: usize = 6;
/// How deep tables of values stand in each other.
const DEPTH_MAX: usize = 3;

const NAMES: [&str; 12] = [
    "a",
    "b",
    "c",
    "late",
    "null",
    "end",
    "fail",
    "(start)",
    "\\u{e4} \\\"x\\\" & -->",
    "a\\nb",
    "\\27[31m",
    "",
];
const TEXTS: [&str; 18] = [
    "a",
    "",
    "x\\ny",
    "none/out.log",
    "*.log",
    "[",
    "127.0.0.1:9999",
    "{{ data }}",
    "{{ a.",
    "(?<k>.)",
    "(",
    "a > 1 && b == 'x'",
    "a >",
    "\\27[2J",
    "1KiB",
    "250ms",
    "true",
    "\\255\\254",
];
const EXPRESSIONS: [&str; 8] = [
    "a > 1",
    "has(this.a)\\n  && b",
    "attributes[\\\"k\\\"] == '\\7'",
    "a +",
    "",
    "f(a)",
    "a == '\\u{202e}<&\\\"#'",
    "x.y[0] in z",
];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "64",
    "100",
    "-1",
    "0.5",
    "1e3",
    "1/0",
    "0/0",
    "9223372036854775807",
    "math.mininteger",
    "65536",
    "1e308",
];
const OPTIONS: [&str; 13] = [
    "name",
    "workers",
    "cores",
    "order",
    "window",
    "wait",
    "message_capacity",
    "message_max",
    "on_failure",
    "dag",
    "drain_at_most",
    "retry",
    "naem",
];
const STATEMENTS: [&str; 12] = [
    "tostring(s.stdin {})\n",
    "local t = setmetatable({}, { __index = s })\n",
    "error(nil)\n",
    "error('\\27[0m')\n",
    "pcall(error, 'x')\n",
    "goto nowhere\n",
    "s.pipeline()\n",
    "s:stdin {}\n",
    "for i = 1, 3 do s.null {} end\n",
    "local x <const> = s.json\n",
    "s.plugin('none/none.so', {})\n",
    "require('none.module')\n",
];

struct Writer<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
    text: String,
    specs: Vec<&'static Spec>,
}

/// A script; bytes that have come to their end choose what comes first.
pub fn script(bytes: &mut Unstructured<'_>) -> String {
    let mut writer = Writer { bytes, text: String::new(), specs: catalogue() };
    writer.beginning();
    for _ in 0..writer.below(3) {
        writer.statement();
    }
    writer.pipeline();
    if writer.is_seldom() {
        writer.statement();
        writer.pipeline();
    }
    writer.text
}

impl Writer<'_, '_> {
    fn below(&mut self, bound: usize) -> usize {
        self.bytes.int_in_range(0..=bound - 1).unwrap_or_default()
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len())]
    }

    /// Once in sixteen times.
    fn is_seldom(&mut self) -> bool {
        self.below(16) == 15
    }

    fn is_often(&mut self) -> bool {
        self.below(4) != 3
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if self.bytes.is_empty() {
            return;
        }
        // A slip of the hand.
        if self.below(250) == 249 {
            let noise: char = self.bytes.arbitrary().unwrap_or('\r');
            self.text.push(noise);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.push(&format!("\"{text}\""));
    }

    fn beginning(&mut self) {
        let text = match self.below(12) {
            0..9 => "local s = require(\"stageline\")\n",
            9 => "#!/usr/bin/env stageline\nlocal s = require \"gopiper\"\r\n",
            10 => "\u{feff}s = require('stageline')\r",
            _ => "--[[ \u{1} ]]\n",
        };
        self.push(text);
    }

    fn statement(&mut self) {
        if self.is_often() {
            let name = self.one_of(&["a", "b", "c", "s"]);
            self.push(&format!("local {name} = "));
            self.component();
            self.push("\n");
        } else {
            let statement = self.one_of(&STATEMENTS);
            self.push(statement);
        }
    }

    /// A component: one of the catalogue, by any of the ways to call it.
    fn component(&mut self) {
        let at = self.below(self.specs.len());
        let spec = self.specs[at];
        self.of(spec);
    }

    fn of(&mut self, spec: &'static Spec) {
        match self.below(20) {
            0..16 => self.push(&format!("s.{} ", spec.name)),
            16 => return self.push(&format!("s.component(\"{}\")", spec.name)),
            17 => self.push(&format!("s.{}x ", spec.name)),
            18 => return self.push(&format!("s.{}", spec.name)),
            _ => {
                let name = self.one_of(&["a", "b", "c", "nil", "s.NULL", "42"]);
                return self.push(name);
            }
        }
        self.push("{ ");
        for attribute in spec.attributes {
            if attribute.required || self.below(8) == 7 {
                self.push(&format!("{} = ", attribute.name));
                self.attribute(attribute);
                self.push(", ");
            }
        }
        if self.is_seldom() {
            let name = self.one_of(&["paht", "[1]", "[true]", "filter", "\"x\"", "[0/1]"]);
            self.push(&format!("{name} = "));
            self.value(0);
        }
        self.push("}");
    }

    fn attribute(&mut self, attribute: &AttributeSpec) {
        if self.is_seldom() {
            return self.value(0);
        }
        match attribute.kind {
            AttributeKind::OneOf(choices) => {
                let choice = self.one_of(choices);
                self.quoted(choice);
            }
            AttributeKind::Boolean => {
                let word = self.one_of(&["true", "false"]);
                self.push(word);
            }
            AttributeKind::Integer | AttributeKind::Number => self.number(),
            AttributeKind::Duration | AttributeKind::Size => match attribute.default {
                Some(default) if self.is_often() => self.quoted(default),
                _ => self.number(),
            },
            AttributeKind::Function => self.push("function(m) return s.DONE end"),
            AttributeKind::Text | AttributeKind::List => self.plausible(attribute.name),
            AttributeKind::Map => {
                self.push("{ k = ");
                self.plausible(attribute.name);
                self.push(" }");
            }
        }
    }

    /// A text that this attribute may have, more often than not.
    fn plausible(&mut self, name: &str) {
        let text = match name {
            _ if !self.is_often() => self.one_of(&TEXTS),
            "path" | "file" => "none/none.log",
            "address" | "to" => "127.0.0.1:9999",
            "pattern" => "(?<k>.)",
            "source" => "{{ data }}",
            "filter" | "key" | "set" => self.one_of(&EXPRESSIONS),
            _ => self.one_of(&NAMES),
        };
        self.quoted(text);
    }

    fn number(&mut self) {
        let number = self.one_of(&NUMBERS);
        self.push(number);
    }

    fn value(&mut self, depth: usize) {
        match self.below(if depth < DEPTH_MAX { 9 } else { 6 }) {
            0 => self.push("nil"),
            1 => self.number(),
            2 => {
                let text = self.one_of(&TEXTS);
                self.quoted(text);
            }
            3 => self.push("false"),
            4 => self.push("function() end"),
            5 => self.push("s"),
            6 => self.component(),
            _ => {
                self.push("{ ");
                for _ in 0..self.below(ENTRIES_MAX) {
                    let key = self.one_of(&["", "", "a = ", "b = ", "[3] = ", "[1.5] = "]);
                    self.push(key);
                    self.value(depth + 1);
                    self.push(", ");
                }
                self.push("}");
            }
        }
    }

    fn pipeline(&mut self) {
        let create = self.one_of(&["s.pipeline", "s.pipeline", "s.createPipeline"]);
        self.push(create);
        self.push(" {\n");
        for _ in 0..self.below(3) {
            self.option();
        }
        if self.is_often() {
            // A line: a source, and what follows.
            self.kind("generator");
            for _ in 0..self.below(ENTRIES_MAX) {
                self.stage();
            }
        } else {
            self.push("  sources = { ");
            self.component();
            self.push(", { ");
            self.component();
            let name = self.one_of(&NAMES);
            self.push(&format!(", to = \"{name}\" }} }},\n  stages = {{\n"));
            (0..1 + self.below(ENTRIES_MAX)).for_each(|_| self.stage());
            self.push("  }, sinks = {\n");
            (0..self.below(3)).for_each(|_| self.stage());
            self.push("  },\n");
        }
        if !self.is_often() {
            self.push("  dead_letter = { ");
            (0..1 + self.below(2)).for_each(|_| self.kind("null"));
            self.push(" },\n");
        }
        self.push("}\n");
    }

    /// This component, or seldom another.
    fn kind(&mut self, name: &str) {
        match self.specs.iter().find(|spec| spec.name == name).copied() {
            Some(spec) if self.is_often() => self.of(spec),
            _ => self.component(),
        }
        self.push(",\n");
    }

    fn option(&mut self) {
        let name = self.one_of(&OPTIONS);
        self.push(&format!("  {name} = "));
        match name {
            "name" => {
                let name = self.one_of(&NAMES);
                self.quoted(name);
            }
            "retry" => self.retry(),
            "order" => self.push("\"submission\""),
            "wait" => self.push("\"yield\""),
            "on_failure" => self.push("\"stop\""),
            "dag" => self.push("true"),
            "cores" => self.push("{ 0, 1 }"),
            _ if self.is_often() => self.number(),
            _ => self.value(0),
        }
        self.push(",\n");
    }

    fn retry(&mut self) {
        let (one, other) =
            (self.one_of(&["attempts", "factor", "jitter"]), self.one_of(&["first", "cap", "x"]));
        self.push(&format!("{{ {one} = "));
        self.number();
        self.push(&format!(", {other} = \"250ms\" }}"));
    }

    fn stage(&mut self) {
        if !self.is_often() {
            self.component();
            return self.push(",\n");
        }
        let name = self.one_of(&NAMES);
        self.push(&format!("    {{ name = \"{name}\", "));
        self.kind("null");
        if !self.is_often() {
            self.push("      routes = { ");
            (0..1 + self.below(3)).for_each(|_| self.route());
            self.push("},\n");
        }
        if !self.is_often() {
            let to = self.one_of(&NAMES);
            self.push(&format!("      otherwise = \"{to}\", "));
        }
        if self.is_seldom() {
            self.push("retry = ");
            self.retry();
        }
        self.push("},\n");
    }

    fn route(&mut self) {
        let mut when = String::new();
        let _ = match self.below(8) {
            0..3 => write!(when, "when = \"{}\"", self.one_of(&EXPRESSIONS)),
            3 => write!(when, "has = \"{}\"", self.one_of(&NAMES)),
            4 => {
                let (name, value) = (self.one_of(&NAMES), self.one_of(&TEXTS));
                write!(when, "attribute = \"{name}\", equals = \"{value}\"")
            }
            5 => write!(when, "status = {}", self.one_of(&NUMBERS)),
            6 => {
                let (first, last) = (self.one_of(&NUMBERS), self.one_of(&NUMBERS));
                write!(when, "status = {{ {first}, {last} }}")
            }
            _ => write!(when, "equals = 1, [1] = 2"),
        };
        let to = self.one_of(&NAMES);
        self.push(&format!("{{ {when}, to = \"{to}\" }}, "));
    }
}
