//! What becomes of an agent while no daemon is there.

use policies::Bound;
use sandbox::plan::Stay;

/// As the policy says.
pub(super) fn of(_bound: &Bound) -> Stay {
    Stay::default()
}
