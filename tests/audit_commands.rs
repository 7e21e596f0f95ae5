//! Promise: whoever has the files and a public key that was kept elsewhere can read the audit log, finds every change of it,
//! and can prove single records to others, with `agentctl` and without a daemon.

#[path = "audit_commands/history.rs"]
mod history;

use history::{History, RECORDS, edit};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::{binary, repository_root, stderr, stdout, succeeded};

/// The verifier in Python.
fn python(history: &History, what: &str, files: &[&Path]) -> Output {
    let key = fs::read_to_string(history.key()).expect("our own file");
    let mut command = Command::new("python3");
    command.arg(repository_root().join("tests/audit/verify.py")).args([what, key.trim()]).args(files);
    let output = command.output().expect("python3 is installed");
    let said = stderr(&output);
    assert!(output.status.success() || said.starts_with("verify.py: "), "it judges and does not crash: {said}");
    output
}

/// What `verify --json` says of a log that was changed.
fn found(history: &History, more: &[&str]) -> Value {
    let output = history.verify(&[&["--json"], more].concat());
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verdict["whole"], false, "{verdict}");
    let people = history.verify(more);
    assert_eq!(people.status.code(), Some(1));
    assert!(stdout(&people).starts_with("NOT WHOLE: "), "{}", stdout(&people));
    verdict
}

/// Where, and what of it is said.
fn assert_found(verdict: &Value, (file, line, record): (&str, u64, u64), words: &str) {
    let finding = &verdict["finding"];
    assert_eq!((&finding["file"], &finding["line"]), (&file.into(), &line.into()), "{verdict}");
    assert_eq!(finding["record"], record, "{verdict}");
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains(words)), "{verdict}");
}

const FIRST: &str = "00000000000000000000.jsonl";

#[test]
fn a_log_that_nobody_touched_is_whole_and_the_key_is_named() {
    let history = History::new();
    let verdict = stdout(&succeeded(history.verify(&["--json"])));
    let verdict: Value = serde_json::from_str(&verdict).expect("JSON");
    assert_eq!((&verdict["whole"], &verdict["size"], &verdict["signed"]), (&true.into(), &40.into(), &40.into()));
    assert_eq!((&verdict["key_beside_the_log"], &verdict["unsigned"]), (&false.into(), &0.into()));
    let shown = stdout(&succeeded(history.verify(&[])));
    assert!(shown.starts_with("whole: ") && shown.contains("\nrecords         40: 0 to 39\n"), "{shown}");
    let id = fs::read_to_string(history.key()).expect("our own file").split('+').nth(1).map(str::to_owned);
    assert!(shown.contains(&format!("\nkey             {} (sealer.example/log)", id.expect("it has one"))), "{shown}");
    assert!(!shown.contains("could have replaced both"), "{shown}");
    // The key in the log's own directory, by default or by name: an attacker could have replaced both.
    let beside = history.path().join("signing.vkey");
    for words in [&["verify"][..], &["verify", "--key", beside.to_str().expect("our own path")]] {
        let shown = stdout(&succeeded(history.audit(words)));
        assert!(shown.contains("could have replaced both") && shown.contains("give it with --key"), "{shown}");
    }
    let text = fs::read_to_string(history.key()).expect("our own file");
    drop(succeeded(history.audit(&["verify", "--key", text.trim()])));
}

#[test]
fn an_edit_a_deletion_and_a_reordering_are_found_where_they_are() {
    type Change = fn(&mut Vec<String>);
    let changes: [(Change, u64, u64, &str); 4] = [
        (|lines| lines[3] = lines[3].replace("deny", "allo"), 5, 3, "one of the two was changed"),
        (|lines| drop(lines.remove(2)), 3, 1, "expected record 1 and found 2"),
        (|lines| lines.insert(2, lines[2].clone()), 4, 2, "expected record 2 and found 1"),
        (|lines| lines.swap(2, 3), 3, 1, "reordered"),
    ];
    for (change, line, record, words) in changes {
        let history = History::new();
        edit(&history.segments()[0], change);
        assert_found(&found(&history, &[]), (FIRST, line, record), words);
    }
}

