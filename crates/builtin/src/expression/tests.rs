use super::compile::{NESTED_MAX, OPERATORS_MAX, SOURCE_MAX};
use super::*;
use crate::factory::testing::message;
use stageline_component::Message;

/// A message with two attributes.
fn attributed(json: &str) -> Message {
    let mut message = message(json);
    message.set_attribute("file.path", b"a.csv").unwrap();
    message.set_attribute("raw", b"\xff").unwrap();
    message
}

fn with<T>(source: &str, json: &str, of: impl FnOnce(&Expression, &Reader<'_>) -> T) -> T {
    let mut places = Places::default();
    let expression =
        Expression::new(source, &mut places).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut finder = places.finder();
    let message = attributed(json);
    of(&expression, &Reader::new(&places, &mut finder, &message).unwrap())
}

fn is_true(source: &str, json: &str) -> bool {
    with(source, json, |expression, reader| {
        expression.is_true(reader).unwrap_or_else(|error| panic!("{source}: {error}"))
    })
}

fn written(source: &str, json: &str) -> String {
    with(source, json, |expression, reader| {
        let mut out = Buffer::default();
        match expression.write_json(reader, &mut out) {
            Ok(()) => String::from_utf8(out.to_vec()).unwrap(),
            Err(WriteError::Failed(error)) => format!("error: {error}"),
            Err(WriteError::TooLarge(error)) => format!("error: {error}"),
        }
    })
}

fn wrong(source: &str) -> String {
    Expression::new(source, &mut Places::default()).err().unwrap()
}

const FLIGHT: &str = r#"{"dep_delay":31,"carrier":"UA","air":2.50,"late":true,"none":null,
    "user":{"name":"A\nB","tags":["x","y"],"age":7,"deep":{"er":1}},"int":4,"big":18446744073709551615}"#;

#[test]
fn conditions_are_true() {
    let yes = [
        "dep_delay > 30",
        "dep_delay > 30 && carrier == \"UA\"",
        "dep_delay >= 30.5",
        "late",
        "!has(this.gone)",
        "air == 2.5",
        "carrier < 'UB'",
        "carrier in ['UA', 'DL']",
        "carrier.startsWith('U')",
        "has(this.none)",
        "has(user.name)",
        "has(user.deep.er)",
        "!has(user.deep.gone)",
        "none == null",
        "gone == null",
        "user.gone.deeper == null",
        "user.name == 'A\\nB'",
        "user.tags.exists(t, t == 'y')",
        "size(user.tags) == 2",
        "this.user.age == 7",
        "this['user']['age'] == 7",
        "this.int == 4",
        "type(carrier) == string",
        "attributes['file.path'] == 'a.csv'",
        "attributes['file.path'].endsWith('.csv')",
        "has(attributes.raw)",
        "!has(attributes.gone)",
        "attributes.gone == null",
        "gone > 1 || late",
        "late || gone > 1",
        "!(gone && false)",
        "user.age % 2 == 1",
        "big > 5",
        "big == 18446744073709551615u",
        "user.tags[1] == 'y'",
        "this.user.deep.er == 1 ? late : false",
        "user.tags.all(dep_delay, dep_delay != 'z') && dep_delay == 31",
        "[1, 2].exists(this, this == 2)",
        "{'a': dep_delay}.a == 31",
        "none != 1",
        "gone != 1",
        "gone != none || gone == none",
        "attributes.gone != 'a'",
        "late || user.tags[5] == 'x'",
        "carrier != 1",
        "attributes['raw'] == b'\\xff'",
        "true",
    ];
    for source in yes {
        assert!(is_true(source, FLIGHT), "{source}");
    }
}

/// Of what is not known, too.
#[test]
fn conditions_are_not_true() {
    let no = [
        "dep_delay > 31",
        "gone > 1",
        "!(gone > 1)",
        "gone > 1 && late",
        "none < 5",
        "none",
        "!none",
        "gone.startsWith('a')",
        "size(gone) == 0",
        "gone + 1 > 0",
        "1 + gone > 0",
        "-gone > 0",
        "gone ? true : true",
        "1 in gone",
        "[user].exists(u, u.gone == 1)",
        "carrier == 1",
        "late == 'x'",
        "gone.exists(x, true)",
        "attributes.gone > 'a'",
        "gone == 1",
        "has(this.gone) && gone != 1",
        "user.tags[5] == 'x'",
        "user.tags[5] != 'x'",
        "!(user.tags[5] == 'x')",
        "user.tags[5] == null",
        "user.tags[-1] == 'y'",
        "gone[0] == 1",
        "gone['a'].b == 1",
        "user.tags[gone] == 'x'",
        "user.tags[2] > 'a' && late",
        "false",
    ];
    for source in no {
        assert!(!is_true(source, FLIGHT), "{source}");
    }
}

