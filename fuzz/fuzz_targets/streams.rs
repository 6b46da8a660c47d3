//! See `fuzz/src/streams/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::streams::run(data));
