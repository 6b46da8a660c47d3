use super::*;
use stageline_component::{Kind, Spec, Value};

static SPEC: Spec =
    Spec { name: "it", kind: Kind::Source, summary: "", attributes: &DECODE, doc: "" };

fn decoding(values: &[(&str, Value)]) -> Result<Decoding, AttributeError> {
    let mut attributes = Attributes::new(&SPEC);
    for (name, value) in values {
        attributes.set(name, value)?;
    }
    attributes.complete()?;
    Decoding::of(&attributes)
}

/// A codec, and the largest message.
fn decoder(codec: &str, max: i64) -> Decoder {
    let values = [("codec", codec.into()), ("message_max", max.into())];
    decoding(&values).unwrap().decoder()
}

/// A message or what is wrong, and its position.
type Seen = (String, String);

fn seen(frame: &Frame<'_>) -> Seen {
    let what = match &frame.data {
        Ok(data) => data.escape_ascii().to_string(),
        Err(bad) => format!("! {bad}"),
    };
    (what, frame.at.to_string())
}

fn all<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut all = Vec::new();
    for mut chunk in chunks {
        while let Some(frame) = decoder.next(&mut chunk) {
            all.push(seen(&frame));
        }
        assert!(chunk.is_empty());
    }
    all.extend(decoder.finish().as_ref().map(seen));
    assert_eq!(decoder.begun(), 0);
    all
}

#[track_caller]
fn expect(codec: &str, bytes: &[u8], expected: &[(&str, &str)]) {
    let found = all(&mut decoder(codec, 8), [bytes]);
    let found: Vec<_> = found.iter().map(|(what, at)| (what.as_str(), at.as_str())).collect();
    assert_eq!(found, expected, "{codec}");
}

#[test]
fn lines_end_with_lf_crlf_or_the_stream() {
    let expected = [
        ("a", "line 1, byte 0"),
        ("", "line 2, byte 2"),
        ("b", "line 3, byte 3"),
        (r"\rc\r\r", "line 4, byte 6"),
        ("d", "line 5, byte 12"),
    ];
    expect("lines", b"a\n\nb\r\n\rc\r\r\r\nd", &expected);
    expect("lines", b"a\n", &expected[..1]);
    expect("lines", b"", &[]);
    expect("lines", b"a\r", &[(r"a\r", "line 1, byte 0")]);
}

#[test]
fn lines_too_large_are_named_and_passed_over() {
    let error = "! the message is too large: 9 bytes are more than the 8 that there may be";
    let expected =
        [("12345678", "line 1, byte 0"), (error, "line 2, byte 9"), ("b", "line 3, byte 19")];
    expect("lines", b"12345678\n123456789\nb", &expected);
    expect("lines", b"12345678\r\n", &expected[..1]);
    for codec in ["lines", "ndjson", "csv"] {
        let values =
            [("codec", codec.into()), ("message_max", 8.into()), ("csv_header", false.into())];
        for end in ["\n", "\r\n", ""] {
            let bytes = format!("123456789abcd{end}").into_bytes();
            let mut decoder = decoding(&values).unwrap().decoder();
            let found = all(&mut decoder, bytes.chunks(1));
            assert!(found[0].0.contains(": 13 bytes are more"), "{codec}, {end:?}: {found:?}");
        }
    }
}

#[test]
fn ndjson_skips_empty_lines_and_counts_them() {
    let expected = [("{}", "line 1, byte 0"), (" 1 ", "line 4, byte 7"), ("2", "line 6, byte 13")];
    expect("ndjson", b"{}\n\n \t\n 1 \r\n\n2", &expected);
}

/// Also where they have more bytes than a message may have, wherever the chunks are cut.
#[test]
fn ndjson_skips_large_empty_lines() {
    let bytes = b"                    \n1\n \t                  ";
    for size in 1..=bytes.len() {
        let found = all(&mut decoder("ndjson", 8), bytes.chunks(size));
        assert_eq!(found, [("1".to_owned(), "line 2, byte 21".to_owned())], "{size}");
    }
}

