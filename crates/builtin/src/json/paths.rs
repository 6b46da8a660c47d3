//! The places in an object that somebody needs, found in one pass.
//!
//! Objects mostly have the names of the one before, in the same order. So the finder keeps, for each field of the
//! outer object, the bytes `"name":` that it found last, and looks for those first: a comparison of a few bytes
//! in place of the end of a string and a search among the names.

use super::plain::{behind, is_ascii, value_len};
use super::scan::{Fields, Malformed, finished, space, utf8, value_end};
use super::text::unescape;
use std::ops::Range;

/// How many fields of the outer object are looked for in the order of the last one.
const ORDER_MAX: usize = 256;

/// How many bytes such a name has at most, its comma, quotes and colon included.
const ORDER_NAME_MAX: usize = 64;

/// Places, by number. 0 is the whole object.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    places: Vec<Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    name: String,
    inner: Vec<usize>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { places: vec![Place::default()] }
    }
}

impl Paths {
    /// The number of the place of these names, the outer one first.
    pub(crate) fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> usize {
        names.into_iter().fold(0, |outer, name| {
            if let Some(place) = self.inner(outer, name) {
                return place;
            }
            let place = self.places.len();
            self.places.push(Place { name: name.to_owned(), inner: Vec::new() });
            self.places[outer].inner.push(place);
            place
        })
    }

    fn inner(&self, outer: usize, name: &str) -> Option<usize> {
        let mut inner = self.places[outer].inner.iter().copied();
        inner.find(|&place| self.places[place].name == name)
    }

    /// The place of a name as it stands in JSON.
    fn inner_raw(&self, outer: usize, raw: &[u8]) -> Option<usize> {
        if !raw.contains(&b'\\') {
            let mut inner = self.places[outer].inner.iter().copied();
            return inner.find(|&place| self.places[place].name.as_bytes() == raw);
        }
        self.inner(outer, &unescape(str::from_utf8(raw).ok()?))
    }
}

/// A field of the outer object, as it stands there.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The number of its place, if somebody needs it.
    pub(crate) place: Option<usize>,
    /// Its name, without quotes.
    pub(crate) name: Range<usize>,
    /// Its value.
    pub(crate) value: Range<usize>,
}

/// Finds the places in one message after another, in memory that it keeps.
pub(crate) struct Finder {
    paths: Paths,
    /// Whether all fields of the outer object are listed.
    lists: bool,
    found: Vec<Option<(usize, usize)>>,
    fields: Vec<Field>,
    order: Vec<Ordered>,
}

/// What the field of this position was last.
#[derive(Default)]
struct Ordered {
    /// `"name":`, behind a comma if it is not the first; empty where none was kept.
    bytes: Vec<u8>,
    place: Option<usize>,
}

impl Finder {
    /// Of these places.
    pub(crate) fn new(paths: Paths) -> Self {
        let found = vec![None; paths.places.len()];
        Self { paths, lists: false, found, fields: Vec::new(), order: Vec::new() }
    }

    /// Lists all fields of the outer object, too.
    pub(crate) fn listing(mut self) -> Self {
        self.lists = true;
        self
    }

    /// Checks an object, and finds the places in it. Of a name that is there twice, the last counts.
    pub(crate) fn find(&mut self, json: &[u8]) -> Result<(), Malformed> {
        // Most is ASCII, which is seen sooner.
        if !is_ascii(json) {
            utf8(json)?;
        }
        self.found.fill(None);
        self.fields.clear();
        let start = space(json, 0);
        let mut fields = Fields::new(json, start, 0)?;
        let mut position = 0;
        loop {
            position = self.known(json, &mut fields, position);
            if !fields.another()? {
                break;
            }
            let (name, value, place) = self.ordered(json, &fields, position)?;
            position += 1;
            let end = self.value(json, value, place, 0)?;
            fields.behind(end);
            if self.lists {
                self.fields.push(Field { place, name, value: value..end });
            }
        }
        finished(json, fields.at())?;
        self.found[0] = Some((start, fields.at()));
        Ok(())
    }

