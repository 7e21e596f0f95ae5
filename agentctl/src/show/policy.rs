//! `policy show --json`: the same keys as the language has them, and whence they are.

use crate::failure::Failure;
use policies::Effective;
use serde_json::{Value, json};

/// A policy with everything that it extends.
pub(crate) fn value(policy: &Effective) -> Result<Value, Failure> {
    // What `policy show` prints is a policy itself: both say the same, also of keys that are yet to come.
    let keys: Value = serde_saphyr::from_str(&policies::render(policy))
        .map_err(|error| Failure::Policy(format!("cannot write the policy {} as JSON: {error}", policy.name)))?;
    Ok(json!({
        "name": policy.name,
        "digest": policy.digest.to_string(),
        "sources": policy.sources.iter().map(|source| &*source.origin).collect::<Vec<_>>(),
        "not_enforced": policy.not_enforced,
        "policy": keys,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{Loader as _, ProfileName, Shipped};

    #[test]
    fn every_shipped_profile_is_the_same_as_json() {
        for name in Shipped.names() {
            let profile: ProfileName = name.parse().expect("a name");
            let policy = policies::resolve_profile(&profile, &Shipped).expect("it is valid");
            let value = value(&policy).expect("JSON");
            assert_eq!((&value["name"], &value["digest"]), (&name.into(), &policy.digest.to_string().into()));
            let count = |key: &Value| key.as_array().map(Vec::len);
            assert_eq!(count(&value["policy"]["filesystem"]), Some(policy.filesystem.len()));
            assert_eq!(count(&value["policy"]["process"]["env"]), Some(policy.env.len()));
            assert!(value["policy"]["process"]["limits"]["memory"].is_string(), "{value}");
        }
    }
}
