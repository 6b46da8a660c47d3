//! Writes messages by a template.

mod names;
mod values;

use super::not_json;
use crate::factory::{Plan, answer, defaulted, required, too_large};
use crate::json::{Finder, Paths};
use crate::status::NOT_RENDERED;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value as Variable};
use names::names;
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, TooLarge,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use values::{NoNumber, variable};

/// How many bytes a template has at most.
const SOURCE_MAX: usize = 256 * 1024;

/// How many characters of the part that cannot be written an error has.
const PART_MAX: usize = 60;

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
JSON. `{{ this | tojson }}` writes JSON. Nothing is escaped but by such a filter. A field comes before a function of
Jinja of the same name, as `range` or `dict`, unless the template only calls it.

A number keeps its digits where the template does nothing with its field but print it: `{{ price }}`, `{{ order.price }}`. A
field that it uses in any other place as well, as in `{{ price * 2 }}` or `{% if price > 1 %}`, is a number to compute with: a
whole one of 128 bits, or one of 64 bits with a fraction, so that `2.50` is written as `2.5`. A number that is too large
for that, as `1e400`, fails as what is not there does.

A message that is no JSON object, or has more than 128 levels, fails with the status 210; one for which the template cannot be written, as it names
something that is not there, fails with 212 and a description that says in which line of the template, and which part of it. A result that is larger
than a message may be fails with 201. The fields that the template names are allocated for each message.
"#,
};

/// The template, and what it reads.
#[derive(Clone)]
pub(crate) struct Render(Arc<Shared>);

struct Shared {
    environment: Environment<'static>,
    paths: Paths,
    /// The fields that it names.
    fields: Vec<Named>,
    /// Whether the message must be a JSON object: any of them is nothing else.
    needs_json: bool,
    reads_data: bool,
    reads_attributes: bool,
}

