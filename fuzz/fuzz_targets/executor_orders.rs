//! libFuzzer on the orders to an executor; see `executors::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| executors::fuzzing::orders(bytes));
