//! libFuzzer on what personal data is taken out of; see `agentosd::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentosd::fuzzing::pii(bytes));
