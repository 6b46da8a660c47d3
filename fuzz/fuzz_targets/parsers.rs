//! See `fuzz/src/parsers/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::parsers::run(data));
