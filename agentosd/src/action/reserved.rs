//! Paths that no action touches, whatever its rule says: the kernel's own, ours, and what the policy shows as refused. Pure.

use super::governed::Governed;
use crate::gate::Refusal;
use crate::plan::Own;
use crate::plan::executor::Use;
use protocol::action::RefusalReason;
use sandbox::plan::Mount;
use std::path::Path;

const KERNELS: [&str; 4] = ["/proc", "/sys", "/dev", "/.agentos"];
/// Where another daemon's are, besides our own wherever they are.
const OURS: [&str; 5] = ["/run/agentos", "/var/lib/agentos", "/policy", "/tools", "/ipc"];

/// The refusal of such a path.
pub(super) fn refuse(path: &Path, how: Use, (governed, own): (&Governed, &Own)) -> Option<Refusal> {
    let usual = KERNELS.iter().chain(&OURS).map(Path::new);
    let reserved = usual.chain([&*own.state, &*own.run]).find(|above| path.starts_with(above));
    if let Some(above) = reserved {
        let message = format!("{}: no action touches what is beneath {}", path.display(), above.display());
        return Some(Refusal::new(RefusalReason::PathReserved, message));
    }
    let within = governed.plan.view.iter().filter(|mount| path.starts_with(mount.path()));
    match within.max_by_key(|mount| mount.path().components().count()) {
        Some(Mount::Decoy { path: decoy, .. }) => {
            let message =
                format!("{}: the policy's filesystem has access: none for {}", path.display(), decoy.display());
            Some(Refusal::new(RefusalReason::DeniedByRule, message))
        }
        Some(Mount::Workspace { read_only, sealed, .. })
            if how == Use::Write && (*read_only || sealed.iter().any(|sealed| path.starts_with(sealed))) =>
        {
            let message = format!("{}: the policy's filesystem lets it be read only", path.display());
            Some(Refusal::new(RefusalReason::DeniedByRule, message))
        }
        _ => None,
    }
}
