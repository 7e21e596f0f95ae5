//! The whole program, asked as the three CLIs ask: a call first, then, given its result, the last word.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

const SCRIPT: &str = r#"{"variables": ["WHO"], "steps": [{"label": "greet", "run": "echo ${WHO}"}, {"say": "bye"}]}"#;

/// A running scripted model; dropped, it ends.
struct Model {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl Model {
    fn start(name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("the files of an earlier run go");
        }
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("script.json"), SCRIPT).expect("a script");
        let mut child = Command::new(env!("CARGO_BIN_EXE_scripted-model"))
            .current_dir(&directory)
            .args(["--script", "script.json", "--log", "log.jsonl"])
            .env("WHO", "world")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the model starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        let address = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
        Self { child, address, directory }
    }

    fn ask(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{reply}");
        body.to_owned()
    }

    fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join("log.jsonl")).expect("a journal");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The journal has the call and its result, once each, however often the conversation was repeated.
    fn assert_played_once(&self) {
        let journal = self.journal();
        let of = |event: &str| journal.iter().filter(|line| line["event"] == event).cloned().collect::<Vec<_>>();
        assert_eq!(of("call").len(), 1);
        let results = of("result");
        assert_eq!(results.len(), 1);
        assert_eq!((&results[0]["output"], &results[0]["exit"]), (&json!("world"), &json!(3)));
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ends");
    }
}

const OUTPUT: &str = "world\n\n[exit status 3]\n";

#[test]
fn chat_completions_as_opencode_asks() {
    let model = Model::start("chat");
    let tools = json!([{"type": "function", "function": {"name": "bash", "parameters": {
        "properties": {"command": {"type": "string"}, "description": {"type": "string"}}}}}]);
    let path = "/v1/chat/completions";
    let side = model.ask(path, &json!({"messages": [], "stream": false}));
    assert!(!side.contains("tool_calls"), "title generation has no tools: {side}");
    let first = model.ask(path, &json!({"messages": [], "tools": tools, "stream": true}));
    assert!(first.contains("echo world") && first.contains(r#""finish_reason":"tool_calls""#), "{first}");
    assert!(first.ends_with("data: [DONE]\n\n"));
    let messages = json!([{"role": "tool", "tool_call_id": "call_step_0", "content": OUTPUT}]);
    for _ in 0..2 {
        let last = model.ask(path, &json!({"messages": messages, "tools": tools}));
        let last: Value = serde_json::from_str(&last).expect("JSON");
        assert_eq!(last["choices"][0]["message"]["content"], "bye");
    }
    model.assert_played_once();
}

#[test]
fn responses_as_codex_asks() {
    let model = Model::start("responses");
    let tools = json!([{"type": "namespace", "name": "agents"}, {"type": "function", "name": "exec_command",
        "parameters": {"properties": {"cmd": {"type": "string"}}}}]);
    let path = "/v1/responses";
    let first = model.ask(path, &json!({"input": [], "tools": tools, "stream": true}));
    assert!(first.contains("event: response.completed") && first.contains(r#""name":"exec_command""#), "{first}");
    let output = format!("Process exited with code 3\nOutput:\n{OUTPUT}");
    let input = json!([{"type": "function_call_output", "call_id": "call_step_0", "output": output}]);
    let last = model.ask(path, &json!({"input": input, "tools": tools, "stream": true}));
    assert!(last.contains(r#""delta":"bye""#), "{last}");
    model.assert_played_once();

    let built_in = model.ask(path, &json!({"input": [], "tools": [{"type": "local_shell"}]}));
    let built_in: Value = serde_json::from_str(&built_in).expect("JSON");
    assert_eq!(built_in["output"][0]["type"], "local_shell_call");
}

#[test]
fn messages_as_claude_code_asks() {
    let model = Model::start("messages");
    let tools = json!([{"name": "Read", "input_schema": {}}, {"name": "Bash", "input_schema": {
        "properties": {"command": {"type": "string"}}}}]);
    let path = "/v1/messages?beta=true";
    let first = model.ask(path, &json!({"messages": [], "tools": tools, "stream": true}));
    assert!(first.contains("input_json_delta") && first.contains(r#""stop_reason":"tool_use""#), "{first}");
    let content = json!([{"type": "tool_result", "tool_use_id": "call_step_0",
        "content": [{"type": "text", "text": OUTPUT}], "is_error": true}]);
    let messages = json!([{"role": "user", "content": content}]);
    let last = model.ask(path, &json!({"messages": messages, "tools": tools}));
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!((&last["content"][0]["text"], &last["stop_reason"]), (&json!("bye"), &json!("end_turn")));
    model.assert_played_once();
}

#[test]
fn a_command_after_the_dashes_decides_the_exit_status() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("script.json"), SCRIPT).expect("a script");
    let status = |command: &str| {
        let mut model = Command::new(env!("CARGO_BIN_EXE_scripted-model"));
        model.current_dir(&directory).env("WHO", "world").stdout(Stdio::null());
        model.args(["--script", "script.json", "--log", "log.jsonl", "--", "sh", "-c", command]);
        model.status().expect("the model starts").code()
    };
    assert_eq!(status("exit 0"), Some(0));
    assert_eq!(status("exit 7"), Some(7));
    assert_eq!(status("kill -TERM $$"), Some(128 + 15));
}
