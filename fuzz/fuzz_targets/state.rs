//! libFuzzer on the files of the state directory and the memo of an agent; see `agentosd::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentosd::fuzzing::state(bytes));
