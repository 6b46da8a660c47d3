//! Writes messages by a template.

use super::not_json;
use crate::factory::{Plan, answer, defaulted, required, too_large};
use crate::json::{Finder, Paths};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value as Variable};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, TooLarge,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many bytes a template has at most.
const SOURCE_MAX: usize = 256 * 1024;

/// What the template is called in its errors.
const NAME: &str = "source";

/// The message as a whole.
const THIS: &str = "this";

/// The attributes of the message.
const ATTRIBUTES: &str = "attributes";

/// What the message says, as a text.
const DATA: &str = "data";

static SPEC: Spec = Spec {
    name: "template",
    kind: Kind::Transform,
    summary: "Writes messages anew by a template",
    attributes: &[
        required("source", AttributeKind::Text, "The template, in the syntax of Jinja."),
        defaulted(
            "strict",
            AttributeKind::Boolean,
            "true",
            "Whether a message fails that does not have what the template names; else that is empty.",
        ),
    ],
    doc: r#"
    s.template { source = "{{ carrier }} {{ flight }} is {{ dep_delay }} min late{% if origin %} at {{ origin }}{% endif %}" }

The variables are the fields of the message, which must then be a JSON object; `this` is the object as a whole, `data` the
message as a text, whatever it is, and `attributes["file.path"]` an attribute. A template that names no field needs no
JSON. `{{ this | tojson }}` writes JSON. Nothing is escaped but by such a filter.

A message that is no JSON object fails with the status 210; one for which the template cannot be written, as it names
something that is not there, fails with 212 and a description that says in which line of the template. A result that is larger
than a message may be fails with 201. The fields that the template names are allocated for each message.
"#,
};

/// The template cannot be written for the message.
const NOT_RENDERED: Report = Report::fail(212);

/// The template, and what it reads.
#[derive(Clone)]
pub(crate) struct Render(Arc<Shared>);

struct Shared {
    environment: Environment<'static>,
    paths: Paths,
    /// The fields that it names, and where they are found.
    fields: Vec<(String, usize)>,
    reads_data: bool,
    reads_attributes: bool,
}

impl Plan for Render {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let source = attributes.text("source").unwrap_or_default();
        let wrong = |what: String| {
            let short: String = source.chars().take(40).collect();
            AttributeError::invalid("source", &short.into(), what)
        };
        if source.len() > SOURCE_MAX {
            return Err(wrong(format!("a template of at most {SOURCE_MAX} bytes")).into());
        }
        let mut environment = Environment::new();
        let is_strict = attributes.boolean("strict") != Some(false);
        let undefined =
            if is_strict { UndefinedBehavior::Strict } else { UndefinedBehavior::Chainable };
        environment.set_undefined_behavior(undefined);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| wrong(format!("a template: {}", described(&error))))?;
        let template = environment.get_template(NAME);
        let names =
            template.map(|template| template.undeclared_variables(false)).unwrap_or_default();
        let mut shared = Shared {
            paths: Paths::default(),
            fields: Vec::new(),
            reads_data: names.contains(DATA),
            reads_attributes: names.contains(ATTRIBUTES),
            environment,
        };
        let is_global = |name: &str| shared.environment.globals().any(|(known, _)| known == name);
        for name in names.into_iter().filter(|name| name != DATA && name != ATTRIBUTES) {
            if !is_global(&name) {
                let path = if name == THIS { None } else { Some(name.as_str()) };
                let place = shared.paths.add(path);
                shared.fields.push((name, place));
            }
        }
        Ok(Self(Arc::new(shared)))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let finder = Finder::new(self.0.paths.clone());
        Ok(Box::new(Renders { shared: Arc::clone(&self.0), finder, out: Buffer::default() }))
    }
}

/// What is wrong, and in which line.
fn described(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or(what.clone(), |line| format!("{what} in line {line}"))
}

struct Renders {
    shared: Arc<Shared>,
    finder: Finder,
    out: Buffer,
}

/// Why nothing was written.
enum Bad {
    Template(minijinja::Error),
    TooLarge,
}

impl Renders {
    fn variables(&self, message: &Message) -> BTreeMap<String, Variable> {
        let data = message.data();
        let mut variables = BTreeMap::new();
        for (name, place) in &self.shared.fields {
            // What the finder has checked is JSON, and a number that is none of 64 bits has a fraction.
            let value = self.finder.get(*place, data).map(sonic_rs::from_str::<Variable>);
            if let Some(Ok(value)) = value {
                variables.insert(name.clone(), value);
            }
        }
        let text = |bytes| Variable::from(String::from_utf8_lossy(bytes).into_owned());
        if self.shared.reads_data {
            variables.insert(DATA.to_owned(), text(data));
        }
        if self.shared.reads_attributes {
            let all = message.attributes().map(|(name, value)| (name.to_owned(), text(value)));
            let all: BTreeMap<String, Variable> = all.collect();
            variables.insert(ATTRIBUTES.to_owned(), all.into());
        }
        variables
    }

