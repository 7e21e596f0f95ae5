//! `policy check` and `policy show`.
