use super::*;
use protocol::ids::{AgentId, AgentName};

fn spans(wait: Duration, valid: Duration) -> Spans {
    Spans { wait, valid }
}

fn wanted(agent: &str, digest: &str) -> Approval {
    Approval {
        id: ApprovalId::new(0),
        agent: AgentName::parse(agent).unwrap(),
        run: AgentId(1),
        owner: 1000,
        state: ApprovalState::Pending,
        action: "file_write".into(),
        summary: "file_write /x".into(),
        details: String::new(),
        rule: "r".into(),
        digest: digest.into(),
        subject_state: None,
        created_us: TimeUs(0),
        expires_us: TimeUs(0),
        by: None,
        note: None,
    }
}

fn caller(uid: u32) -> Caller {
    Caller { uid, gid: uid, groups: Vec::new(), pid: 7 }
}

fn decision(id: &ApprovalId, digest: &str, approve: bool) -> DecideApproval {
    DecideApproval { id: id.clone(), digest: digest.into(), approve, note: None }
}

fn open(directory: &Path) -> Approvals {
    Approvals::open(directory, spans(Duration::from_secs(60), Duration::from_secs(60)), Vec::new()).unwrap()
}

fn reason(result: Result<Standing, Refusal>) -> RefusalReason {
    result.unwrap_err().reason
}

#[test]
fn an_approval_is_for_one_action_of_one_agent_and_for_one_time() {
    let place = tempfile::tempdir().unwrap();
    let approvals = open(place.path());
    let id = approvals.want(wanted("a", "d1")).unwrap();
    assert_eq!(approvals.want(wanted("a", "d1")).unwrap(), id, "asked once");
    assert!(matches!(approvals.take(&id, "a", "d1"), Ok(Standing::Pending)));
    approvals.decide(&decision(&id, "d1", true), &caller(1000)).unwrap();
    assert_eq!(reason(approvals.take(&id, "a", "d2")), RefusalReason::ApprovalActionMismatch);
    assert_eq!(reason(approvals.take(&id, "b", "d1")), RefusalReason::ApprovalInvalid);
    assert!(matches!(approvals.take(&id, "a", "d1"), Ok(Standing::Approved(_))));
    assert_eq!(reason(approvals.take(&id, "a", "d1")), RefusalReason::ApprovalInvalid);
}

#[test]
fn only_who_started_the_agent_or_root_decides_and_only_what_was_shown() {
    let place = tempfile::tempdir().unwrap();
    let approvals = open(place.path());
    let id = approvals.want(wanted("a", "d1")).unwrap();
    let refused = approvals.decide(&decision(&id, "d1", true), &caller(1001)).unwrap_err();
    assert!(matches!(refused, ControlError::NoSuchApproval { .. }), "to others it is not there");
    assert!(approvals.list(true, &caller(1001)).0.is_empty());
    let other = approvals.decide(&decision(&id, "d2", true), &caller(0)).unwrap_err();
    assert!(matches!(other, ControlError::WrongApproval { .. }));
    approvals.decide(&decision(&id, "d1", false), &caller(0)).unwrap();
    assert_eq!(reason(approvals.take(&id, "a", "d1")), RefusalReason::ApprovalDenied);
    assert!(approvals.decide(&decision(&id, "d1", true), &caller(0)).is_err(), "it is decided");
}

#[test]
fn what_was_decided_lasts_over_a_restart_and_what_was_used_is_used() {
    let place = tempfile::tempdir().unwrap();
    let before = open(place.path());
    let ids: Vec<ApprovalId> =
        ["d1", "d2", "d3"].iter().map(|digest| before.want(wanted("a", digest)).unwrap()).collect();
    before.decide(&decision(&ids[0], "d1", true), &caller(0)).unwrap();
    before.decide(&decision(&ids[1], "d2", true), &caller(0)).unwrap();
    assert!(matches!(before.take(&ids[1], "a", "d2"), Ok(Standing::Approved(_))));
    drop(before);
    std::fs::write(place.path().join("9.json"), "{\"version\":1").unwrap();
    drop(open(place.path()));
    assert!(place.path().join("9.json.damaged-1").exists(), "it is evidence");
    let after = open(place.path());
    assert!(matches!(after.take(&ids[0], "a", "d1"), Ok(Standing::Approved(_))));
    assert_eq!(reason(after.take(&ids[1], "a", "d2")), RefusalReason::ApprovalInvalid);
    assert!(matches!(after.take(&ids[2], "a", "d3"), Ok(Standing::Pending)));
    assert_eq!(after.want(wanted("a", "d4")).unwrap().number(), 10, "no name twice");
}

#[test]
fn nothing_waits_or_holds_for_ever() {
    let place = tempfile::tempdir().unwrap();
    let none = spans(Duration::ZERO, Duration::ZERO);
    let approvals = Approvals::open(place.path(), none, Vec::new()).unwrap();
    let id = approvals.want(wanted("a", "d1")).unwrap();
    assert!(approvals.decide(&decision(&id, "d1", true), &caller(0)).is_err());
    assert_eq!(reason(approvals.take(&id, "a", "d1")), RefusalReason::ApprovalTimeout);
    let short = spans(Duration::from_secs(60), Duration::ZERO);
    let approvals = Approvals::open(&place.path().join("b"), short, Vec::new()).unwrap();
    let id = approvals.want(wanted("a", "d1")).unwrap();
    approvals.decide(&decision(&id, "d1", true), &caller(0)).unwrap();
    assert_eq!(reason(approvals.take(&id, "a", "d1")), RefusalReason::ApprovalTimeout, "it was not used in time");
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_hold_longer() {
    let place = tempfile::tempdir().unwrap();
    let hours = spans(Duration::from_secs(7200), Duration::from_secs(7200));
    let before = Approvals::open(place.path(), hours, Vec::new()).unwrap();
    let ids = ["d1", "d2"].map(|digest| before.want(wanted("a", digest)).unwrap());
    before.decide(&decision(&ids[1], "d2", true), &caller(0)).unwrap();
    // To the next daemon they have two hours left: the clock is an hour and more behind.
    let short = spans(Duration::ZERO, Duration::ZERO);
    let after = Approvals::open(place.path(), short, Vec::new()).unwrap();
    for (id, digest) in ids.iter().zip(["d1", "d2"]) {
        assert_eq!(reason(after.take(id, "a", digest)), RefusalReason::ApprovalTimeout);
    }
}

#[test]
fn a_flood_is_refused_and_counted_and_is_the_floods_own() {
    let place = tempfile::tempdir().unwrap();
    let approvals = open(place.path());
    for number in 0..MOST_PENDING {
        approvals.want(wanted("a", &format!("d{number}"))).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(approvals.want(wanted("a", "more")).unwrap_err().reason, RefusalReason::ApprovalFlood);
    }
    assert!(approvals.want(wanted("b", "more")).is_ok(), "another agent is not affected");
    assert_eq!(approvals.list(false, &caller(0)).1, 3);
}

#[tokio::test]
async fn whoever_waits_is_told() {
    let place = tempfile::tempdir().unwrap();
    let approvals = std::sync::Arc::new(open(place.path()));
    let id = approvals.want(wanted("a", "d1")).unwrap();
    let waiting = tokio::spawn({
        let (approvals, id) = (std::sync::Arc::clone(&approvals), id.clone());
        async move { approvals.decided(&id).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    approvals.decide(&decision(&id, "d1", true), &caller(0)).unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
}
