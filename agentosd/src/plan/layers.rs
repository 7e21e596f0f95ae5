//! Layers that this kernel lacks, and the policies that can do without them.

use policies::{Effective, KernelLayer};
use protocol::error::ControlError;

/// The layers that an agent of this policy goes without, in the words of the language; none where the kernel has all.
/// Refuses the start when one is not optional in it: an operator would rely on it.
pub(super) fn not_enforced(policy: &Effective, lacking: &[KernelLayer]) -> Result<Vec<String>, ControlError> {
    let optional = |layer: &&KernelLayer| policy.optional_layers.iter().any(|rule| rule.value == **layer);
    let required: Vec<&KernelLayer> = lacking.iter().filter(|layer| !optional(layer)).collect();
    if required.is_empty() {
        return Ok(lacking.iter().map(ToString::to_string).collect());
    }
    let named =
        |word: fn(&KernelLayer) -> String| required.iter().map(|layer| word(layer)).collect::<Vec<_>>().join(", ");
    let message = format!(
        "this kernel lacks layers that the policy {} needs, so the agent is not started: {}; boot a newer kernel, or name them in a policy that can do without: optional_layers: [{}]",
        policy.name,
        named(|layer| format!("{layer} ({})", layer.since())),
        named(|layer| layer.to_string()),
    );
    Err(ControlError::BadPolicy { message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::{Shipped, parse, resolve};

    fn policy(text: &str) -> Effective {
        let document = parse("p.yaml", &format!("extends: [base]\n{text}\n")).unwrap();
        resolve(&document, &Shipped).unwrap()
    }

    #[test]
    fn a_layer_that_the_kernel_lacks_stops_the_start_unless_the_policy_calls_it_optional() {
        let lacking = [KernelLayer::LandlockTruncate, KernelLayer::LandlockScope];
        let refused = not_enforced(&policy("optional_layers: [landlock_scope]"), &lacking).unwrap_err().to_string();
        assert!(refused.contains("landlock_truncate (Linux 6.2)"), "{refused}");
        assert!(refused.contains("optional_layers: [landlock_truncate]"), "no remedy: {refused}");
        assert!(!refused.contains("landlock_scope"), "the policy can do without it: {refused}");
        let both = policy("optional_layers: [landlock_scope, landlock_truncate, memfd_noexec]");
        assert_eq!(not_enforced(&both, &lacking).unwrap(), ["landlock_truncate", "landlock_scope"]);
        assert_eq!(not_enforced(&both, &[]).unwrap(), [""; 0], "what the kernel has is enforced");
    }
}
