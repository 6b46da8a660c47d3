//! See `fuzz/src/groups/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::groups::run(data));
