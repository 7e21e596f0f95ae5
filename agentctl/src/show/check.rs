//! `doctor`: a row a layer.

use super::Look;
use super::table::{self, Tone, cell, plain};
use protocol::doctor::{Check, Status};
use protocol::text::escape;

const HEADER: [&str; 5] = ["LAYER", "REQUIRED BY", "FOUND", "STATUS", "CONSEQUENCE"];

/// The table of what a host offers.
pub(crate) fn checks(checks: &[Check], look: Look) -> String {
    let rows = checks.iter().map(|check| {
        let (word, tone) = match check.status {
            Status::Ok => ("ok", Tone::Good),
            Status::Degraded => ("degraded", Tone::Warning),
            Status::Missing => ("MISSING", Tone::Bad),
        };
        vec![
            plain(escape(&check.layer)),
            plain(escape(&check.required_by)),
            plain(escape(&check.found)),
            cell(word, tone),
            plain(escape(&check.consequence)),
        ]
    });
    table::render(&HEADER, rows.collect(), look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_layer_stands_out_without_colour() {
        let list = [Check {
            layer: "landlock".into(),
            required_by: "every agent".into(),
            found: "nothing".into(),
            status: Status::Missing,
            consequence: "agentosd does not start".into(),
        }];
        let expected = "\
LAYER     REQUIRED BY  FOUND    STATUS   CONSEQUENCE
landlock  every agent  nothing  MISSING  agentosd does not start
";
        assert_eq!(checks(&list, Look { colour: false, width: None }), expected);
    }
}
