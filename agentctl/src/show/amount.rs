//! Amounts as people read them.

/// Bytes in the largest binary unit that leaves one decimal: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(4 << 30)], ["0 B", "1023 B", "1.5 KiB", "4.0 GiB"]);
        assert!(bytes(u64::MAX).ends_with(" TiB"));
    }
}
