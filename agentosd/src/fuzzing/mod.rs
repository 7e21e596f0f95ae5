//! What is tried with hostile bytes: each function takes any bytes, and panics when a promise does not hold for them.
//!
//! libFuzzer calls them through `fuzz/` (`make fuzz`; feature `fuzzing`), and the tests here with every seed of
//! `fuzz/seeds/`, so that none goes stale. They are in this crate because what they try is not public.

mod log;
mod pii;
mod policy;
mod service;
mod stage;
mod state;
mod words;

pub use log::log;
pub use pii::pii;
pub use policy::policy;
pub use service::service;
pub use stage::stage;
pub use state::state;
pub use words::words;

/// The kernel's audit records, a line each: the record's type, a space, its text.
pub fn audit(bytes: &[u8]) {
    crate::denial::fuzzed(bytes);
}

/// What a peer sends on the control socket. The first byte says in pieces of which length it comes.
pub fn request(bytes: &[u8]) {
    crate::transport::fuzzed(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    type Target = fn(&[u8]);
    const TARGETS: [(&str, Target); 9] = [
        ("audit", audit),
        ("log", log),
        ("pii", pii),
        ("policy", policy),
        ("request", request),
        ("service", service),
        ("stage", stage),
        ("state", state),
        ("words", words),
    ];
    /// What `agentctl::fuzzing` and `trust::fuzzing` have.
    const ELSEWHERE: [&str; 3] = ["tar", "segments", "executor_orders"];

    fn names(directory: &Path) -> BTreeSet<String> {
        let entries = directory.read_dir().unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let stem = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().file_stem().unwrap().to_owned();
        entries.map(|entry| stem(entry).into_string().unwrap()).collect()
    }

    #[test]
    fn every_seed_of_the_fuzzers_keeps_the_promises_whole_and_cut_off() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        for (name, target) in TARGETS {
            let mut seen = 0;
            for seed in seeds.join(name).read_dir().unwrap_or_else(|error| panic!("{name}: {error}")) {
                let bytes = std::fs::read(seed.unwrap().path()).unwrap();
                target(&bytes);
                (1..8).for_each(|eighths| target(&bytes[..bytes.len() * eighths / 8]));
                seen += 1;
            }
            assert!(seen > 0, "{name} has no seeds");
        }
    }

    #[test]
    fn every_promise_that_is_tried_here_has_a_fuzzer() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let targets: BTreeSet<String> =
            TARGETS.iter().map(|(name, _)| *name).chain(ELSEWHERE).map(str::to_owned).collect();
        assert_eq!(names(&fuzz.join("fuzz_targets")), targets);
        assert_eq!(names(&fuzz.join("seeds")), targets);
    }
}
