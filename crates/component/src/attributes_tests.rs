use super::*;
use crate::spec::Kind;

const fn attribute(name: &'static str, kind: AttributeKind) -> AttributeSpec {
    AttributeSpec { name, kind, default: None, required: false, doc: "" }
}

static SPEC: Spec = Spec {
    name: "all",
    kind: Kind::Transform,
    summary: "",
    attributes: &[
        attribute("text", AttributeKind::Text),
        attribute("integer", AttributeKind::Integer),
        attribute("number", AttributeKind::Number),
        attribute("boolean", AttributeKind::Boolean),
        attribute("duration", AttributeKind::Duration),
        attribute("size", AttributeKind::Size),
        attribute("list", AttributeKind::List),
        attribute("map", AttributeKind::Map),
        attribute("function", AttributeKind::Function),
        attribute("choice", AttributeKind::OneOf(&["lines", "1"])),
    ],
    doc: "",
};

static FILE: Spec = Spec {
    name: "file",
    kind: Kind::Sink,
    summary: "",
    attributes: &[
        AttributeSpec { required: true, ..attribute("path", AttributeKind::Text) },
        AttributeSpec { required: true, ..attribute("format", AttributeKind::Text) },
        AttributeSpec { default: Some("4KiB"), ..attribute("buffer", AttributeKind::Size) },
        attribute("every", AttributeKind::Duration),
    ],
    doc: "",
};

/// What the attributes hold after a value was set.
fn set(name: &str, value: impl Into<Value>) -> Result<Attributes, String> {
    let mut attributes = Attributes::new(&SPEC);
    attributes.set(name, &value.into()).map_err(|error| error.to_string())?;
    Ok(attributes)
}

#[test]
fn each_kind_takes_what_it_can() {
    let text = |value: Value| set("text", value).unwrap().text("text").map(str::to_owned);
    assert_eq!(text("a\0b".into()).as_deref(), Some("a\0b"));
    assert_eq!(text(5.into()).as_deref(), Some("5"));
    let integer = |value: Value| set("integer", value).unwrap().integer("integer");
    assert_eq!(integer((-5).into()), Some(-5));
    assert_eq!(integer(5.0.into()), Some(5));
    assert_eq!(integer(" 9223372036854775807".into()), Some(i64::MAX));
    let number = |value: Value| set("number", value).unwrap().number("number");
    assert_eq!(number(5.into()), Some(5.0));
    assert_eq!(number("1e3".into()), Some(1000.0));
    let boolean = |value: Value| set("boolean", value).unwrap().boolean("boolean");
    assert_eq!(boolean(true.into()), Some(true));
    assert_eq!(boolean("false".into()), Some(false));
    let duration = |value: Value| set("duration", value).unwrap().duration("duration");
    assert_eq!(duration("250ms".into()), Some(Duration::from_millis(250)));
    assert_eq!(duration(2.into()), Some(Duration::from_secs(2)));
    assert_eq!(duration(0.5.into()), Some(Duration::from_millis(500)));
    let size = |value: Value| set("size", value).unwrap().size("size");
    assert_eq!(size("4KiB".into()), Some(4096));
    assert_eq!(size(4096.into()), Some(4096));
    assert_eq!(set("choice", "lines").unwrap().text("choice"), Some("lines"));
    assert_eq!(set("choice", 1).unwrap().text("choice"), Some("1"));
    let function = FunctionRef::new(());
    let attributes = set("function", function.clone()).unwrap();
    assert_eq!(attributes.function("function"), Some(&function));
}

#[test]
fn lists_and_maps_are_values_or_lines() {
    let list = |value: Value| set("list", value).unwrap().list("list").unwrap().to_vec();
    let values = vec![Value::from(1), "b".into()];
    assert_eq!(list(values.clone().into()), values);
    assert_eq!(list("a\nb".into()), ["a", "b"].map(Value::from));
    assert_eq!(list("".into()), []);
    assert_eq!(list(Value::Map(BTreeMap::new())), []);
    let map = |value: Value| set("map", value).unwrap().map("map").unwrap().clone();
    let expected: BTreeMap<_, _> =
        [("a", "1=2"), ("b", "")].map(|(name, value)| (name.to_owned(), Value::from(value))).into();
    assert_eq!(map(expected.clone().into()), expected);
    assert_eq!(map("a=1=2\nb=".into()), expected);
    assert_eq!(map(Value::List(Vec::new())), BTreeMap::new());
}

