//! See `fuzz/src/builder.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stageline_fuzz::builder::run(data));