#[test]
fn values_are_written() {
    let cases = [
        ("air", "2.50"),
        ("user.tags", r#"["x","y"]"#),
        ("dep_delay * 2", "62"),
        ("gone", "null"),
        ("gone + 1", "null"),
        ("user.tags[2]", "null"),
        ("user.tags[2] + 'x'", "null"),
        ("carrier + '\"'", r#""UA\"""#),
        ("air * 2.0", "5.0"),
        ("double(dep_delay) / 2.0", "15.5"),
        ("dep_delay > 1", "true"),
        ("[1, 'a', null, {'b': 1.5, 'a': carrier}]", r#"[1,"a",null,{"a":"UA","b":1.5}]"#),
        ("has(this.user)", "true"),
        ("user.tags.map(t, t + '!')", r#"["x!","y!"]"#),
        ("attributes['file.path']", "\"a.csv\""),
        ("big", "18446744073709551615"),
        ("1.0 / 0.0", "error: JSON has no place for inf"),
        ("b'a'", "error: JSON has no place for bytes"),
        ("dep_delay / 0", "error: Division by zero of Int(31)"),
        ("late ? user : 0", r#"{"age":7,"deep":{"er":1},"name":"A\nB","tags":["x","y"]}"#),
    ];
    for (source, json) in cases {
        assert_eq!(written(source, FLIGHT), json, "{source}");
    }
    let error = written("carrier > 5", FLIGHT);
    assert!(error.starts_with("error: found no matching overload for '_>_'"), "{error}");
    assert_eq!(written("this", " {\"a\": 1} "), "{\"a\": 1}");
}

#[test]
fn texts_are_written_without_quotes() {
    let text = |source: &str| {
        with(source, FLIGHT, |expression, reader| {
            let mut out = Buffer::default();
            let is_there = expression.write_text(reader, &mut out).ok().unwrap();
            is_there.then(|| out.escape_ascii().to_string())
        })
    };
    let cases = [
        ("carrier", "UA"),
        ("user.name", "A\\nB"),
        ("air", "2.50"),
        ("carrier + '1'", "UA1"),
        ("dep_delay + 1", "32"),
        ("user.deep", "{\\\"er\\\":1}"),
        ("has(this.user)", "true"),
        ("attributes.raw", "\\xff"),
        ("b'\\xfe'", "\\xfe"),
        ("late && true", "true"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source).as_deref(), Some(expected), "{source}");
    }
    for source in ["gone", "none", "gone + 1", "attributes.gone"] {
        assert_eq!(text(source), None, "{source}");
    }
}

#[test]
fn a_condition_that_is_none_fails() {
    let failed =
        |source| with(source, FLIGHT, |e, reader| e.is_true(reader).unwrap_err().to_string());
    assert_eq!(failed("carrier"), "expected true or false, got string");
    assert_eq!(failed("dep_delay + 1"), "expected true or false, got int");
    assert!(
        failed("carrier > 5").contains("'_>_' applied to '(string, int)'"),
        "{}",
        failed("carrier > 5")
    );
    let wrong =
        "Error executing function 'matches': '[' not a valid regex: unclosed character class";
    assert_eq!(failed("carrier.matches('' + '[')"), wrong);
    assert!(failed("user > 5").contains("applied to '(map, int)'"));
}

#[test]
fn what_is_wrong_in_a_source_is_said() {
    assert!(wrong("a >").starts_with("an expression in CEL: line 1, column "), "{}", wrong("a >"));
    assert!(wrong("").starts_with("an expression in CEL: line 1, column "), "{}", wrong(""));
    let error = wrong("a.lower() == 'x'");
    assert!(
        error.starts_with("an expression without the unknown function `lower`; there are bool,"),
        "{error}"
    );
    let pattern = "an expression in CEL: the pattern \"[\" is no regular expression: unclosed character class";
    for source in ["a > 1 && b.matches('[')", "a.exists(x, x.matches('['))", "[b.matches('[')]"] {
        assert_eq!(wrong(source), pattern, "{source}");
    }
    assert_eq!(wrong("attributes == 1"), "an attribute by its name: `attributes[\"name\"]`");
    assert_eq!(wrong("Flight{a: 1}.a"), "an expression without the unknown type `Flight`");
}

#[test]
fn the_size_has_bounds_within_which_the_stack_suffices() {
    let repeated = [
        ("(", "a", ")", NESTED_MAX, "levels of brackets"),
        ("[", "a", "]", NESTED_MAX, "levels of brackets"),
        ("size({1: ", "a", "})", NESTED_MAX / 2, "levels of brackets"),
        ("z[", "a", "]", NESTED_MAX, "levels of brackets"),
        ("- ", "a", "", OPERATORS_MAX, "operators and calls"),
        ("z.", "a", "", SOURCE_MAX / 2 - 1, "bytes"),
        ("", "a", "[0].z", OPERATORS_MAX / 2, "operators and calls"),
        ("z+", "a", "", OPERATORS_MAX, "operators and calls"),
        ("z&&!", "a", "", SOURCE_MAX / 4 - 1, "bytes"),
        (" ", "a", "", SOURCE_MAX - 1, "bytes"),
    ];
    for (open, inner, close, times, what) in repeated {
        let of = |times: usize| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
        with(&of(times), FLIGHT, |expression, reader| drop(expression.is_true(reader)));
        let error = wrong(&of(times + 1));
        let expected = "an expression of at most ";
        assert!(error.starts_with(expected) && error.contains(what), "{open}: {error}");
    }
    // The parser's own bound is lower.
    assert!(wrong(&"a?b:".repeat(OPERATORS_MAX)).contains("in CEL"));
}

/// What is decided without `cel` is decided as by it.
#[test]
fn simple_conditions_are_as_those_of_cel() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let operands = [
        "a",
        "b",
        "c",
        "a.b",
        "has(this.a)",
        "1",
        "-1",
        "2.5",
        "'x'",
        "\"y\"",
        "true",
        "null",
        "9007199254740993",
        "attributes['file.path']",
        "1u",
    ];
    let values = [
        "1",
        "-1",
        "0",
        "2.5",
        "1.0",
        "\"x\"",
        "\"y\"",
        "\"\\u0078\"",
        "true",
        "false",
        "null",
        "[1]",
        "{\"b\":2}",
        "{}",
        "9007199254740992",
        "9007199254740992.0",
        "18446744073709551615",
        "1e999",
    ];
    let (mut decided, mut trues) = (0, 0);
    for _ in 0..1_500 {
        let source = condition(&mut random, &operands, 0);
        let mut places = Places::default();
        let expression = Expression::new(&source, &mut places).unwrap();
        let plain = Expression { shape: Shape::Other, ..expression.clone() };
        let mut finder = places.finder();
        for _ in 0..4 {
            let fields = ["a", "b", "c"].map(|name| {
                let value = random.choice(&values).unwrap();
                if random.u8(0..8) == 0 { String::new() } else { format!("\"{name}\":{value},") }
            });
            let message = attributed(&format!("{{{}\"z\":0}}", fields.concat()));
            let reader = Reader::new(&places, &mut finder, &message).unwrap();
            if let Shape::Simple(simple) = &expression.shape {
                decided += usize::from(simple.evaluate(&reader).is_ok());
            }
            let text = |result: Result<bool, Failed>| result.map_err(|error| error.to_string());
            let (ours, theirs) = (text(expression.is_true(&reader)), text(plain.is_true(&reader)));
            trues += usize::from(ours == Ok(true));
            assert_eq!(ours, theirs, "{source} of {message:?}");
        }
    }
    assert!(decided > 1_000 && trues > 500, "{decided} decided, {trues} true");
}

fn condition(random: &mut fastrand::Rng, operands: &[&str], depth: usize) -> String {
    let mut operand = || *random.choice(operands).unwrap();
    let (left, right) = (operand(), operand());
    match random.u8(0..if depth < 3 { 8 } else { 4 }) {
        0 => left.to_owned(),
        1..4 => {
            let operator = random.choice(&["==", "!=", "<", "<=", ">", ">="]).unwrap();
            format!("{left} {operator} {right}")
        }
        4 => format!("!({})", condition(random, operands, depth + 1)),
        joined => {
            let operator = if joined == 5 { "||" } else { "&&" };
            let both = [(); 2].map(|()| condition(random, operands, depth + 1));
            format!("({}) {operator} ({})", both[0], both[1])
        }
    }
}
