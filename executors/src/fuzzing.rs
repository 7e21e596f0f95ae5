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
