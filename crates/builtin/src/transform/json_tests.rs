use super::*;
use crate::factory::testing::{component, list, map, message, refused};
use crate::status::TOO_LARGE;
use crate::transform::{NO_VALUE, NOT_JSON};

const FLIGHT: &str = r#"{"carrier":"UA", "flight":1545, "dep_delay": 31,"price":2.50,"note":"a\u0041","user":{"name":"x"},"gone":null}"#;

/// The report, and what the message says or its description.
fn made(values: &[(&str, Value)], json: &str) -> (Report, String) {
    let mut message = message(json);
    let report = component::<Json>(values).handle(&mut message);
    let text = match report {
        Report::DONE => String::from_utf8(message.data().to_vec()).unwrap(),
        _ => message.description().to_owned(),
    };
    (report, text)
}

#[track_caller]
fn done(values: &[(&str, Value)], json: &str) -> String {
    let (report, text) = made(values, json);
    assert_eq!(report, Report::DONE, "{text}");
    text
}

#[test]
fn a_filter_drops_what_it_is_not_true_for() {
    let cases = [
        ("dep_delay > 30 && carrier == \"UA\"", Report::DONE),
        ("dep_delay > 31", Report::DROP),
        ("gone > 5", Report::DROP),
        ("missing > 5", Report::DROP),
        ("has(this.user) && user.name == 'x'", Report::DONE),
        ("has(this.missing)", Report::DROP),
        ("user.missing == null", Report::DONE),
    ];
    for (filter, report) in cases {
        assert_eq!(made(&[("filter", filter.into())], FLIGHT).0, report, "{filter}");
    }
    let same = done(&[("filter", "flight == 1545".into())], FLIGHT);
    assert_eq!(same, FLIGHT, "it is left as it is");
}

