//! libFuzzer on names, signals and amounts; see `agentosd::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentosd::fuzzing::words(bytes));
