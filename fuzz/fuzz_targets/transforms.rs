//! See `fuzz/src/transforms/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::transforms::run(data));
