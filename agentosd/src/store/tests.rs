//! What a crash leaves is a whole record or none.

use super::*;
use protocol::agent::State;
use protocol::ids::{AgentName, TimeUs};

fn record(id: AgentId) -> Record {
    let agent = Agent {
        name: AgentName::parse("a").unwrap(),
        id,
        state: State::Running,
        pid: Some(5),
        uid: 1_900_000_001,
        owner: 0,
        policy: "base".into(),
        policy_digest: "00".into(),
        command: vec!["true".into()],
        workspace: None,
        created_us: TimeUs(1),
        ended_us: None,
        exit: None,
        denials: None,
        not_enforced: Vec::new(),
        review: None,
    };
    Record::new(agent, false)
}

#[test]
fn an_id_is_never_given_twice() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let given: Vec<u64> = (0..100).map(|_| store.next_id().unwrap().0).collect();
    assert_eq!(given, (1..=100).collect::<Vec<_>>());
    let after_a_crash = Store::open(root.path()).unwrap();
    let next = after_a_crash.next_id().unwrap().0;
    assert!(next > 100);
    after_a_crash.close().unwrap();
    assert_eq!(Store::open(root.path()).unwrap().next_id().unwrap().0, next + 1, "no gap after a clean end");
    fs::remove_file(root.path().join("next-id")).unwrap();
    fs::create_dir(root.path().join("agents/900")).unwrap();
    assert_eq!(Store::open(root.path()).unwrap().next_id().unwrap().0, 901, "a lost counter");
}

#[test]
fn records_read_back_and_strange_ones_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    store.create(&record(AgentId(1))).unwrap();
    store.create(&record(AgentId(2))).unwrap();
    let newer = fs::read_to_string(root.path().join("agents/2/record.jsonl")).unwrap();
    fs::write(root.path().join("agents/2/record.jsonl"), newer.replace("\"version\":1", "\"version\":2")).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded[0].as_ref().unwrap().agent.id, AgentId(1));
    assert!(loaded[1].is_err() && root.path().join("agents/2/record.jsonl").exists());
    store.remove(AgentId(1)).unwrap();
    store.remove(AgentId(1)).unwrap();
    assert_eq!(store.load().unwrap().len(), 1);
}

#[test]
fn the_last_whole_record_counts_wherever_a_crash_cut_a_write_off() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut changed = record(AgentId(1));
    store.create(&changed).unwrap();
    let begun = fs::read(store.record(AgentId(1))).unwrap();
    changed.agent.state = State::Exited;
    store.save(&changed).unwrap();
    let whole = fs::read(store.record(AgentId(1))).unwrap();
    for cut in begun.len()..=whole.len() {
        fs::write(store.record(AgentId(1)), &whole[..cut]).unwrap();
        let expected = if cut == whole.len() { State::Exited } else { State::Running };
        assert_eq!(store.load().unwrap()[0].as_ref().unwrap().agent.state, expected, "cut at {cut}");
        store.save(&changed).unwrap();
        assert_eq!(store.load().unwrap()[0].as_ref().unwrap().agent.state, State::Exited, "written after {cut}");
    }
    fs::write(store.record(AgentId(1)), &begun[..begun.len() - 1]).unwrap();
    for _ in 0..2 {
        assert!(store.load().unwrap().is_empty(), "nothing whole");
    }
    let aside = root.path().join("agents/1/record.jsonl.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), begun[..begun.len() - 1], "it is set aside once");
}

#[test]
fn a_removal_that_was_cut_off_is_finished_and_shows_no_half_an_agent() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    store.create(&record(AgentId(1))).unwrap();
    fs::rename(root.path().join("agents/1"), root.path().join("agents/1.going")).unwrap();
    assert!(store.load().unwrap().is_empty());
    Store::open(root.path()).unwrap();
    assert_eq!(root.path().join("agents").read_dir().unwrap().count(), 0);
}

#[test]
fn a_directory_that_was_made_beforehand_is_no_agents_until_it_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let count = || root.path().join("agents").read_dir().unwrap().count();
    (0..3).for_each(|_| store.stock());
    assert_eq!((count(), store.load().unwrap().len()), (3, 0));
    let mut output = store.create(&record(AgentId(1))).unwrap();
    output.write_all(b"x").unwrap();
    assert_eq!((count(), store.load().unwrap().len()), (3, 1));
    assert_eq!(fs::read(store.output(AgentId(1))).unwrap(), b"x");
    assert!(store.create(&record(AgentId(1))).is_err(), "the directory is another's");
    drop(store);
    let store = Store::open(root.path()).unwrap();
    assert_eq!(count(), 1, "what a crash left");
    store.stock();
    store.close().unwrap();
    assert_eq!(count(), 1, "nor does an end leave any");
}

#[test]
fn an_agents_size_grows_with_its_output() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut output = store.create(&record(AgentId(1))).unwrap();
    let before = store.size(AgentId(1)).unwrap();
    output.write_all(&vec![b'x'; 1 << 20]).unwrap();
    output.sync_all().unwrap();
    let grown = store.size(AgentId(1)).unwrap() - before;
    assert!((1 << 20..2 << 20).contains(&grown), "{grown}");
}
