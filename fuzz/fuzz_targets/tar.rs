//! libFuzzer on an archive that is to be imported; see `agentctl::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentctl::fuzzing::tar(bytes));