#[test]
fn each_kind_refuses_what_it_cannot() {
    let refused: [(&str, Value, &str); 19] = [
        ("text", true.into(), "`text` = true: expected a text"),
        ("text", vec![].into(), "`text` = {}: expected a text"),
        ("integer", 1.5.into(), "`integer` = 1.5: expected a whole number of 64 bits"),
        ("integer", INTEGER_END.into(), "9223372036854776000: expected a whole number"),
        ("integer", "9223372036854775808".into(), "expected a whole number of 64 bits"),
        ("number", f64::NAN.into(), "`number` = NaN: expected a number"),
        ("number", "inf".into(), "`number` = \"inf\": expected a number"),
        ("number", "x".into(), "`number` = \"x\": expected a number"),
        ("boolean", "yes".into(), "`boolean` = \"yes\": expected true or false"),
        ("boolean", 1.into(), "`boolean` = 1: expected true or false"),
        ("duration", "fast".into(), "= \"fast\": expected a duration such as \"250ms\""),
        ("duration", (-1).into(), "`duration` = -1: expected a duration"),
        ("duration", (-0.5).into(), "`duration` = -0.5: expected a duration"),
        ("size", (-1).into(), "`size` = -1: expected a number of bytes such as \"4KiB\""),
        ("size", 1.5.into(), "`size` = 1.5: expected a number of bytes"),
        ("list", 1.into(), "`list` = 1: expected a list"),
        ("map", "a=1\nb".into(), "`map` = \"a=1\\nb\": expected a map"),
        ("function", "f".into(), "`function` = \"f\": expected a function"),
        ("choice", "csv".into(), "`choice` = \"csv\": expected one of \"lines\", \"1\""),
    ];
    for (name, value, expected) in refused {
        let error = set(name, value).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    let error = set("intger", 1).unwrap_err();
    assert_eq!(error, "`all` has no attribute `intger`; did you mean `integer`?");
    let error = Attributes::new(&FILE).set("colour", &1.into()).unwrap_err().to_string();
    assert_eq!(
        error,
        "`file` has no attribute `colour`: it has `path`, `format`, `buffer`, `every`"
    );
}

#[test]
fn what_is_missing_is_named_and_the_rest_has_its_default() {
    let mut attributes = Attributes::new(&FILE);
    let error = attributes.complete().unwrap_err();
    assert_eq!(error.to_string(), "`file` needs the attributes `path`, `format`");
    attributes.set("path", &"a".into()).unwrap();
    let error = attributes.complete().unwrap_err();
    assert_eq!(error.to_string(), "`file` needs the attribute `format`");
    attributes.set("format", &"csv".into()).unwrap();
    attributes.complete().unwrap();
    assert_eq!((attributes.size("buffer"), attributes.duration("every")), (Some(4096), None));
    assert!(attributes.is_set("buffer") && !attributes.is_set("every"));
    attributes.set("buffer", &1.into()).unwrap();
    attributes.complete().unwrap();
    assert_eq!(attributes.size("buffer"), Some(1));
}

#[test]
fn a_check_finds_all_that_is_wrong() {
    let (one, text) = (Value::from(true), Value::from("x"));
    let wrong = Attributes::check(&FILE, [("path", &one), ("everi", &text), ("every", &text)]);
    let wrong: Vec<_> = wrong.unwrap_err().iter().map(AttributeError::to_string).collect();
    let expected = [
        "`path` = true: expected a text",
        "`file` has no attribute `everi`; did you mean `every`?",
        "`every` = \"x\": expected a duration such as \"250ms\" or \"1m30s\"",
        "`file` needs the attribute `format`",
    ];
    assert_eq!(wrong, expected);
    let checked = Attributes::check(&FILE, [("path", &text), ("format", &text)]).unwrap();
    assert_eq!(checked.text("path"), Some("x"));
}

#[test]
fn a_number_out_of_its_range_is_an_error() {
    let attributes = set("integer", 65).unwrap();
    assert_eq!(attributes.integer_in("integer", 1..=65), Ok(Some(65)));
    let error = attributes.integer_in("integer", 1..=64).unwrap_err();
    assert_eq!(error.to_string(), "`integer` = 65: expected a number from 1 to 64");
    assert_eq!(Attributes::new(&SPEC).integer_in("integer", 1..=64), Ok(None));
}

#[test]
#[should_panic(expected = "`all` has no attribute `nmber`; did you mean `number`?")]
fn to_ask_for_what_is_not_in_the_spec_panics() {
    Attributes::new(&SPEC).number("nmber");
}

#[test]
#[should_panic(expected = "`integer` is no text: Integer(1)")]
fn to_ask_for_another_type_panics() {
    set("integer", 1).unwrap().text("integer");
}
