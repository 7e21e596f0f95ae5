//! `doctor`: a row a layer, and below what it means that one is not whole.

use super::Look;
use super::table::{self, Tone, cell, plain};
use protocol::doctor::{Check, Status};
use protocol::text::escape;

const HEADER: [&str; 3] = ["LAYER", "STATUS", "FOUND"];

/// The table of what a host offers, and a sentence for each layer that is not as it should be.
pub(crate) fn checks(checks: &[Check], look: Look) -> String {
    let rows = checks.iter().map(|check| {
        let (word, tone) = status(check.status);
        vec![plain(escape(&check.layer)), cell(word, tone), plain(escape(&check.found))]
    });
    let mut text = table::render(&HEADER, rows.collect(), look);
    for (index, check) in checks.iter().filter(|check| check.status != Status::Ok).enumerate() {
        let Check { layer, required_by, consequence, .. } = check;
        let (gap, word) = (if index == 0 { "\n" } else { "" }, status(check.status).0);
        let (layer, required_by) = (escape(layer), escape(required_by));
        text.push_str(&format!("{gap}{layer}: {word}, for {required_by}: {}\n", escape(consequence)));
    }
    text
}

fn status(status: Status) -> (&'static str, Tone) {
    match status {
        Status::Ok => ("ok", Tone::Good),
        Status::Degraded => ("degraded", Tone::Warning),
        Status::Missing => ("MISSING", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(layer: &str, status: Status, consequence: &str) -> Check {
        Check {
            layer: layer.into(),
            required_by: "every agent".into(),
            found: "nothing of it in this kernel".into(),
            status,
            consequence: consequence.into(),
        }
    }

    #[test]
    fn a_missing_layer_stands_out_without_colour() {
        let list = [check("pidfd", Status::Ok, ""), check("landlock", Status::Missing, "agentosd does not start")];
        let expected = "\
LAYER     STATUS   FOUND
pidfd     ok       nothing of it in this kernel
landlock  MISSING  nothing of it in this kernel

landlock: MISSING, for every agent: agentosd does not start
";
        assert_eq!(checks(&list, Look { colour: false, width: None }), expected);
        let narrow = checks(&list[..1], Look { colour: false, width: Some(40) });
        assert!(narrow.lines().all(|line| line.len() <= 40) && narrow.lines().count() == 3, "{narrow}");
    }
}
