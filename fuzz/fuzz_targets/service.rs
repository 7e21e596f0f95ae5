//! libFuzzer on the file of an agent that starts with the daemon; see `agentosd::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentosd::fuzzing::service(bytes));
