//! See `fuzz/src/scripts/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::scripts::run(data));
