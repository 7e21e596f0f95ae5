//! Results: a row each, and the table as text and as Markdown.

use std::fmt::Write as _;

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Our figure.
    pub(crate) ours: String,
    /// The figure beside it, or nothing to compare with.
    pub(crate) reference: String,
    /// What the bar is about: a ratio, or an amount in the bar's unit.
    pub(crate) value: Option<f64>,
    /// The bar of DESIGN section 7; `None` for a figure that only explains another.
    pub(crate) bar: Option<Bar>,
}

/// What must not be passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// The most.
    pub(crate) most: f64,
    /// `×` for a ratio, or the unit of an amount: `MiB`, `µs`.
    pub(crate) unit: &'static str,
}

impl Row {
    /// A ratio with a bar.
    pub(crate) fn ratio(what: impl Into<String>, sides: (String, String), value: f64, most: f64) -> Self {
        let bar = Some(Bar { most, unit: "×" });
        Self { what: what.into(), ours: sides.0, reference: sides.1, value: Some(value), bar }
    }

    /// An amount with a bar, in its unit.
    pub(crate) fn amount(what: &str, ours: String, value: f64, (most, unit): (f64, &'static str)) -> Self {
        let bar = Some(Bar { most, unit });
        Self { what: what.to_owned(), ours, reference: String::new(), value: Some(value), bar }
    }

    /// A ratio for the reader to know, without a bar.
    pub(crate) fn compared(what: impl Into<String>, sides: (String, String), value: f64) -> Self {
        Self { what: what.into(), ours: sides.0, reference: sides.1, value: Some(value), bar: None }
    }

    /// A figure that explains another.
    pub(crate) fn figure(what: impl Into<String>, ours: String) -> Self {
        Self { what: what.into(), ours, reference: String::new(), value: None, bar: None }
    }

    /// Whether a bar was passed over.
    pub(crate) fn missed(&self) -> bool {
        matches!((self.value, self.bar), (Some(value), Some(bar)) if value > bar.most)
    }

    fn cells(&self) -> [String; 5] {
        let value = match (self.value, self.bar) {
            (Some(value), None | Some(Bar { unit: "×", .. })) => format!("{value:.2}×"),
            (Some(value), Some(Bar { unit, .. })) => format!("{value:.2} {unit}"),
            (None, _) => String::new(),
        };
        let verdict = match self.bar {
            None => String::new(),
            Some(Bar { most, unit }) => {
                format!("≤ {most} {unit}: {}", if self.missed() { "NOT MET" } else { "met" })
            }
        };
        [self.what.clone(), self.ours.clone(), self.reference.clone(), value, verdict]
    }
}

const HEADER: [&str; 5] = ["what", "Agent OS", "reference", "ratio", "bar"];

/// The rows as a table for a terminal.
pub(crate) fn text(rows: &[Row]) -> String {
    let cells: Vec<_> = std::iter::once(HEADER.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 5]| {
        let padded: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

/// The rows as a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut out = format!("| {} |\n|{}\n", HEADER.join(" | "), "---|".repeat(HEADER.len()));
    for row in rows {
        // Writing into a String cannot fail.
        if writeln!(out, "| {} |", row.cells().join(" | ")).is_err() {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_up_to_its_own_height_only() {
        let sides = || ("1".to_owned(), "1".to_owned());
        assert!(!Row::ratio("a", sides(), 1.2, 1.2).missed());
        let missed = Row::ratio("a", sides(), 1.21, 1.2);
        assert!(missed.missed());
        assert!(text(&[missed]).contains("NOT MET"));
        assert!(!Row::compared("a", sides(), 9.0).missed());
    }
}
