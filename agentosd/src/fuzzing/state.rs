//! What stands in the state directory, and what a stage has kept: whatever it is, it is read or refused.

use crate::memo::Memo;
use crate::services;
use crate::store;

/// A file of the state directory, or a memo. Nothing that is read back is another than what was written.
pub fn state(bytes: &[u8]) {
    if let Ok(record) = store::parse(bytes) {
        let text = serde_json::to_vec(&record).expect("a record is text");
        let again = store::parse(&[text, b"\n".to_vec()].concat()).expect("a record that was written");
        assert_eq!(serde_json::to_vec(&again).ok(), serde_json::to_vec(&record).ok());
    }
    if let Some([once, again]) = services::twice(bytes) {
        assert_eq!(once, again);
    }
    if let Ok(memo) = Memo::parse(bytes) {
        let text = serde_json::to_vec(&memo).expect("a memo is text");
        let again = Memo::parse(&text).expect("a memo that was written");
        assert_eq!((again.plan, again.caller), (memo.plan, memo.caller));
        // What it says of a policy is resolved, or refused with a sentence.
        drop(crate::policy::restore(&memo.policy));
    }
}
