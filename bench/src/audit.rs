//! The audit log: records sealed together, one by one, and verified; `sealer measure` against a bare write and fdatasync.

use crate::table::{Bar, Row};
use crate::timing::{Samples, show};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Not /tmp, which is memory on many hosts.
const DISK: &str = "/var/tmp";
/// Rounds, and in each: records sealed together, one by one, verified.
const ROUNDS: usize = 5;
const TOGETHER: u64 = 100_000;
const SINGLE: u64 = 400;
const VERIFIED: u64 = 500_000;

/// All rows about the audit log.
pub(crate) fn measure(binaries: &Path) -> Result<Vec<Row>> {
    let (mut sealed, mut verified, mut single, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let place = tempfile::tempdir_in(DISK).with_context(|| format!("failed to make a directory in {DISK}"))?;
        let figures = seal(binaries, place.path())?;
        sealed.push(each(&figures["together"])?);
        verified.push(each(&figures["verify"])?);
        let latencies = figures["latencies"].as_array().context("sealer gave no latencies")?;
        single.extend(latencies.iter().filter_map(Value::as_f64));
        bytes = figures["together"]["bytes_each"].as_u64().context("sealer gave no size")?;
        bare.extend(write_bare(&place.path().join("bare"), bytes)?);
    }
    let (sealed, verified) = (Samples::new(sealed), Samples::new(verified));
    let (single, bare) = (Samples::new(single), Samples::new(bare));
    let amount = |what: &str, sides: (String, String), value: f64, (most, unit): (f64, &'static str)| Row {
        what: what.to_owned(),
        ours: sides.0,
        reference: sides.1,
        value: Some(value),
        bar: Some(Bar { most, unit }),
    };
    let slow = |samples: &Samples| samples.quantile(99, 100);
    let together = (rate(&sealed), String::new());
    Ok(vec![
        // 20,000 a second.
        amount("a record sealed, 512 on their way", together, sealed.median() * 1e6, (50.0, "µs")),
        amount(
            "one record sealed, bare write and fdatasync",
            (single.show(), bare.show()),
            single.median() * 1e3,
            (1.0, "ms"),
        ),
        amount("  99 of 100", (show(slow(&single)), show(slow(&bare))), slow(&single) * 1e3, (5.0, "ms")),
        // 500,000 a second.
        amount("a record verified, one thread", (rate(&verified), String::new()), verified.median() * 1e6, (2.0, "µs")),
        Row::figure("  bytes of a record with its share of headers and checkpoints", format!("{bytes}")),
    ])
}

fn rate(samples: &Samples) -> String {
    format!("{}, {:.0} a second", samples.show(), 1.0 / samples.median())
}

/// Seconds for one of the records.
fn each(figures: &Value) -> Result<f64> {
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("sealer gave no {name}"));
    Ok(figure("seconds")? / figure("records")?)
}

fn seal(binaries: &Path, place: &Path) -> Result<Value> {
    let mut command = Command::new(binaries.join("sealer"));
    command.arg("measure").arg(place.join("logs"));
    for (flag, number) in [("--records", TOGETHER), ("--single", SINGLE), ("--verified", VERIFIED)] {
        command.arg(flag).arg(number.to_string());
    }
    let output = command.output().context("failed to run sealer")?;
    ensure!(output.status.success(), "sealer failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("sealer gave no JSON")
}

/// What nobody can do faster: the bytes of a record appended and synced, nothing else.
fn write_bare(path: &Path, bytes: u64) -> Result<Vec<f64>> {
    let mut file = File::create(path).context("failed to make a file")?;
    let record = vec![b'x'; usize::try_from(bytes)?];
    let mut write = || -> std::io::Result<f64> {
        let begin = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        Ok(begin.elapsed().as_secs_f64())
    };
    (0..SINGLE).map(|_| write().context("failed to write")).collect()
}
