//! A message's attributes, packed one behind another in a buffer: the length of the name and that of the value,
//! each as 4 bytes in the order of the machine, then the name and the value.

use crate::buffer::{Buffer, TooLarge};
use std::ops::Range;

/// The two lengths.
const HEAD: usize = 8;

/// One attribute and where it stands.
pub struct Entry<'a> {
    name: &'a [u8],
    value: Range<usize>,
    whole: Range<usize>,
}

/// The entries, up to the first that is none: what a plugin overwrote ends them, and does no harm.
fn entries(packed: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let head = packed.get(at..at.checked_add(HEAD)?)?;
        let length = |four: &[u8]| u32::from_ne_bytes(four.try_into().unwrap_or_default()) as usize;
        let (name_len, value_len) = (length(&head[..4]), length(&head[4..]));
        let name_end = (at + HEAD).checked_add(name_len)?;
        let end = name_end.checked_add(value_len)?;
        let name = packed.get(at + HEAD..name_end).filter(|_| end <= packed.len())?;
        let whole = std::mem::replace(&mut at, end)..end;
        Some(Entry { name, value: name_end..end, whole })
    })
}

/// Names and values. A name that is no UTF-8, as only a plugin can leave one, is left out.
pub fn all(packed: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    entries(packed)
        .filter_map(|entry| Some((str::from_utf8(entry.name).ok()?, &packed[entry.value])))
}

fn find<'a>(packed: &'a [u8], name: &str) -> Option<Entry<'a>> {
    entries(packed).find(|entry| entry.name == name.as_bytes())
}

pub fn get<'a>(packed: &'a [u8], name: &str) -> Option<&'a [u8]> {
    find(packed, name).map(|entry| &packed[entry.value])
}

/// Puts a value in place of the name's earlier one. Where there is no room for it nothing changes.
pub fn set(packed: &mut Buffer, name: &str, value: &[u8]) -> Result<(), TooLarge> {
    let old = match find(packed, name) {
        Some(entry) if entry.value.len() == value.len() => {
            let place = entry.value;
            packed[place].copy_from_slice(value);
            return Ok(());
        }
        Some(entry) => entry.whole.len(),
        None => 0,
    };
    let size = HEAD.saturating_add(name.len()).saturating_add(value.len());
    let error = TooLarge { wanted: (packed.len() - old).saturating_add(size), max: packed.max() };
    let (Ok(name_len), Ok(value_len)) = (u32::try_from(name.len()), u32::try_from(value.len()))
    else {
        return Err(error);
    };
    packed.reserve(size.saturating_sub(old)).map_err(|_| error)?;
    remove(packed, name);
    for part in [&name_len.to_ne_bytes()[..], &value_len.to_ne_bytes(), name.as_bytes(), value] {
        packed.extend_from_slice(part)?;
    }
    Ok(())
}

/// Whether there was one.
pub fn remove(packed: &mut Buffer, name: &str) -> bool {
    let Some(Range { start, end }) = find(packed, name).map(|entry| entry.whole) else {
        return false;
    };
    packed.copy_within(end.., start);
    packed.truncate(packed.len() - (end - start));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(packed: &[u8]) -> Vec<(String, Vec<u8>)> {
        all(packed).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn each_cut_and_each_changed_byte_is_survived() {
        let mut packed = Buffer::new(1000);
        set(&mut packed, "name", b"value").unwrap();
        set(&mut packed, "other", b"").unwrap();
        let whole = packed.to_vec();
        for end in 0..whole.len() {
            assert!(listed(&whole[..end]).len() < 2, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let read: usize =
                    listed(&changed).iter().map(|(name, value)| name.len() + value.len()).sum();
                assert!(read <= whole.len(), "{at} {byte}");
            }
        }
    }

    #[test]
    fn no_room_changes_nothing() {
        let mut packed = Buffer::new(40);
        set(&mut packed, "a", b"12345").unwrap();
        set(&mut packed, "b", b"1234567").unwrap();
        assert_eq!(packed.len(), 30);
        let before = listed(&packed);
        assert_eq!(set(&mut packed, "b", &[0; 18]), Err(TooLarge { wanted: 41, max: 40 }));
        assert_eq!(set(&mut packed, "c", &[0; 2]), Err(TooLarge { wanted: 41, max: 40 }));
        assert_eq!(listed(&packed), before);
        set(&mut packed, "b", &[0; 17]).unwrap();
        assert_eq!(packed.len(), 40);
    }
}
