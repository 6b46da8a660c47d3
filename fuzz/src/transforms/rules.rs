//! Filters of `json`, evaluated in another way.

use super::messages;
use super::objects::{Fields, text_of};
use crate::parts::{answered, prepared};
use Answer::{Failed, False, Open, True, Unknown};
use Operator::{Equal, Greater, Less, LessOrEqual, Unequal};
use stageline_component::{Factory, Report};
use std::cmp::Ordering;
use std::sync::LazyLock;

const NOT_JSON: u32 = 210;
const NO_VALUE: u32 = 211;
/// Up to here a whole number is one with a fraction, too.
const EXACT_MAX: u64 = 1 << 53;

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    True,
    False,
    /// Because of a null.
    Unknown,
    /// It has no value.
    Failed,
    /// That is not evaluated here.
    Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Boolean(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    /// An array, an object, or a whole number that needs 64 bits without a sign.
    Other,
}

fn value(raw: Option<&str>) -> Value {
    let raw = raw.unwrap_or("null");
    match raw.as_bytes()[0] {
        b'n' => Value::Null,
        b't' | b'f' => Value::Boolean(raw == "true"),
        b'"' => Value::Text(text_of(raw)),
        b'[' | b'{' => Value::Other,
        _ if raw.contains(['.', 'e', 'E']) => Value::Number(raw.parse().expect("a number")),
        _ => match (raw.parse(), raw.parse::<u64>()) {
            (Ok(whole), _) => Value::Whole(whole),
            (_, Ok(_)) => Value::Other,
            _ => Value::Number(raw.parse().expect("a number")),
        },
    }
}

fn compare(operator: Operator, left: Value, right: Value) -> Answer {
    let is_equality = matches!(operator, Equal | Unequal);
    let exact = |whole: i64| (whole.unsigned_abs() <= EXACT_MAX).then_some(whole as f64);
    let order = match (&left, &right) {
        (Value::Null, Value::Null) if is_equality => Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) if is_equality => Some(Ordering::Less),
        (Value::Null, _) | (_, Value::Null) => return Unknown,
        (Value::Other, _) | (_, Value::Other) => return Open,
        (Value::Whole(left), Value::Whole(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Whole(left), Value::Number(right)) => {
            exact(*left).and_then(|left| left.partial_cmp(right))
        }
        (Value::Number(left), Value::Whole(right)) => {
            exact(*right).and_then(|right| left.partial_cmp(&right))
        }
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) if is_equality => Some(left.cmp(right)),
        (Value::Boolean(_), Value::Boolean(_)) => return Open,
        _ if is_equality => Some(Ordering::Less),
        _ => return Failed,
    };
    let Some(order) = order else { return Open };
    is(match operator {
        Equal => order.is_eq(),
        Unequal => order.is_ne(),
        Less => order.is_lt(),
        LessOrEqual => order.is_le(),
        Greater => order.is_gt(),
    })
}

fn is(is_true: bool) -> Answer {
    if is_true { True } else { False }
}

/// One that is false decides, whatever the other is.
fn and(left: Answer, right: Answer) -> Answer {
    match (left, right) {
        (False, _) | (_, False) => False,
        (True, other) | (other, True) => other,
        (Unknown, Unknown) => Unknown,
        _ => Open,
    }
}

fn not(answer: Answer) -> Answer {
    match answer {
        True => False,
        False => True,
        other => other,
    }
}

fn or(left: Answer, right: Answer) -> Answer {
    not(and(not(left), not(right)))
}

/// A condition, and what it comes to for an object.
type Rule = (&'static str, fn(&Fields<'_>) -> Answer);

fn at(fields: &Fields<'_>, names: &[&str]) -> Value {
    value(fields.find(names))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

const RULES: [Rule; 9] = [
    ("a > 1 && b == \"x\"", |it| {
        and(
            compare(Greater, at(it, &["a"]), Value::Whole(1)),
            compare(Equal, at(it, &["b"]), text("x")),
        )
    }),
    ("a == b || !(c < 2.5)", |it| {
        or(
            compare(Equal, at(it, &["a"]), at(it, &["b"])),
            not(compare(Less, at(it, &["c"]), Value::Number(2.5))),
        )
    }),
    ("has(this.a) && a.b != null", |it| {
        and(is(it.get("a").is_some()), compare(Unequal, at(it, &["a", "b"]), Value::Null))
    }),
    ("has(this.a.b)", |it| is(it.find(&["a", "b"]).is_some())),
    ("a <= b", |it| compare(LessOrEqual, at(it, &["a"]), at(it, &["b"]))),
    ("this['\u{e4}\"'] == 'a\\n\u{1f600}'", |it| {
        compare(Equal, at(it, &["\u{e4}\""]), text("a\n\u{1f600}"))
    }),
    ("a > 9007199254740993 || a < -0.5", |it| {
        or(
            compare(Greater, at(it, &["a"]), Value::Whole(9_007_199_254_740_993)),
            compare(Less, at(it, &["a"]), Value::Number(-0.5)),
        )
    }),
    ("a != b && (a == null || b.c == true)", |it| {
        and(
            compare(Unequal, at(it, &["a"]), at(it, &["b"])),
            or(
                compare(Equal, at(it, &["a"]), Value::Null),
                compare(Equal, at(it, &["b", "c"]), Value::Boolean(true)),
            ),
        )
    }),
    ("a", |it| match at(it, &["a"]) {
        Value::Boolean(is_true) => is(is_true),
        Value::Null => Unknown,
        _ => Failed,
    }),
];

static FACTORIES: LazyLock<Vec<Box<dyn Factory>>> = LazyLock::new(|| {
    RULES.iter().map(|(filter, _)| prepared("json", &[("filter", (*filter).into())])).collect()
});

/// Messages through one of the filters, which leaves them as they are.
pub fn check(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % RULES.len();
    let (filter, rule) = RULES[variant];
    let mut component = FACTORIES[variant].component().expect("a transform");
    for data in messages(rest) {
        let answer = answered("json", &mut *component, data, &[], max);
        let Some((report, message)) = answer else { continue };
        let expected = match Fields::of(data).map(|fields| rule(&fields)) {
            None => NOT_JSON,
            Some(True) => Report::DONE.status(),
            Some(False | Unknown) => Report::DROP.status(),
            Some(Failed) => NO_VALUE,
            Some(Open) => {
                let all = [Report::DONE.status(), Report::DROP.status(), NO_VALUE];
                assert!(all.contains(&report.status()), "{report}");
                continue;
            }
        };
        let description = message.description();
        let shown = data.escape_ascii();
        assert_eq!(report.status(), expected, "{filter} of {shown}: {description}");
        assert_eq!(message.data(), data);
    }
}