#[test]
fn a_removed_and_a_replayed_file_are_found() {
    let history = History::new();
    let segments = history.segments();
    let name = |at: usize| segments[at].file_name().expect("a name").to_string_lossy().into_owned();
    let first: u64 = name(2).trim_end_matches(".jsonl").parse().expect("a number");
    fs::remove_file(&segments[1]).expect("our own file");
    let verdict = found(&history, &[]);
    assert_eq!(verdict["finding"]["file"], name(2), "{verdict}");
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains("a segment was removed")), "{verdict}");

    // An older segment under the name of a newer one.
    let history = History::new();
    let segments = history.segments();
    fs::copy(&segments[1], &segments[2]).expect("our own files");
    let verdict = found(&history, &[]);
    assert_eq!((&verdict["finding"]["file"], &verdict["finding"]["line"]), (&name(2).into(), &1.into()), "{verdict}");
    let said = format!("expected a segment that begins with record {first}");
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains(&said)), "{verdict}");

    // A whole log of another time, with another key.
    let (history, other) = (History::new(), History::new());
    for file in other.segments().iter().chain([&other.path().join("checkpoints")]) {
        fs::copy(file, history.path().join(file.file_name().expect("a name"))).expect("our own files");
    }
    let verdict = found(&history, &[]);
    assert_eq!(verdict["finding"]["file"], "checkpoints", "{verdict}");
}

#[test]
fn a_truncation_is_found_also_with_its_checkpoints_when_one_was_kept() {
    let history = History::new();
    let kept = history.beside("kept.checkpoint");
    fs::write(&kept, history.checkpoints().pop().expect("there are some")).expect("our own file");
    let kept = kept.to_str().expect("our own path");
    drop(succeeded(history.verify(&["--checkpoint", kept])));
    let last = history.segments().pop().expect("there are some");
    edit(&last, |lines| drop(lines.pop()));
    let verdict = found(&history, &[]);
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains("it was cut off")), "{verdict}");
    // Cut off together with its checkpoints, it looks as if it had never been longer.
    let size = history.checkpoints()[2].lines().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size");
    for segment in history.segments() {
        let first: u64 = segment.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
        if first >= size {
            fs::remove_file(&segment).expect("our own file");
        } else {
            edit(&segment, |lines| lines.truncate(usize::try_from(1 + size - first).expect("small")));
        }
    }
    edit(&history.path().join("checkpoints"), |lines| lines.truncate(3 * 6));
    let shown = stdout(&succeeded(history.verify(&[])));
    assert!(shown.contains("a log that was cut off together with its checkpoints looks like this one"), "{shown}");
    let verdict = found(&history, &["--checkpoint", kept]);
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains("there were 40")), "{verdict}");
}

#[test]
fn what_nobody_has_signed_proves_nothing() {
    let history = History::new();
    fs::remove_file(history.path().join("checkpoints")).expect("our own file");
    let verdict = found(&history, &[]);
    assert!(verdict["problem"].as_str().is_some_and(|problem| problem.contains("no checkpoint covers")), "{verdict}");
    let elsewhere =
        history.audit_in(&history.beside("absent"), &["verify", "--key", history.key().to_str().expect("ours")]);
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(stderr(&elsewhere).contains("No such file"), "{}", stderr(&elsewhere));
}

