//! libFuzzer on the files of an audit log; see `trust::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trust::fuzzing::segments(bytes));
