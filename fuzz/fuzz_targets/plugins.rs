//! See `fuzz/src/plugins.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::plugins::run(data));
