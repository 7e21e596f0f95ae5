//! Actions as an agent asks for them: a program inside, its own socket, JSON.

use crate::{Agent, stderr, stdout};
use serde_json::Value;

const CLIENT: &str = include_str!("../actions/ask.py");

/// Asks for actions one after the other on one connection; each reply.
///
/// # Panics
/// If the client inside cannot ask.
#[must_use]
pub fn ask_all(agent: &Agent<'_>, requests: &[Value]) -> Vec<Value> {
    let texts: Vec<String> = requests.iter().map(ToString::to_string).collect();
    let words: Vec<&str> =
        ["/usr/bin/python3", "-c", CLIENT].into_iter().chain(texts.iter().map(String::as_str)).collect();
    let output = agent.exec(&words);
    let replies = stdout(&output);
    let replies: Vec<Value> = replies.lines().map(|line| serde_json::from_str(line).expect("a reply")).collect();
    assert!(output.status.success(), "{replies:?} {}", stderr(&output));
    replies
}

/// The reply to one.
///
/// # Panics
/// As [`ask_all`].
#[must_use]
pub fn ask(agent: &Agent<'_>, request: &Value) -> Value {
    ask_all(agent, std::slice::from_ref(request)).pop().expect("a reply")
}

/// What it was refused for; that it was is asserted.
///
/// # Panics
/// If it was done.
#[must_use]
pub fn refused(agent: &Agent<'_>, request: &Value) -> String {
    let reply = ask(agent, request);
    assert_eq!(reply["success"], false, "{request} was done: {reply}");
    reply["error"]["reason"].as_str().expect("a reason").to_owned()
}

/// What it gave; that it was done is asserted.
///
/// # Panics
/// If it was refused.
#[must_use]
pub fn done(agent: &Agent<'_>, request: &Value) -> Value {
    let reply = ask(agent, request);
    assert_eq!(reply["success"], true, "{request} was refused: {reply}");
    reply["data"].clone()
}