struct Named {
    name: String,
    /// Where it is found.
    place: usize,
    /// Nothing is done with it but to print it.
    is_printed: bool,
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
        // It would copy the template and its variables into each error.
        environment.set_debug(false);
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| wrong(format!("a template: {}", described(&error))))?;
        let template = environment.get_template(NAME);
        let open =
            template.map(|template| template.undeclared_variables(false)).unwrap_or_default();
        let mut shared = Shared {
            paths: Paths::default(),
            fields: Vec::new(),
            needs_json: false,
            reads_data: open.contains(DATA),
            reads_attributes: open.contains(ATTRIBUTES),
            environment,
        };
        let names = names(source);
        for name in open.into_iter().filter(|name| name != DATA && name != ATTRIBUTES) {
            let uses = names.get(name.as_str()).copied().unwrap_or_default();
            let is_global = shared.environment.globals().any(|(known, _)| known == name);
            if is_global && uses.calls && !uses.prints && !uses.computes {
                continue;
            }
            shared.needs_json |= !is_global;
            let place = shared.paths.add(Some(name.as_str()).filter(|name| *name != THIS));
            let is_printed = uses.prints && !uses.calls && !uses.computes;
            shared.fields.push(Named { name, place, is_printed });
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

/// The same of a template that cannot be written, and which part of it that is.
fn described_in(source: &str, error: &minijinja::Error) -> String {
    let part = error.range().and_then(|range| source.get(range)).unwrap_or_default();
    let (what, short) = (described(error), part.chars().take(PART_MAX).collect::<String>());
    match (short.len(), short.len() < part.len()) {
        (0, _) => what,
        (_, false) => format!("{what}: `{short}`"),
        (_, true) => format!("{what}: `{short}...`"),
    }
}

struct Renders {
    shared: Arc<Shared>,
    finder: Finder,
    out: Buffer,
}

/// Why nothing was written.
enum Bad {
    Number(String, NoNumber),
    Template(minijinja::Error),
    TooLarge,
}

impl Renders {
    fn variables(
        &self,
        message: &Message,
        is_json: bool,
    ) -> Result<BTreeMap<String, Variable>, Bad> {
        let data = message.data();
        let mut variables = BTreeMap::new();
        for Named { name, place, is_printed } in self.shared.fields.iter().filter(|_| is_json) {
            if let Some(raw) = self.finder.get(*place, data) {
                let value = variable(raw, *is_printed);
                let value = value.map_err(|number| Bad::Number(name.clone(), number))?;
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
        Ok(variables)
    }

    fn render(&mut self, message: &Message, is_json: bool) -> Result<(), Bad> {
        let variables = Variable::from(self.variables(message, is_json)?);
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
        let found = match self.shared.fields.is_empty() {
            true => Ok(()),
            false => self.finder.find(message.data()),
        };
        let is_json = found.is_ok();
        if let Err(error) = found
            && self.shared.needs_json
        {
            return not_json(message, error);
        }
        let max = message.data_mut().max();
        if self.out.max() != max {
            self.out = Buffer::new(max);
        }
        match self.render(message, is_json) {
            Ok(()) => match message.data_mut().swap(&mut self.out) {
                Ok(()) => Report::DONE,
                Err(error) => too_large(message, error),
            },
            Err(Bad::TooLarge) => too_large(message, TooLarge { wanted: usize::MAX, max }),
            Err(Bad::Number(name, NoNumber(digits))) => {
                let text = format_args!("`{name}`: a number too large to compute with: {digits}");
                answer(message, NOT_RENDERED, text)
            }
            Err(Bad::Template(error)) => {
                let template = self.shared.environment.get_template(NAME);
                let source = template.as_ref().map_or("", |template| template.source());
                answer(message, NOT_RENDERED, described_in(source, &error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::status::TOO_LARGE;
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
    fn numbers_that_are_only_printed_keep_their_digits() {
        let numbers =
            ["1.0", "2.50", "1e3", "-0", "1E400", "0.10000000000000000001", "1e-999", "7"];
        let large = "9".repeat(400);
        for number in numbers.into_iter().chain([large.as_str()]) {
            let data = format!(r#"{{"n":{number},"o":{{"n":[{number}]}}}}"#);
            let done = |text: String| (Report::DONE, text);
            assert_eq!(rendered("{{ n }}{{- o.n[0] }}", true, &data), done(number.repeat(2)));
            assert_eq!(rendered("{{ this['n'] }}", true, &data), done(number.to_owned()));
            assert_eq!(rendered("{{ o }}", true, &data), done(format!("{{'n': [{number}]}}")));
        }
    }

    #[test]
    fn numbers_are_computed_with_or_fail() {
        let cases = [
            ("{{ n * 2 }}", "2.50", "5.0"),
            ("{{ n }}{% if n > 2 %} {{ n }}{% endif %}", "2.50", "2.5 2.5"),
            ("{{ n + 1 }}", "123456789012345678901234567890", "123456789012345678901234567891"),
            (
                "{{ n - 1 }}",
                "340282366920938463463374607431768211455",
                "340282366920938463463374607431768211454",
            ),
            ("{{ [n] | tojson }}", "1e3", "[1000.0]"),
            ("{{ n + 0 }}", "-0", "0"),
        ];
        for (source, number, expected) in cases {
            let data = format!(r#"{{"n":{number}}}"#);
            assert_eq!(
                rendered(source, true, &data),
                (Report::DONE, expected.to_owned()),
                "{source}"
            );
        }
        for number in ["1e400", "-1e400", "1234567890123456789012345678901234567890"] {
            for strict in [true, false] {
                let (report, text) =
                    rendered("{{ n + 1 }}", strict, &format!(r#"{{"n":{number}}}"#));
                assert_eq!(report, NOT_RENDERED);
                assert_eq!(text, format!("`n`: a number too large to compute with: {number}"));
            }
        }
    }

    #[test]
    fn fields_come_before_what_jinja_has_of_that_name() {
        let data = r#"{"range":"near","dict":{"a":1},"debug":2}"#;
        let source = "{{ range }} {{ dict.a }} {{ debug + 1 }}";
        assert_eq!(rendered(source, true, data), (Report::DONE, "near 1 3".to_owned()));
        let source = "{% for i in range(2) %}{{ i }}{% endfor %}";
        assert_eq!(rendered(source, true, data), (Report::DONE, "01".to_owned()));
        assert_eq!(rendered(source, true, "no JSON"), (Report::DONE, "01".to_owned()));
        let source = "{% if dict is undefined %}none{% else %}{{ dict(a=1).a }}{% endif %}";
        assert_eq!(rendered(source, true, "no JSON"), (Report::DONE, "1".to_owned()));
    }

    #[test]
    fn every_value_that_is_json_is_a_variable() {
        let data = r#"{"half":"a\ud800b","nul":"\u0000","twice":1,"twice":2}"#;
        let expected = (Report::DONE, "a\u{fffd}b \0 2".to_owned());
        assert_eq!(rendered("{{ half }} {{ nul }} {{ twice }}", true, data), expected);
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
        assert_eq!(text, "undefined value in line 2: `missing`");
        let (_, text) = rendered("{% if delay %}{{ user.no.thing }}{% endif %}", true, FLIGHT);
        assert_eq!(text, "undefined value in line 1: `.no.thing`");
        assert_eq!(rendered("a{{ missing }}{{ user.no.thing }}", false, FLIGHT).1, "a");
        let (report, text) = rendered("{{ delay + user }}", true, FLIGHT);
        assert_eq!(report, NOT_RENDERED);
        assert!(text.ends_with("in line 1: `delay + user`"), "{text}");
        let long = format!("{{{{ delay + {} }}}}", "user + ".repeat(20) + "user");
        let (_, text) = rendered(&long, true, FLIGHT);
        assert!(text.contains(": `delay + user") && text.len() < 200, "{text}");
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
