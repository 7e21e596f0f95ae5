//! What one request says and what one reply says, whichever protocol carried it.

use serde_json::{Map, Value, json};

/// What matters of a request.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The model that the CLI believes it talks to; echoed.
    pub(crate) model: String,
    /// Whether the reply is a stream of events.
    pub(crate) stream: bool,
    /// The shell tool on offer; none in side requests such as title generation.
    pub(crate) shell: Option<ShellTool>,
    /// Every tool result in the conversation so far, oldest first.
    pub(crate) results: Vec<ToolResult>,
}

/// The tool through which the CLI runs commands.
#[derive(Debug)]
pub(crate) struct ShellTool {
    /// Its name, or its type where the protocol has a built-in one (`local_shell`).
    pub(crate) name: String,
    /// The JSON schema of its arguments.
    pub(crate) schema: Value,
}

/// What the CLI reports about an earlier call.
#[derive(Debug)]
pub(crate) struct ToolResult {
    /// The id that the call was made with.
    pub(crate) call_id: String,
    /// Everything that the CLI let the model see.
    pub(crate) output: String,
}

/// What the model says next.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Calls the shell tool.
    Call {
        /// Unique in the conversation.
        id: String,
        /// What to run.
        command: String,
        /// Why, in words; some tools insist on it.
        label: String,
    },
    /// Says something, which ends the turn.
    Text(String),
}

/// The names under which CLIs offer a shell, the most specific first.
const SHELLS: [&str; 7] = ["exec_command", "shell_command", "shell", "local_shell", "container.exec", "Bash", "bash"];

impl ShellTool {
    /// Picks the shell from the offered (name, schema) pairs.
    pub(crate) fn find<'a>(offered: impl Iterator<Item = (&'a str, &'a Value)>) -> Option<Self> {
        let offered: Vec<_> = offered.collect();
        SHELLS.iter().find_map(|wanted| {
            let (name, schema) = offered.iter().find(|(name, _)| name == wanted)?;
            Some(Self { name: (*name).to_owned(), schema: (*schema).clone() })
        })
    }

    /// The arguments that make this tool run `command`, as its schema wants them.
    pub(crate) fn arguments(&self, command: &str, label: &str) -> Value {
        let properties = &self.schema["properties"];
        let key = if properties.get("cmd").is_some() { "cmd" } else { "command" };
        let wants_list = properties[key]["type"] == "array";
        let command = if wants_list { json!(["bash", "-c", command]) } else { json!(command) };
        let mut arguments = Map::from_iter([(key.to_owned(), command)]);
        if properties.get("description").is_some() {
            arguments.insert("description".to_owned(), json!(label));
        }
        // Codex hands a command back as "still running" after this long; the default of a few seconds is short for
        // a test run on a loaded machine.
        if properties.get("yield_time_ms").is_some() {
            arguments.insert("yield_time_ms".to_owned(), json!(30_000));
        }
        Value::Object(arguments)
    }
}

/// The text of a content field, which is a string or a list of parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Server-sent events: each with its name where the protocol names them.
pub(crate) fn event(out: &mut String, name: Option<&str>, data: &Value) {
    if let Some(name) = name {
        out.push_str(&format!("event: {name}\n"));
    }
    out.push_str(&format!("data: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_follow_the_schema_on_offer() {
        let codex = json!({"properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}}});
        let listed = json!({"properties": {"command": {"type": "array"}}});
        let claude = json!({"properties": {"command": {"type": "string"}, "description": {"type": "string"}}});
        let arguments = |schema: Value| ShellTool { name: "shell".to_owned(), schema }.arguments("ls", "list");
        assert_eq!(arguments(codex), json!({"cmd": "ls", "yield_time_ms": 30_000}));
        assert_eq!(arguments(listed), json!({"command": ["bash", "-c", "ls"]}));
        assert_eq!(arguments(claude), json!({"command": "ls", "description": "list"}));
    }

    #[test]
    fn no_shell_among_the_tools_is_a_side_request() {
        let schema = json!({});
        assert!(ShellTool::find([("read", &schema), ("edit", &schema)].into_iter()).is_none());
        assert_eq!(ShellTool::find([("read", &schema), ("bash", &schema)].into_iter()).expect("bash").name, "bash");
    }
}
