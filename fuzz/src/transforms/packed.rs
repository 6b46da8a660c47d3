//! Messages that are packed and unpacked.

use crate::parts::{answered, prepared, unpacked};
use stageline_component::{Factory, Report};
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const NOT_GZIP: u32 = 219;
const SIZE_MAX: usize = 4096;
const LEVELS: [i64; 4] = [0, 1, 6, 9];

static GUNZIP: LazyLock<[Box<dyn Factory>; 2]> = LazyLock::new(|| {
    [prepared("gunzip", &[("size_max", (SIZE_MAX as i64).into())]), prepared("gunzip", &[])]
});
static GZIP: LazyLock<[Box<dyn Factory>; LEVELS.len()]> =
    LazyLock::new(|| LEVELS.map(|level| prepared("gzip", &[("level", level.into())])));

/// Any bytes; with a variant, behind the beginning of a file.
pub fn unpacks(variant: usize, max: usize, rest: &[u8]) {
    let head: &[u8] = if variant % 4 < 2 { b"" } else { b"\x1f\x8b\x08\0\0\0\0\0\0\xff" };
    let file = [head, rest].concat();
    let size_max = if variant.is_multiple_of(2) { SIZE_MAX } else { usize::MAX };
    let mut component = GUNZIP[variant % 2].component().expect("a transform");
    let answer = answered("gunzip", &mut *component, &file, &[], max);
    let Some((report, message)) = answer else { return };
    let (content, is_whole) = unpacked(&file);
    let most = size_max.min(max);
    let shown = file.escape_ascii();
    match report.status() {
        // What comes first, too many bytes or the place that is wrong, is not said.
        TOO_LARGE => assert!(content.len() > most || !is_whole, "{shown}"),
        NOT_GZIP => assert!(!is_whole, "{shown}: {}", message.description()),
        status => {
            assert_eq!(status, Report::DONE.status());
            assert!(is_whole && content.len() <= most, "{shown}");
            assert_eq!(message.data(), content, "{shown}");
        }
    }
}

/// What was packed is unpacked again.
pub fn packs(variant: usize, max: usize, data: &[u8]) {
    let mut component = GZIP[variant % LEVELS.len()].component().expect("a transform");
    let answer = answered("gzip", &mut *component, data, &[], max);
    let Some((report, message)) = answer else { return };
    if report.status() == TOO_LARGE {
        // The heads of the file, and of what is not compressed.
        assert!(data.len() + 64 > max, "{}", data.escape_ascii());
        return;
    }
    assert_eq!(report, Report::DONE);
    assert_eq!(unpacked(message.data()), (data.to_vec(), true));
    let mut unpacks = GUNZIP[1].component().expect("a transform");
    let again = answered("gunzip", &mut *unpacks, message.data(), &[], max);
    let (report, again) = again.expect("a message that is not too large");
    assert_eq!((report, again.data()), (Report::DONE, data));
}
