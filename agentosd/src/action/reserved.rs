//! Paths that no action touches, whatever a policy says: the kernel's own, and ours. Pure.

use crate::gate::Refusal;
use protocol::action::RefusalReason;
use std::path::Path;

const KERNELS: [&str; 4] = ["/proc", "/sys", "/dev", "/.agentos"];
const OURS: [&str; 4] = ["/run/agentos", "/policy", "/tools", "/ipc"];

/// The refusal of such a path.
pub(super) fn refuse(path: &Path) -> Option<Refusal> {
    let above = KERNELS.iter().chain(&OURS).find(|above| path.starts_with(above))?;
    let message = format!("{}: no action touches what is beneath {above}", path.display());
    Some(Refusal::new(RefusalReason::PathReserved, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_or_we_make_is_out_of_reach() {
        for path in ["/proc/self/mem", "/sys", "/dev/vda", "/run/agentos/io.agentos.sock", "/policy/rules.yaml"] {
            assert!(refuse(Path::new(path)).is_some(), "{path}");
        }
        for path in ["/process/x", "/srv/dev/x", "/home/policy"] {
            assert!(refuse(Path::new(path)).is_none(), "{path}");
        }
    }
}
