use super::*;

fn wrong(json: impl AsRef<[u8]>) -> String {
    value(json.as_ref()).unwrap_err().to_string()
}

#[test]
fn values_are_found_without_the_space_around_them() {
    let good = [
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+10",
        "1E5",
        "0.10",
        r#""""#,
        r#""a\"\\\/\b\f\n\r\t\u00e4""#,
        "\"12345678\u{e4}90123456\"",
        r#"{"a":1,"b":[1,2,{"c":[]}],"a":{}}"#,
        "[ 1 , [ ] , { } ]",
        "{ \"a\" : 1 , \"b\" : 2 }",
    ];
    for json in good {
        assert_eq!(value(json.as_bytes()), Ok(json));
        assert_eq!(value(format!(" \t{json}\r\n").as_bytes()), Ok(json));
    }
}

#[test]
fn what_is_wrong_and_where_is_said() {
    let bad = [
        ("", "expected a value at byte 0"),
        ("nul", "expected a value at byte 0"),
        ("{\"a\":tru}", "expected a value at byte 5"),
        ("01", "more than one JSON value at byte 1"),
        ("-", "expected a digit at byte 1"),
        ("1.", "expected a digit at byte 2"),
        ("1e+", "expected a digit at byte 3"),
        ("\"abc", "a string without an end at byte 4"),
        ("\"12345678\n\"", "a control character in a string at byte 9"),
        (r#""\x""#, "an unknown escape at byte 1"),
        (r#""\u12g4""#, "an unknown escape at byte 1"),
        ("{a:1}", "expected the name of a field at byte 1"),
        ("{\"a\" 1}", "expected `:` at byte 5"),
        ("{\"a\":1 \"b\":2}", "expected `,` or `}` at byte 7"),
        ("{\"a\":1,}", "expected the name of a field at byte 7"),
        ("{\"a\":1", "expected `,` or `}` at byte 6"),
        ("{", "expected `,` or `}` at byte 1"),
        ("[1,]", "expected a value at byte 3"),
        ("[1 2]", "expected `,` or `]` at byte 3"),
        ("[", "expected a value at byte 1"),
        ("{} {}", "more than one JSON value at byte 3"),
    ];
    for (json, error) in bad {
        assert_eq!(wrong(json), error, "{json}");
    }
    assert_eq!(wrong(b"\"a\xff\""), "invalid UTF-8 at byte 2");
}

#[test]
fn the_depth_has_an_end() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        assert!(value(nested(DEPTH_MAX).as_bytes()).is_ok());
        let error = format!("nested too deep at byte {}", DEPTH_MAX * open.len());
        assert_eq!(wrong(nested(DEPTH_MAX + 1)), error);
    }
}

/// Each string of a length with one special byte at each place.
#[test]
fn strings_end_where_they_do() {
    for len in 0..40 {
        for at in 0..len {
            let mut json = format!("\"{}\"", "\u{7f}".repeat(len)).into_bytes();
            assert_eq!(string_end(&json, 1), Ok(len + 2));
            for (byte, end) in
                [(b'"', Some(at + 2)), (0x1f, None), (0, None), (b'!', Some(len + 2))]
            {
                json[at + 1] = byte;
                assert_eq!(string_end(&json, 1).ok(), end, "{len} {at} {byte}");
            }
        }
    }
}

/// What this takes and what sonic-rs takes are the same texts.
#[test]
fn it_takes_what_another_parser_takes() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let base = r#"{"a":[1,-2.5e3,"x\n\u0041",{"b":null,"c":[true,false]}],"d":"e"}"#;
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut json = base.as_bytes().to_vec();
        for _ in 0..random.usize(0..3) {
            let at = random.usize(..json.len());
            match random.u8(0..3) {
                0 => json[at] = *random.choice(b"{}[]\",:\\0-.eu\n atn").unwrap(),
                1 => drop(json.remove(at)),
                _ => json.insert(at, *random.choice(b"{}[]\",:\\0-.eu\n atn").unwrap()),
            }
        }
        let text = String::from_utf8_lossy(&json);
        let other = sonic_rs::from_slice::<sonic_rs::Value>(&json);
        // (The escape of half a character is a matter of the string's reader, here.)
        let ours = value(&json);
        assert_eq!(ours.is_ok(), other.is_ok(), "{text}: {ours:?} {other:?}");
        taken += usize::from(ours.is_ok());
    }
    assert!(taken > 4_000, "{taken} of them are well formed");
}

#[test]
fn parts_are_listed() {
    assert_eq!(elements("[1, [2], {\"a\":[]} ]"), ["1", "[2]", "{\"a\":[]}"]);
    assert!(elements("[ ]").is_empty());
    let object = r#"{"a" : 1, "b\n":[2] }"#;
    assert_eq!(members(object), [("a", "1"), (r"b\n", "[2]")]);
}
