//! See `src/fuzzing.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sekisho::fuzzing::run("cookies_and_forms", data));