#[test]
fn what_prove_prints_convinces_an_independent_verifier_and_nothing_else_does() {
    let history = History::new();
    let key = history.key();
    let check = |file: &Path, more: &[&str]| {
        let mut agentctl = Command::new(binary("agentctl"));
        agentctl.args(["audit", "check-proof"]).arg(file).arg("--key").arg(&key).args(more);
        agentctl.output().expect("agentctl can be started")
    };
    for (seq, more) in [(0, &[][..]), (17, &[]), (17, &["--size", "40"]), (39, &["--json"])] {
        let file = history.beside("proof");
        let number = seq.to_string();
        let words = [&["prove", &number, "--out", file.to_str().expect("our own path")], more].concat();
        drop(succeeded(history.audit(&words)));
        let shown = stdout(&succeeded(check(&file, &[])));
        assert!(
            shown.contains(&format!("record {seq} of the")) && shown.contains(&format!("file_read /data/{seq}\n")),
            "{shown}"
        );
        let text = fs::read_to_string(&file).expect("our own file");
        fs::write(&file, text.replacen("/data/", "/Data/", 1)).expect("our own file");
        let refused = check(&file, &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
        assert!(stderr(&refused).contains("cannot accept the proof"), "{}", stderr(&refused));
        if !more.contains(&"--json") {
            assert!(!python(&history, "printed", &[&file]).status.success());
            fs::write(&file, text).expect("our own file");
            assert_eq!(stdout(&succeeded(python(&history, "printed", &[&file]))), "proved\n");
        }
    }
    // Another log's key accepts nothing of this one.
    let proof = history.beside("proof");
    fs::write(&proof, history.lines(&["prove", "3"]).join("\n") + "\n").expect("our own file");
    fs::copy(History::new().key(), &key).expect("our own files");
    assert!(stderr(&check(&proof, &[])).contains("signature"), "{}", stderr(&check(&proof, &[])));
}

#[test]
fn a_log_is_proved_to_have_only_grown() {
    let history = History::new();
    let (proof, older) = (history.beside("proof"), history.beside("older"));
    let note = history.checkpoints()[1].clone();
    let size = note.lines().nth(1).expect("a size").to_owned();
    fs::write(&older, &note).expect("our own file");
    fs::write(&proof, history.lines(&["prove", "--consistency", &format!("{size}..40")]).join("\n") + "\n")
        .expect("our own");
    assert_eq!(stdout(&succeeded(python(&history, "consistency", &[&older, &proof]))), "proved\n");
    let check = |note: &str| {
        fs::write(&older, note).expect("our own file");
        let mut agentctl = Command::new(binary("agentctl"));
        agentctl
            .args(["audit", "check-proof"])
            .arg(&proof)
            .arg("--key")
            .arg(history.key())
            .arg("--checkpoint")
            .arg(&older);
        agentctl.output().expect("agentctl can be started")
    };
    assert!(stdout(&succeeded(check(&note))).starts_with("proved: the 40 records of sealer.example/log begin"));
    let other = check(&history.checkpoints()[2]);
    assert!(stderr(&other).contains(&format!("has no checkpoint of {size} records")), "{}", stderr(&other));
    let text = fs::read_to_string(&proof).expect("our own file");
    let hash = text.lines().nth(1).expect("a hash").to_owned();
    fs::write(&proof, text.replacen(&hash, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 1)).expect("our own file");
    assert_eq!(check(&note).status.code(), Some(1));
}

#[test]
fn an_export_is_byte_for_byte_what_is_in_the_log() {
    let history = History::new();
    let text =
        history.segments().iter().map(|path| fs::read_to_string(path).expect("our own file")).collect::<String>();
    let records: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"seq\":")).collect();
    assert_eq!(history.lines(&["export"]), records);
    assert_eq!(history.lines(&["export", "--from", "7", "--to", "9"]), records[7..=9]);
    let of_scout = history.lines(&["export", "--agent", "scout"]);
    assert_eq!(of_scout.len(), records.iter().filter(|line| line.contains("\"scout\"")).count());
    let file = history.beside("out.csv");
    let words = ["export", "--format", "csv", "--out", file.to_str().expect("our own path")];
    assert_eq!(stdout(&succeeded(history.audit(&words))), "");
    let csv = fs::read_to_string(&file).expect("it was written");
    assert_eq!(csv.lines().count(), records.len() + 1);
    assert!(csv.starts_with("seq,time,kind,agent,") && csv.contains(",decision,scout,1,700001,0,"), "{csv}");
}

