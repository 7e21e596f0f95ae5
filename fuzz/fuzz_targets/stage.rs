//! libFuzzer on the messages between the daemon and a stage; see `agentosd::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentosd::fuzzing::stage(bytes));
