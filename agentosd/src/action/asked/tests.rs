use super::*;
use serde_json::json;

fn asked(action: &str, params: Value) -> Result<Asked, Refusal> {
    let mediation = Mediation::default();
    let asker = Asker { name: "a", workspace: Some(Path::new("/work/a")), mediation: &mediation };
    let Value::Object(params) = params else { panic!() };
    let execute = Execute { action: action.into(), params, context: Default::default() };
    Asked::read(&execute, asker)
}

fn path(action: &str, params: Value) -> String {
    let asked = asked(action, params).unwrap();
    String::from_utf8(asked.request.paths[0].as_bytes().to_vec()).unwrap()
}

fn reason(action: &str, params: Value) -> RefusalReason {
    asked(action, params).unwrap_err().reason
}

#[test]
fn a_path_is_absolute_or_of_the_workspace_and_leads_nowhere_else() {
    assert_eq!(path("file_read", json!({"path": "/data/x"})), "/data/x");
    assert_eq!(path("file_read", json!({"path": "notes/./x/"})), "/work/a/notes/x");
    assert_eq!(path("memory_read", json!({"key": "plan"})), "/mem/semantic/plan");
    assert_eq!(path("memory_write", json!({"path": "/state/x", "content": ""})), "/state/x");
    for bad in ["../x", "/data/../etc/shadow", "a/../../b"] {
        assert_eq!(reason("file_read", json!({"path": bad})), RefusalReason::PathEscapes, "{bad}");
    }
    assert_eq!(reason("file_read", json!({"path": "/mem/semantic/x"})), RefusalReason::BadParameter);
    assert_eq!(reason("memory_read", json!({"path": "/etc/passwd"})), RefusalReason::BadParameter);
    assert_eq!(reason("memory_read", json!({"key": "../../etc/passwd"})), RefusalReason::PathEscapes);
    assert_eq!(reason("file_read", json!({"path": "/a\0b"})), RefusalReason::BadParameter);
    assert_eq!(reason("file_read", json!({})), RefusalReason::IncompleteRequest);
}

#[test]
fn what_is_not_known_is_refused_and_what_is_claimed_means_nothing() {
    assert_eq!(reason("file_raed", json!({})), RefusalReason::UnknownAction);
    assert_eq!(reason("file_read", json!({"path": "/x", "recursive": true})), RefusalReason::BadParameter);
    let plain = asked("file_read", json!({"path": "/x"})).unwrap();
    let claimed = asked("file_read", json!({"path": "/x", "approved": true, "agent_id": "root"})).unwrap();
    assert_eq!(plain, claimed);
    let execute: Execute = serde_json::from_value(json!({
        "action": "file_read", "params": {"path": "/x", "approved": true},
        "context": {"agent_id": "other", "policies": [], "approved_by": "root"}
    }))
    .unwrap();
    let said = without_effect(&execute, true);
    assert_eq!(said, ["params.approved", "context.approved_by", "context.agent_id=other"]);
}

#[test]
fn content_is_text_or_base64_and_not_both() {
    let content = |params| match asked("file_write", params).unwrap().work {
        Work::File(_, FileAct::Write { content, .. }) => content,
        other => panic!("{other:?}"),
    };
    assert_eq!(content(json!({"path": "/x", "content": "hä"})), "hä".as_bytes());
    assert_eq!(content(json!({"path": "/x", "content_base64": "/w=="})), [0xff]);
    assert_eq!(
        reason("file_write", json!({"path": "/x", "content": "", "content_base64": ""})),
        RefusalReason::IncompleteRequest
    );
    assert_eq!(reason("file_write", json!({"path": "/x", "content": 5})), RefusalReason::BadParameter);
}

#[test]
fn a_program_comes_with_its_arguments_and_is_no_line_for_a_shell() {
    let request = asked("process_exec", json!({"argv": ["/usr/bin/git", "log"]})).unwrap().request;
    assert_eq!(request.program.unwrap().as_bytes(), b"/usr/bin/git");
    assert_eq!(request.argv, ["log"]);
    assert!(asked("process_exec", json!({"argv": ["git"]})).unwrap().request.program.is_none(), "looked up later");
    assert_eq!(reason("process_exec", json!({"argv": "git log; rm -rf /"})), RefusalReason::BadParameter);
    assert_eq!(reason("process_exec", json!({"argv": []})), RefusalReason::IncompleteRequest);
    assert_eq!(reason("process_exec", json!({"argv": ["a\0b"]})), RefusalReason::BadParameter);
}

#[test]
fn a_url_is_taken_apart_before_anything_is_decided() {
    let host = |url: &str| {
        let request = asked("http_request", json!({"url": url})).map(|asked| asked.request);
        request.map(|request| (request.host.unwrap().as_str().to_owned(), request.port.unwrap()))
    };
    assert_eq!(host("https://API.example.com/x?y"), Ok(("api.example.com".into(), 443)));
    assert_eq!(host("http://[::1]:8080/"), Ok(("::1".into(), 8080)));
    for bad in ["example.com", "ftp://a", "https://user@host/", "https://a:b/", "https:///x", "file:///etc/passwd"] {
        assert_eq!(host(bad).unwrap_err().reason, RefusalReason::BadParameter, "{bad}");
    }
}

fn agent(owner: u32) -> AgentRef {
    AgentRef { name: protocol::ids::AgentName::parse("a").unwrap(), id: None, uid: None, owner }
}

#[test]
fn a_digest_is_of_the_exact_action() {
    let digest =
        |action: &str, params: Value, about: Value| asked(action, params).unwrap().digest((&agent(1000), "p"), &about);
    let one = digest("file_write", json!({"path": "/x", "content": "1"}), json!({}));
    assert_eq!(one.len(), 64);
    let another = asked("file_write", json!({"path": "/x", "content": "1"})).unwrap();
    assert_ne!(one, another.digest((&agent(1001), "p"), &json!({})), "an agent of that name of somebody else's");
    assert_eq!(one, digest("file_write", json!({"content": "1", "path": "/x", "approved": true}), json!({})));
    for other in [
        digest("file_write", json!({"path": "/x", "content": "2"}), json!({})),
        digest("file_write", json!({"path": "/y", "content": "1"}), json!({})),
        digest("file_write", json!({"path": "/x", "content": "1", "mode": "append"}), json!({})),
        digest("file_write", json!({"path": "/x", "content": "1"}), json!({"state": "changed"})),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn words_are_bounded_and_cut_between_characters() {
    assert_eq!(cut("äöü", 2), "äö…");
    let long = asked("process_exec", json!({"argv": ["x", "ä".repeat(5000)]})).unwrap().attempted;
    assert!(long.chars().count() <= WORDS + 1);
}