#[test]
fn a_byte_order_mark_is_left_out_at_the_beginning_alone() {
    let of = |codec: &str, bytes: &[u8], size: usize| {
        let values = [("codec", codec.into()), ("csv_header", false.into())];
        let mut decoder = decoding(&values).unwrap().decoder();
        // Datagrams begin anew.
        let first = all(&mut decoder, bytes.chunks(size));
        decoder.restart();
        assert_eq!(all(&mut decoder, bytes.chunks(size)), first, "{codec}");
        first
    };
    let seen = |what: &str, at: &str| (what.to_owned(), at.to_owned());
    for size in 1..6 {
        let bytes = b"\xef\xbb\xbf\"1\n\"\n\xef\xbb\xbf2\n";
        let expected =
            [seen(r#"\"1\n\""#, "line 1, byte 3"), seen(r"\xef\xbb\xbf2", "line 3, byte 8")];
        assert_eq!(of("csv", bytes, size), expected);
        let expected = [seen("{}", "line 1, byte 3"), seen(r"\xef\xbb\xbf2", "line 2, byte 6")];
        assert_eq!(of("ndjson", b"\xef\xbb\xbf{}\n\xef\xbb\xbf2", size), expected);
        // What begins as a mark and is none stays.
        assert_eq!(of("ndjson", b"\xef\xbb1\n", size), [seen(r"\xef\xbb1", "line 1, byte 0")]);
        assert_eq!(of("ndjson", b"\xef\xbb", size), [seen(r"\xef\xbb", "line 1, byte 0")]);
        let whole = [seen(r"\xef\xbb\xbf{}", "line 1, byte 0")];
        assert_eq!(of("lines", b"\xef\xbb\xbf{}\n", size), whole);
    }
    // Behind the first one it is a letter: a quote behind that opens nothing.
    let bytes = b"\xef\xbb\xbf\xef\xbb\xbf\"a\n\xef\xbb\xbf\"b";
    for size in 1..=bytes.len() {
        let expected = [
            seen(r#"\xef\xbb\xbf\"a"#, "line 1, byte 3"),
            seen(r#"\xef\xbb\xbf\"b"#, "line 2, byte 9"),
        ];
        assert_eq!(of("csv", bytes, size), expected, "{size}");
    }
    let mut later = decoder("ndjson", 8);
    later.start_at(7);
    assert_eq!(
        all(&mut later, [&b"\xef\xbb\xbf1"[..]]),
        [seen(r"\xef\xbb\xbf1", "line 1, byte 7")]
    );
}

#[test]
fn csv_records_may_have_several_lines() {
    let bytes = b"\xef\xbb\xbfa,b\r\n1,\"x\ny\"\r\n\r\n\n2,\"\"\"\n\"\n3";
    let expected = [
        (r#"1,\"x\ny\""#, "line 2, byte 8"),
        (r#"2,\"\"\"\n\""#, "line 6, byte 20"),
        ("3", "line 8, byte 28"),
    ];
    expect("csv", bytes, &expected);
    let mut csv = decoder("csv", 8);
    let _ = all(&mut csv, [&bytes[..]]);
    assert_eq!(csv.header, b"a,b");
}

#[test]
fn a_csv_record_that_breaks_off_within_quotes_is_none() {
    let broken = ("! the stream breaks off after 4 of at least 5 bytes", "line 2, byte 2");
    expect("csv", b"a\n1,\"x", &[broken]);
    expect("csv", b"a\n\"x\ny", &[broken]);
    // Whole ones, with and without the end of their line.
    for whole in ["1,\"x\"", "1,\"x\"\n", "1,x", "\"\"\"\""] {
        let text = whole.trim_end().as_bytes().escape_ascii().to_string();
        let bytes = format!("a\n{whole}");
        expect("csv", bytes.as_bytes(), &[(text.as_str(), "line 2, byte 2")]);
    }
}

#[test]
fn a_csv_header_is_wanted_or_not_and_fits() {
    let values = [("codec", "csv".into()), ("csv_header", false.into())];
    let mut without = decoding(&values).unwrap().decoder();
    assert_eq!(all(&mut without, [&b"a\nb\n"[..]]).len(), 2);
    assert_eq!(without.header, b"");
    let error = "! the header is too large: 9 bytes are more than the 8 that there may be";
    let expected = [(error, "line 1, byte 0"), ("2", "line 3, byte 12")];
    expect("csv", b"123456,89\n1\n2\n", &expected);
}

#[test]
fn csv_takes_another_delimiter() {
    let values =
        [("codec", "csv".into()), ("delimiter", ";".into()), ("csv_header", "false".into())];
    let mut csv = decoding(&values).unwrap().decoder();
    // A quote within a field that has none at its beginning is a character as others are.
    let found = all(&mut csv, [&b"a;\"b\nc\"\nd,\"e\nf\n"[..]]);
    let found: Vec<_> = found.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(found, [r#"a;\"b\nc\""#, r#"d,\"e"#, "f"]);
}

#[test]
fn lengths_stand_before_their_messages() {
    let expected = [("ab", "byte 0"), ("", "byte 6"), ("c", "byte 10")];
    expect("length_prefixed", b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c", &expected);
    let error = "! the message is too large: 9 bytes are more than the 8 that there may be";
    let expected = [(error, "byte 0"), ("c", "byte 13")];
    expect("length_prefixed", b"\0\0\0\x09123456789\0\0\0\x01c", &expected);
    let values = [("codec", "length_prefixed".into()), ("length", "u16".into())];
    let mut short = decoding(&values).unwrap().decoder();
    assert_eq!(all(&mut short, [&b"\0\x02ab"[..]]), [("ab".into(), "byte 0".into())]);
}

#[test]
fn a_stream_that_breaks_off_is_said() {
    let error = "! the stream breaks off after 5 of at least 6 bytes";
    expect("length_prefixed", b"\0\0\0\x02a", &[(error, "byte 0")]);
    let error = "! the stream breaks off after 3 of at least 4 bytes";
    expect("length_prefixed", b"\0\0\0", &[(error, "byte 0")]);
}

#[test]
fn chunks_are_parted_at_the_limit_and_datagrams_are_not() {
    expect("none", b"12345678\n9", &[("12345678", "byte 0"), (r"\n9", "byte 8")]);
    let values = [("codec", "none".into()), ("message_max", 8.into())];
    let mut datagrams = decoding(&values).unwrap().datagram_decoder();
    let error = "! the message is too large: 10 bytes are more than the 8 that there may be";
    assert_eq!(all(&mut datagrams, [&b"12345678\n9"[..]]), [(error.into(), "byte 0".into())]);
}

#[test]
fn what_lies_whole_in_a_chunk_is_not_copied() {
    for codec in ["lines", "ndjson", "csv", "length_prefixed", "none"] {
        let bytes: &[u8] = match codec {
            "length_prefixed" => b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x01c",
            _ => b"a\nb\nc\n",
        };
        let (mut decoder, mut chunk) = (decoder(codec, 8), bytes);
        let mut count = 0;
        while let Some(frame) = decoder.next(&mut chunk) {
            assert!(bytes.as_ptr_range().contains(&frame.data.unwrap().as_ptr()), "{codec}");
            count += 1;
        }
        assert!(count > 0, "{codec}");
        assert_eq!(decoder.carry.capacity(), 0, "{codec}");
    }
}

/// However the bytes are cut into chunks, the same messages stand at the same places; and what is kept meanwhile
/// has a limit.
#[test]
fn chunks_may_be_cut_anywhere() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2_000 {
        let codec = ["lines", "ndjson", "csv", "length_prefixed"][random.usize(..4)];
        let alphabet =
            if codec == "length_prefixed" { &b"\0\0\0\0\x01\x04\x0a"[..] } else { b"ab,\"\r\n\n" };
        let len = random.usize(..60);
        let bytes: Vec<_> = (0..len).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        let whole = all(&mut decoder(codec, 8), [&bytes[..]]);
        let (mut cut, mut rest) = (decoder(codec, 8), &bytes[..]);
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(random.usize(..=rest.len().min(5)));
            chunks.push(chunk);
            rest = behind;
        }
        assert_eq!(all(&mut cut, chunks.clone()), whole, "{codec}, seed {seed}: {chunks:?}");
        assert!(cut.carry.capacity() <= 2 * (8 + FRAME_EXTRA), "{codec}, seed {seed}");
    }
}

#[test]
fn a_decoder_is_used_again_after_the_end() {
    for codec in ["csv", "length_prefixed"] {
        let values = [("codec", codec.into()), ("csv_header", false.into())];
        let mut decoder = decoding(&values).unwrap().decoder();
        // A quote, or a prefix, that the end of the stream leaves open.
        let (open, next): (&[u8], &[u8]) =
            if codec == "csv" { (b"\"a", b"b\nc\n") } else { (b"\0\0", b"\0\0\0\x01b\0\0\0\x01c") };
        let _ = all(&mut decoder, [open]);
        let found: Vec<_> = all(&mut decoder, [next]).into_iter().map(|(what, _)| what).collect();
        assert_eq!(found, ["b", "c"], "{codec}");
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    let refused = |name: &str, value: Value| decoding(&[(name, value)]).unwrap_err().to_string();
    assert_eq!(refused("message_max", 0.into()), "`message_max` = 0: expected 1 byte to 1GiB");
    let error = refused("message_max", "2GiB".into());
    assert_eq!(error, "`message_max` = 2147483648: expected 1 byte to 1GiB");
    for delimiter in ["", "ab", "\u{e4}", "\"", "\n"] {
        let error = refused("delimiter", delimiter.into());
        assert!(error.ends_with("one ASCII character, no quote and no end of a line"), "{error}");
    }
    assert!(refused("codec", "xml".into()).ends_with("\"length_prefixed\", \"none\""));
    assert!(refused("too_large", "drop".into()).ends_with("one of \"skip\", \"stop\""));
    assert!(decoding(&[("too_large", "stop".into())]).unwrap().is_strict);
    assert!(!decoding(&[]).unwrap().is_strict);
}
