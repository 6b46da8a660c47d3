use super::*;
use crate::factory::testing::{component, list, map, message, refused};
use crate::status::TOO_LARGE;

/// What becomes of a record: the object, or what is said about it.
fn made(values: &[(&str, Value)], record: &str) -> (Report, String) {
    let mut message = message(record);
    let report = component::<CsvToJson>(values).handle(&mut message);
    let is_done = report == Report::DONE;
    let text = if is_done { message.data() } else { message.description().as_bytes() };
    (report, String::from_utf8(text.to_vec()).unwrap())
}

#[track_caller]
fn object(values: &[(&str, Value)], record: &str) -> String {
    let values = [&[("header", list(&["a", "b\"", "c"]))], values].concat();
    let (report, text) = made(&values, record);
    assert_eq!(report, Report::DONE, "{text}");
    text
}

#[test]
fn records_become_objects() {
    let cases = [
        ("1,x,y", r#"{"a":"1","b\"":"x","c":"y"}"#),
        ("1,x,y\r\n", r#"{"a":"1","b\"":"x","c":"y"}"#),
        (
            "\"1,2\",\"say \"\"x\"\"\",\"two\nlines\"\n",
            r#"{"a":"1,2","b\"":"say \"x\"","c":"two\nlines"}"#,
        ),
        (",,", r#"{"a":null,"b\"":null,"c":null}"#),
        (",\"\", ", r#"{"a":null,"b\"":null,"c":" "}"#),
        ("\u{e4},b,c", "{\"a\":\"\u{e4}\",\"b\\\"\":\"b\",\"c\":\"c\"}"),
    ];
    for (record, json) in cases {
        assert_eq!(object(&[], record), json, "{record:?}");
    }
    let semicolons = [("delimiter", ";".into())];
    assert_eq!(object(&semicolons, "1,2;3;4"), r#"{"a":"1,2","b\"":"3","c":"4"}"#);
    assert_eq!(object(&[("delimiter", "\t".into())], "1\t2\t3"), r#"{"a":"1","b\"":"2","c":"3"}"#);
}

#[test]
fn fields_have_their_types() {
    let types = ("types", map([("a", "integer".into()), ("c", "number".into())]));
    let of = |record: &str| object(std::slice::from_ref(&types), record);
    assert_eq!(of("-5,5,1.50"), r#"{"a":-5,"b\"":"5","c":1.50}"#);
    assert_eq!(of(",5,1e3"), r#"{"a":null,"b\"":"5","c":1e3}"#);
    let types =
        [("types", map([("a", "boolean".into()), ("c", "text".into())])), ("infer", true.into())];
    assert_eq!(object(&types, "true,12,12"), r#"{"a":true,"b\"":12,"c":"12"}"#);
}

#[test]
fn types_are_inferred() {
    let of = |field: &str| {
        let values = [("header", list(&["x"])), ("infer", true.into())];
        let (_, text) = made(&values, field);
        text.strip_prefix("{\"x\":").and_then(|text| text.strip_suffix('}')).unwrap().to_owned()
    };
    for as_it_stands in
        ["0", "-1", "1.50", "1e5", "true", "false", "123456789012345678901234567890"]
    {
        assert_eq!(of(as_it_stands), as_it_stands);
    }
    for text in ["007", "+1", ".5", "1.", "NaN", "True", "null", "1 ", " 1", "-", "[1]", "1-2"] {
        assert_eq!(of(text), format!("\"{text}\""));
    }
    assert_eq!(of("\"5\""), "5");
}

#[test]
fn texts_stand_for_null() {
    let null = ("null", list(&["NA", "-"]));
    assert_eq!(object(std::slice::from_ref(&null), "NA,,-"), r#"{"a":null,"b\"":"","c":null}"#);
    let absent = ("null_as", Value::from("absent"));
    assert_eq!(object(&[null, absent.clone()], "NA,x,-"), r#"{"b\"":"x"}"#);
    assert_eq!(object(&[absent], ",,"), "{}");
    assert_eq!(object(&[("null", list(&[]))], ",,"), r#"{"a":"","b\"":"","c":""}"#);
}

#[test]
fn the_header_may_come_with_the_message() {
    let mut component = component::<CsvToJson>(&[("types", map([("n", "integer".into())]))]);
    let mut of = |header: Option<&str>, record: &str| {
        let mut message = message(record);
        if let Some(header) = header {
            message.set_attribute(HEADER, header.as_bytes()).unwrap();
        }
        let report = component.handle(&mut message);
        let is_done = report == Report::DONE;
        let text = if is_done { message.data() } else { message.description().as_bytes() };
        (report, String::from_utf8(text.to_vec()).unwrap())
    };
    let done = |text: &str| (Report::DONE, text.to_owned());
    assert_eq!(of(Some("n,\"a,b\"\r\n"), "1,2"), done(r#"{"n":1,"a,b":"2"}"#));
    assert_eq!(of(Some("n,\"a,b\"\r\n"), "3,4"), done(r#"{"n":3,"a,b":"4"}"#));
    assert_eq!(of(Some("x,n"), "3,4"), done(r#"{"x":"3","n":4}"#));
    let no_header = |text: &str| (NO_HEADER, text.to_owned());
    assert_eq!(of(None, "1,2"), no_header("no attribute `csv.header`"));
    assert_eq!(of(Some(""), "1,2"), no_header("the attribute `csv.header` is empty"));
    assert_eq!(
        of(Some("a\nb"), "1"),
        no_header("the attribute `csv.header` has another record at byte 2")
    );
    assert_eq!(of(Some("x,n"), "5,6"), done(r#"{"x":"5","n":6}"#));
}

#[test]
fn what_is_no_such_record_fails_and_says_why() {
    let header = ("header", list(&["a", "b"]));
    let values = [header, ("types", map([("a", "integer".into()), ("b", "boolean".into())]))];
    let cases = [
        ("1", NO_RECORD, "the record has 1 fields, the header 2"),
        ("", NO_RECORD, "the record has 0 fields, the header 2"),
        ("1,true,3", NO_RECORD, "the record has 3 fields, the header 2"),
        ("1,true\n2,false", NO_RECORD, "another record at byte 7"),
        ("x,true", NOT_OF_TYPE, "`a` = \"x\" is no integer"),
        ("1.5,true", NOT_OF_TYPE, "`a` = \"1.5\" is no integer"),
        ("9223372036854775808,true", NOT_OF_TYPE, "`a` = \"9223372036854775808\" is no integer"),
        ("1,yes", NOT_OF_TYPE, "`b` = \"yes\" is no boolean"),
    ];
    for (record, report, text) in cases {
        assert_eq!(made(&values, record), (report, text.to_owned()), "{record:?}");
    }
    let mut bad = message(b"\"1\",\xff");
    assert_eq!(component::<CsvToJson>(&values).handle(&mut bad), NO_RECORD);
    assert_eq!(bad.description(), "invalid UTF-8 at byte 4");
}

/// Many fields, and as many as there may be.
#[test]
fn the_number_of_fields_has_a_bound() {
    let names: Vec<_> = (0..FIELDS_MAX).map(|i| format!("f{i}")).collect();
    let header: Vec<_> = names.iter().map(String::as_str).collect();
    let values = [("header", list(&header)), ("infer", true.into())];
    let (report, text) = made(&values, &vec!["1"; FIELDS_MAX].join(","));
    assert_eq!(report, Report::DONE, "{text}");
    assert!(text.ends_with("\"f9999\":1}"));
    let (report, text) = made(&values, &vec!["1"; FIELDS_MAX + 1].join(","));
    assert_eq!(report, NO_RECORD, "{text}");
}

#[test]
fn a_result_that_is_too_large_fails() {
    let mut message = Message::new(8, 8);
    message.set_data(b"123").unwrap();
    let mut component = component::<CsvToJson>(&[("header", list(&["abc"]))]);
    assert_eq!(component.handle(&mut message), TOO_LARGE);
    assert_eq!(message.data(), b"123");
}

#[test]
fn wrong_attributes_are_named() {
    let header = || ("header", list(&["a"]));
    let cases: [(&[(&str, Value)], &str); 7] = [
        (&[("header", list(&[]))], "`header` = \"0 names\": expected 1 to 10000 names"),
        (
            &[("header", Value::List(vec![true.into()]))],
            "`header` = true: expected a list of texts",
        ),
        (
            &[("delimiter", ";;".into())],
            "`delimiter` = \";;\": expected one ASCII character that is no quote",
        ),
        (&[("delimiter", "\"".into())], "`delimiter` = \"\\\"\": expected one ASCII character"),
        (
            &[("types", map([("a", "float".into())]))],
            "`types.a` = \"float\": expected `text`, `integer`, `number` or `boolean`",
        ),
        (
            &[header(), ("types", map([("b", "text".into())]))],
            "`types.b` = \"text\": expected a field of the header",
        ),
        (
            &[("null_as", "none".into())],
            "`null_as` = \"none\": expected one of \"null\", \"absent\"",
        ),
    ];
    for (values, expected) in cases {
        let error = refused::<CsvToJson>(values);
        assert!(error.starts_with(expected), "{error}");
    }
}