#[test]
fn a_bundle_is_verified_by_itself_and_says_what_it_is() {
    let history = History::new();
    let bundle = history.beside("bundle");
    let path = bundle.to_str().expect("our own path").to_owned();
    drop(succeeded(history.audit(&["export", "--from", "17", "--to", "22", "--bundle", &path])));
    let key = history.key();
    let verify = ["verify", "--key", key.to_str().expect("our own path")];
    let part = [&verify[..], &["--part"]].concat();
    let shown = stdout(&succeeded(history.audit_in(&bundle, &part)));
    assert!(
        shown.starts_with("whole, as a part of a log: ") && shown.contains("nothing is said of records before"),
        "{shown}"
    );
    assert!(fs::read_to_string(bundle.join("README")).is_ok_and(|text| text.contains("agentctl audit verify --part")));
    assert!(!bundle.join("signing.key").exists(), "the secret stays where it is");
    drop(succeeded(python(&history, "log", &[&bundle])));
    drop(succeeded(history.audit_in(&bundle, &["prove", "20"])));
    // Whoever removes older segments cannot pass the rest off as whole.
    let refused = history.audit_in(&bundle, &verify);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains("is verified with --part"), "{}", stdout(&refused));
    let segment = fs::read_dir(&bundle).expect("a directory").map(|entry| entry.expect("an entry").path());
    let segment =
        segment.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).min().expect("there is one");
    edit(&segment, |lines| lines[1] = lines[1].replace("/data/", "/Data/"));
    assert_eq!(history.audit_in(&bundle, &part).status.code(), Some(1));
    let again = history.audit(&["export", "--bundle", &path]);
    assert!(stderr(&again).contains("File exists"), "what is there is left alone: {}", stderr(&again));
}

#[test]
fn records_are_found_by_agent_kind_decision_number_and_time() {
    let history = History::new();
    let seqs = |words: &[&str]| {
        let lines = history.lines(&[&["log", "--json"], words].concat());
        let seq = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a number");
        lines.iter().map(seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&[]), (0..RECORDS).collect::<Vec<_>>());
    assert_eq!(seqs(&["--last", "3"]), [37, 38, 39]);
    assert_eq!(seqs(&["--from", "38"]), [38, 39]);
    let every = |step| (0..RECORDS).filter(|seq| seq.is_multiple_of(step)).collect::<Vec<_>>();
    assert_eq!(seqs(&["--agent", "scout"]), every(3));
    assert_eq!(seqs(&["--kind", "decision"]), every(2));
    assert_eq!(seqs(&["--decision", "deny", "--agent", "scout"]), every(6));
    assert_eq!(seqs(&["--decision", "deny", "--last", "2"]), [36, 38], "the newest of those that are wanted");
    assert_eq!(seqs(&["--since", "1h"]).len(), 40);
    assert_eq!(seqs(&["--since", "2999-01-01"]), [0; 0]);
    let table = history.lines(&["log", "--last", "2"]);
    assert_eq!(table.len(), 3, "{table:?}");
    assert!(
        table[0].contains("SEQ") && table[1].contains("  decision   deny ") && table[1].ends_with("nothing_granted")
    );
    let shown = history.lines(&["show", "6"]).join("\n");
    assert!(
        shown.contains("agent           scout, run 1") && shown.contains("request         path=/data/6"),
        "{shown}"
    );
    let absent = history.audit(&["show", "40"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("show record 40"), "{}", stderr(&absent));
    assert_eq!(history.audit(&["log", "--kind", "quantum"]).status.code(), Some(2));
}

#[test]
fn a_log_is_followed_as_it_grows() {
    let history = History::new();
    let mut agentctl = Command::new(binary("agentctl"));
    agentctl.args(["audit", "follow", "--json", "--last", "1", "--dir"]).arg(history.path());
    let mut child = agentctl.stdout(Stdio::piped()).spawn().expect("agentctl can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("it goes on").expect("it is text");
    assert!(next().starts_with("{\"seq\":39,"));
    let body = "{\"kind\":\"daemon\",\"attempted\":\"x\u{202e}y\"}";
    history.append(std::iter::once(body.to_owned()));
    let line = next();
    assert!(line.starts_with("{\"seq\":40,") && line.contains("x\\u202ey"), "{line}");
    child.kill().and_then(|()| child.wait()).expect("our own child");
}