    /// Goes over the fields from this position on, as far as they are the ones of the last object, in its order,
    /// without white space, and with plain values. The position of the one behind them.
    #[inline(always)]
    fn known(&mut self, json: &[u8], fields: &mut Fields<'_>, from: usize) -> usize {
        let (mut position, mut at) = (from, fields.at());
        let mut rest = json.get(at..).unwrap_or_default();
        for Ordered { bytes, place } in self.order.get(from..).unwrap_or_default() {
            let Some(value) = behind(rest, bytes) else { break };
            let Some((len, behind)) =
                value_len(value).and_then(|len| Some((len, value.get(len..)?)))
            else {
                break;
            };
            let start = at + bytes.len();
            let end = start + len;
            if let Some(place) = *place {
                if self.found[place].is_some() {
                    // The name is there twice.
                    break;
                }
                self.found[place] = Some((start, end));
            }
            if self.lists {
                let name = at + usize::from(position > 0) + 1..start - 2;
                self.fields.push(Field { place: *place, name, value: start..end });
            }
            (at, rest, position) = (end, behind, position + 1);
        }
        if position > from {
            fields.behind_some(at);
        }
        position
    }

    /// The name of the field of this position, where its value begins, and its place.
    #[inline]
    fn ordered(
        &mut self,
        json: &[u8],
        fields: &Fields<'_>,
        position: usize,
    ) -> Result<(Range<usize>, usize, Option<usize>), Malformed> {
        let at = fields.at();
        if let Some(Ordered { bytes, place }) = self.order.get(position)
            && let Some(name) = bytes.get(usize::from(position > 0)..)
            && !name.is_empty()
            && json[at..].starts_with(name)
        {
            let end = at + name.len();
            return Ok((at + 1..end - 2, space(json, end), *place));
        }
        let (name, value) = fields.name()?;
        let place = self.paths.inner_raw(0, &json[name.clone()]);
        self.reorder(json, position, &name, place);
        Ok((name, value, place))
    }

    #[cold]
    fn reorder(&mut self, json: &[u8], position: usize, name: &Range<usize>, place: Option<usize>) {
        let bytes = &json[name.start - 1 - usize::from(position > 0)..];
        let bytes = &bytes[..bytes.len().min(name.len() + 3 + usize::from(position > 0))];
        // One with white space around it is not looked for.
        let is_close = bytes.ends_with(b":") && (position == 0 || bytes.starts_with(b","));
        let fits = is_close && bytes.len() <= ORDER_NAME_MAX;
        if position == self.order.len() && position < ORDER_MAX {
            self.order.push(Ordered::default());
        }
        if let Some(ordered) = self.order.get_mut(position).filter(|_| fits) {
            ordered.bytes.clear();
            ordered.bytes.extend_from_slice(bytes);
            ordered.place = place;
        }
    }

    /// Finds what is in a value that is the one of a place, and its end.
    #[inline]
    fn value(
        &mut self,
        json: &[u8],
        at: usize,
        place: Option<usize>,
        depth: usize,
    ) -> Result<usize, Malformed> {
        let Some(place) = place else { return value_end(json, at, depth + 1) };
        if self.found[place].is_some() {
            self.forget(place);
        }
        let has_inner = !self.paths.places[place].inner.is_empty();
        let end = if has_inner && json.get(at) == Some(&b'{') {
            self.inner(json, at, place, depth + 1)?
        } else {
            value_end(json, at, depth + 1)?
        };
        self.found[place] = Some((at, end));
        Ok(end)
    }

    fn inner(
        &mut self,
        json: &[u8],
        at: usize,
        outer: usize,
        depth: usize,
    ) -> Result<usize, Malformed> {
        let mut fields = Fields::new(json, at, depth)?;
        while let Some((name, value)) = fields.next()? {
            let place = self.paths.inner_raw(outer, &json[name]);
            let end = self.value(json, value, place, depth)?;
            fields.behind(end);
        }
        Ok(fields.at())
    }

    /// What was found in an earlier value of the name does not count.
    #[cold]
    fn forget(&mut self, place: usize) {
        self.found[place] = None;
        for inner in self.paths.places[place].inner.clone() {
            self.forget(inner);
        }
    }