#[test]
fn selected_fields_come_in_their_order_as_they_stand() {
    let select = ("select", list(&["price", "missing", "note", "carrier", "user"]));
    let expected = r#"{"price":2.50,"note":"a\u0041","carrier":"UA","user":{"name":"x"}}"#;
    assert_eq!(done(std::slice::from_ref(&select), FLIGHT), expected);
    assert_eq!(done(&[("select", list(&[]))], FLIGHT), "{}");
    let of = |json| done(&[("select", list(&["a\"b", "c"]))], json);
    assert_eq!(of(r#"{"c":1,"c":2,"a\u0022b":[ 1 ]}"#), r#"{"a\"b":[ 1 ],"c":2}"#);
    let filtered = [("filter", "dep_delay < 0".into()), select];
    assert_eq!(made(&filtered, FLIGHT).0, Report::DROP);
}

#[test]
fn a_field_yields_its_name_to_one_that_is_there() {
    let rename = ("rename", map([("a", "b".into())]));
    let (without, with) = (r#"{"b":1,"c":2}"#, r#"{"b":1,"a":3}"#);
    assert_eq!(done(std::slice::from_ref(&rename), without), without);
    assert_eq!(done(std::slice::from_ref(&rename), with), r#"{"b":3}"#);
    let select = [rename.clone(), ("select", list(&["b", "c"]))];
    assert_eq!(done(&select, without), without);
    assert_eq!(done(&select, with), r#"{"b":3}"#);
    let set = [rename.clone(), ("set", map([("b", "9".into())]))];
    assert_eq!(done(&set, without), r#"{"b":9,"c":2}"#);
    assert_eq!(done(&set, with), r#"{"b":9}"#);
    let swapped = ("rename", map([("a", "b".into()), ("b", "a".into())]));
    assert_eq!(done(std::slice::from_ref(&swapped), without), r#"{"a":1,"c":2}"#);
    assert_eq!(done(&[swapped], with), r#"{"a":1,"b":3}"#);
}

#[test]
fn fields_are_renamed_set_and_removed_in_place() {
    let json = r#"{"a":1,"b":"x", "c":[1, 2],"d":null}"#;
    let rename = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|&(old, new)| (old.to_owned(), Value::from(new)));
        ("rename", Value::Map(pairs.collect()))
    };
    assert_eq!(done(&[rename(&[("a", "z")])], json), r#"{"z":1,"b":"x","c":[1, 2],"d":null}"#);
    let swapped = rename(&[("a", "b"), ("b", "a")]);
    assert_eq!(done(&[swapped], json), r#"{"b":1,"a":"x","c":[1, 2],"d":null}"#);
    let onto = rename(&[("a", "b")]);
    assert_eq!(done(std::slice::from_ref(&onto), json), r#"{"b":1,"c":[1, 2],"d":null}"#);
    assert_eq!(done(&[("remove", list(&["a", "d", "none"]))], json), r#"{"b":"x","c":[1, 2]}"#);
    assert_eq!(done(&[onto.clone(), ("remove", list(&["b"]))], json), r#"{"c":[1, 2],"d":null}"#);
    let set = ("set", map([("b", "a + 1".into()), ("e", 5.into())]));
    assert_eq!(
        done(std::slice::from_ref(&set), json),
        r#"{"a":1,"b":2,"c":[1, 2],"d":null,"e":5}"#
    );
    assert_eq!(done(&[onto, set.clone()], json), r#"{"b":2,"c":[1, 2],"d":null,"e":5}"#);
    assert_eq!(done(&[set], r#"{"b":1,"b":2}"#), r#"{"b":null,"e":5}"#);
    assert_eq!(done(&[("remove", list(&["a"]))], r#"{"a":1}"#), "{}");
}

#[test]
fn what_is_set_is_an_expression_or_a_constant() {
    let set = |value: Value| {
        let values = [("set", map([("x", value)])), ("select", list(&["x"]))];
        done(&values, FLIGHT)
    };
    assert_eq!(set("price".into()), r#"{"x":2.50}"#);
    assert_eq!(set("user.name".into()), r#"{"x":"x"}"#);
    assert_eq!(set("user.missing".into()), r#"{"x":null}"#);
    assert_eq!(set("'a\"b'".into()), r#"{"x":"a\"b"}"#);
    assert_eq!(set("dep_delay * 2 + flight".into()), r#"{"x":1607}"#);
    assert_eq!(set(true.into()), r#"{"x":true}"#);
    assert_eq!(set(1.0.into()), r#"{"x":1.0}"#);
    assert_eq!(set(list(&["a", "b\n"])), r#"{"x":["a","b\n"]}"#);
    assert_eq!(set(list(&[])), r#"{"x":[]}"#);
    assert_eq!(set(map([("a", 1.into()), ("b", map([]))])), r#"{"x":{"a":1,"b":{}}}"#);
}

#[test]
fn the_order_is_rename_set_remove_select() {
    let values = [
        ("rename", map([("dep_delay", "delay".into()), ("carrier", "flight".into())])),
        ("set", map([("late", "dep_delay > 30".into()), ("unused", 1.into())])),
        ("select", list(&["late", "delay", "flight", "carrier", "dep_delay"])),
    ];
    assert_eq!(done(&values, FLIGHT), r#"{"late":true,"delay":31,"flight":"UA"}"#);
}

#[test]
fn what_is_no_object_fails_and_says_where() {
    let of = |json: &str| made(&[("select", list(&["a"]))], json);
    let cases = [
        ("", "not a JSON object: expected an object at byte 0"),
        ("[1]", "not a JSON object: expected an object at byte 0"),
        ("{\"a\":1,}", "not a JSON object: expected the name of a field at byte 7"),
        ("{\"a\":1} 2", "not a JSON object: more than one JSON value at byte 8"),
        ("{\"b\":\"\n\"}", "not a JSON object: a control character in a string at byte 6"),
    ];
    for (json, description) in cases {
        assert_eq!(of(json), (NOT_JSON, description.to_owned()), "{json}");
    }
}

#[test]
fn an_expression_without_a_value_fails_and_is_named() {
    let (report, text) = made(&[("filter", "carrier > 5".into())], FLIGHT);
    assert_eq!(report, NO_VALUE);
    assert!(text.starts_with("`filter`: found no matching overload for '_>_'"), "{text}");
    let (report, text) = made(&[("set", map([("x", "flight / 0".into())]))], FLIGHT);
    assert_eq!((report, text.as_str()), (NO_VALUE, "`set.x`: Division by zero of Int(1545)"));
}

#[test]
fn a_result_that_is_too_large_fails_and_leaves_the_message() {
    let mut component = component::<Json>(&[("set", map([("x", "this".into())]))]);
    let mut message = Message::new(8, 12);
    message.set_data(b"{\"a\":1}").unwrap();
    assert_eq!(component.handle(&mut message), TOO_LARGE);
    assert!(message.description().contains("19 bytes are more than the 12"), "{message:?}");
    assert_eq!(message.data(), b"{\"a\":1}");
}

#[test]
fn wrong_attributes_are_named() {
    let cases: [(&[(&str, Value)], &str); 9] = [
        (
            &[("filter", "a >".into())],
            "`filter` = \"a >\": expected an expression in CEL: line 1, column ",
        ),
        (&[("filter", true.into())], "`filter` = true: expected a text"),
        (&[("rename", map([("a", 1.into())]))], "`rename.a` = 1: expected a name"),
        (
            &[("rename", map([("a", "c".into()), ("b", "c".into())]))],
            "`rename.b` = \"c\": expected a name that no other field gets",
        ),
        (
            &[("set", map([("a", f64::INFINITY.into())]))],
            "`set.a` = inf: expected an expression, or a constant",
        ),
        (
            &[("set", map([("a", "b.c(".into())]))],
            "`set.a` = \"b.c(\": expected an expression in CEL",
        ),
        (
            &[("set", map([("a", 1.into())])), ("remove", list(&["a"]))],
            "`set.a` = 1: expected a field that is not removed",
        ),
        (&[("select", list(&["a", "a"]))], "`select` = \"a\": expected each field once"),
        (
            &[("remove", Value::List(vec![true.into()]))],
            "`remove` = true: expected a list of texts",
        ),
    ];
    for (values, expected) in cases {
        let error = refused::<Json>(values);
        assert!(error.starts_with(expected), "{error}");
    }
    let error = refused::<Json>(&[("select", list(&["a"])), ("remove", list(&["a"]))]);
    assert_eq!(error, "`select` = \"a\": expected a field that is not removed");
}