    fn render(&mut self, message: &Message) -> Result<(), Bad> {
        let variables = Variable::from(self.variables(message));
        self.out.clear();
        let template = self.shared.environment.get_template(NAME).map_err(Bad::Template)?;
        match template.render_captured_to(variables, &mut self.out) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == minijinja::ErrorKind::WriteFailure => Err(Bad::TooLarge),
            Err(error) => Err(Bad::Template(error)),
        }
    }
}

impl Component for Renders {
    fn handle(&mut self, message: &mut Message) -> Report {
        if !self.shared.fields.is_empty()
            && let Err(error) = self.finder.find(message.data())
        {
            return not_json(message, error);
        }
        let max = message.data_mut().max();
        if self.out.max() != max {
            self.out = Buffer::new(max);
        }
        match self.render(message) {
            Ok(()) => match message.data_mut().swap(&mut self.out) {
                Ok(()) => Report::DONE,
                Err(error) => too_large(message, error),
            },
            Err(Bad::TooLarge) => too_large(message, TooLarge { wanted: usize::MAX, max }),
            Err(Bad::Template(error)) => answer(message, NOT_RENDERED, described(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::TOO_LARGE;
    use crate::factory::testing::{component, message, refused};
    use crate::transform::NOT_JSON;
    use stageline_component::Value;

    const FLIGHT: &str = r#"{"carrier":"UA","delay":31,"price":2.5,"user":{"name":"<x>","tags":["a","b"]},"gone":null,"big":123456789012345678901}"#;

    fn rendered(source: &str, strict: bool, data: &str) -> (Report, String) {
        let values = [("source", Value::from(source)), ("strict", strict.into())];
        let mut message = message(data);
        message.set_attribute("file.path", b"a.json").unwrap();
        let report = component::<Render>(&values).handle(&mut message);
        let is_done = report == Report::DONE;
        let text = if is_done { message.data() } else { message.description().as_bytes() };
        (report, String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn fields_are_written_into_the_template() {
        let cases = [
            ("{{ carrier }}: {{ delay + 1 }}, {{ price }}\n", "UA: 32, 2.5\n"),
            ("{% for tag in user.tags %}{{ tag }};{% endfor %}", "a;b;"),
            (
                "{{ user.name }} {{ user | tojson }}",
                r#"<x> {"name": "\u003cx\u003e", "tags": ["a", "b"]}"#,
            ),
            ("{{ attributes['file.path'] }} {{ this.carrier }}", "a.json UA"),
            ("{% if gone is none %}none{% endif %}", "none"),
            ("{% set x = delay %}{{ x }}{% for i in range(3) %}{{ i }}{% endfor %}", "31012"),
            ("{{ missing | default('-') }}", "-"),
            ("constant", "constant"),
        ];
        for (source, expected) in cases {
            assert_eq!(
                rendered(source, true, FLIGHT),
                (Report::DONE, expected.to_owned()),
                "{source}"
            );
        }
    }

    #[test]
    fn what_names_no_field_needs_no_json() {
        let source = "[{{ data }}] of {{ attributes['file.path'] }}";
        assert_eq!(rendered(source, true, "a\nb").1, "[a\nb] of a.json");
        let (report, text) = rendered("{{ carrier }}", true, "a\nb");
        assert_eq!(report, NOT_JSON);
        assert_eq!(text, "not a JSON object: expected an object at byte 0");
    }

    #[test]
    fn what_is_not_there_fails_or_is_empty() {
        let (report, text) = rendered("a\n{{ missing }}", true, FLIGHT);
        assert_eq!(report, NOT_RENDERED);
        assert!(text.ends_with("in line 2") && text.contains("undefined"), "{text}");
        assert_eq!(rendered("a{{ missing }}{{ user.no.thing }}", false, FLIGHT).1, "a");
        let (report, text) = rendered("{{ delay + user }}", true, FLIGHT);
        assert_eq!(report, NOT_RENDERED);
        assert!(text.ends_with("in line 1"), "{text}");
    }

    #[test]
    fn a_result_that_is_too_large_fails() {
        let values = [("source", Value::from("{% for i in range(1000) %}{{ data }}{% endfor %}"))];
        let mut render = component::<Render>(&values);
        let mut small = Message::new(8, 100);
        small.set_data(b"0123456789").unwrap();
        assert_eq!(render.handle(&mut small), TOO_LARGE);
        assert!(small.description().contains("more than the 100 bytes"), "{}", small.description());
        assert_eq!(small.data(), b"0123456789");
        let mut large = message("x");
        assert_eq!(render.handle(&mut large), Report::DONE);
        assert_eq!(large.data(), [b'x'; 1000]);
    }

    #[test]
    fn wrong_attributes_are_named() {
        assert_eq!(refused::<Render>(&[]), "`template` needs the attribute `source`");
        let error = refused::<Render>(&[("source", "a\n{{ b".into())]);
        assert!(error.starts_with("`source` = \"a\\n{{ b\": expected a template: "), "{error}");
        assert!(error.ends_with("in line 2"), "{error}");
        let error = refused::<Render>(&[("source", "x".repeat(SOURCE_MAX + 1).into())]);
        assert!(error.ends_with("expected a template of at most 262144 bytes"), "{error}");
        let error = refused::<Render>(&[("source", "x".into()), ("strict", "maybe".into())]);
        assert_eq!(error, "`strict` = \"maybe\": expected true or false");
    }
}