    /// The value that was found at a place. (`json` is what it was found in.)
    pub(crate) fn get<'a>(&self, place: usize, json: &'a [u8]) -> Option<&'a str> {
        let (start, end) = *self.found.get(place)?.as_ref()?;
        // (`find` checked the whole.)
        str::from_utf8(json.get(start..end)?).ok()
    }

    /// All fields of the outer object, in their order, if they are listed.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(paths: &[&[&str]]) -> (Finder, Vec<usize>) {
        let mut places = Paths::default();
        let numbers = paths.iter().map(|path| places.add(path.iter().copied())).collect();
        (Finder::new(places).listing(), numbers)
    }

    fn found<'a>(finder: &mut Finder, places: &[usize], json: &'a str) -> Vec<Option<&'a str>> {
        finder.find(json.as_bytes()).unwrap();
        places.iter().map(|&place| finder.get(place, json.as_bytes())).collect()
    }

    #[test]
    fn places_are_found_in_any_order_and_depth() {
        let (mut finder, places) = finder(&[&["a"], &["b", "c"], &["b"], &[], &["b", "c", "d"]]);
        let json = r#" {"b":{"x":1,"c":{"d":"e"}}, "z" : [1], "a": 5 } "#;
        let whole = json.trim();
        let expected = [Some("5"), Some(r#"{"d":"e"}"#), Some(r#"{"x":1,"c":{"d":"e"}}"#)];
        assert_eq!(found(&mut finder, &places, json)[..3], expected);
        assert_eq!(found(&mut finder, &places, json)[3..], [Some(whole), Some("\"e\"")]);
        assert_eq!(
            found(&mut finder, &places, r#"{"b":[{"c":1}]}"#)[..3],
            [None, None, Some(r#"[{"c":1}]"#)]
        );
        assert_eq!(found(&mut finder, &places, "{}")[..3], [None; 3]);
        let (_, same) = self::finder(&[&["a"], &["a"]]);
        assert_eq!(same[0], same[1]);
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_counts() {
        let (mut finder, places) = finder(&[&["a", "b"], &["a"]]);
        let json = r#"{"a":{"b":1},"a":{"c":2}}"#;
        assert_eq!(found(&mut finder, &places, json), [None, Some(r#"{"c":2}"#)]);
        assert_eq!(found(&mut finder, &places, r#"{"a":{"b":1,"b":2}}"#)[0], Some("2"));
    }

    /// Each message is found in as if it were the first.
    #[test]
    fn the_order_of_the_last_one_changes_nothing() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let paths: [&[&str]; 4] = [&["a"], &["ab"], &["b", "a"], &["\u{e4}\""]];
        let (mut kept, places) = finder(&paths);
        let names = ["a", "ab", "b", "abc", r#"\u00e4\""#, r#"ä\""#, r"\u0061", "c"];
        let longer = ["identifier", "identifies", "a_rather_long_name", "a_rather_lang_name"];
        let names = [&names[..], &longer].concat();
        let long = "n".repeat(ORDER_NAME_MAX);
        for _ in 0..3_000 {
            let mut fields = Vec::new();
            for _ in 0..random.usize(0..6) {
                let name =
                    if random.u8(0..10) == 0 { &long } else { *random.choice(&names).unwrap() };
                let colon = *random.choice(&[":", ":", ":", " :", ": "]).unwrap();
                let values =
                    ["1", "-120", "1.5", "\"x\"", "\"long enough\"", r#"{"a":2}"#, "[]", "null"];
                let value = *random.choice(&values).unwrap();
                fields.push(format!("\"{name}\"{colon}{value}"));
            }
            let json = format!("{{{}}}", fields.join(","));
            let (mut fresh, _) = finder(&paths);
            let expected = found(&mut fresh, &places, &json);
            assert_eq!(found(&mut kept, &places, &json), expected, "{json}");
            let listed = |finder: &Finder| format!("{:?}", finder.fields());
            assert_eq!(listed(&kept), listed(&fresh), "{json}");
            assert_eq!(fresh.fields().len(), fields.len());
            // One byte is another.
            let mut bytes = json.into_bytes();
            let at = random.usize(..bytes.len());
            bytes[at] = *random.choice(b"{}[]\",:\\0-.eu n").unwrap();
            let (mut fresh, _) = finder(&paths);
            let ends = [fresh.find(&bytes), kept.find(&bytes)];
            assert_eq!(ends[0], ends[1], "{}", String::from_utf8_lossy(&bytes));
        }
        assert!(kept.order.len() > 3, "{}", kept.order.len());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let (mut finder, _) = finder(&[&["a"]]);
        for json in ["", "[1]", "1", "{\"a\":1} x", "{\"a\":1"] {
            assert!(finder.find(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(finder.find(b" []").unwrap_err().to_string(), "expected an object at byte 1");
        assert_eq!(
            finder.find(b"{\"a\":\"\xff\"}").unwrap_err().to_string(),
            "invalid UTF-8 at byte 6"
        );
    }
}
