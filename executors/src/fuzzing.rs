//! What is tried with hostile bytes; see `agentosd::fuzzing`, which does the same for the daemon.

use crate::orders::decode;

/// An executor's input: lines of orders.
///
/// Nothing panics. What is taken for an order is, written again, taken for the same.
///
/// # Panics
/// When a promise does not hold.
pub fn orders(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(order) = decode(line) else { continue };
        let written = serde_json::to_vec(&order).unwrap_or_else(|error| panic!("{error}: {order:?}"));
        let again = decode(&written).unwrap_or_else(|refusal| panic!("{refusal}: {order:?}"));
        assert_eq!(again, order);
    }
}

#[cfg(test)]
mod tests {
    use super::orders;
    use std::path::Path;

    #[test]
    fn every_seed_of_the_fuzzer_keeps_the_promises_whole_and_cut_off() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/executor_orders");
        let (mut seen, mut understood) = (0, 0);
        for seed in seeds.read_dir().unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            orders(&bytes);
            (0..bytes.len()).for_each(|end| orders(&bytes[..end]));
            understood += bytes.split(|byte| *byte == b'\n').filter(|line| crate::orders::decode(line).is_ok()).count();
            seen += 1;
        }
        assert!(seen > 7 && understood == 14, "{seen} seeds, {understood} orders in them");
    }
}
