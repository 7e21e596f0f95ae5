//! OpenAI Chat Completions, as OpenCode speaks it.

use serde_json::{Value, json};

use crate::turn::{Answer, ShellTool, ToolResult, Turn, event, text_of};

/// What matters of a `POST …/chat/completions`.
pub(crate) fn read(body: &Value) -> Turn {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    Turn {
        model: body["model"].as_str().unwrap_or("scripted").to_owned(),
        stream: body["stream"] == true,
        shell: ShellTool::find(tools.iter().filter_map(|tool| {
            let function = &tool["function"];
            Some((function["name"].as_str()?, &function["parameters"]))
        })),
        results: messages.iter().filter(|message| message["role"] == "tool").filter_map(result).collect(),
    }
}

fn result(message: &Value) -> Option<ToolResult> {
    let call_id = message["tool_call_id"].as_str()?.to_owned();
    Some(ToolResult { call_id, output: text_of(&message["content"]) })
}

/// The reply's body: an object, or a stream of deltas.
pub(crate) fn write(turn: &Turn, answer: &Answer) -> String {
    let (message, finish) = match answer {
        Answer::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Answer::Call { id, command, label } => {
            let name = turn.shell.as_ref().map(|shell| shell.name.as_str());
            let arguments = turn.shell.as_ref().map(|shell| shell.arguments(command, label).to_string());
            let function = json!({"name": name, "arguments": arguments});
            let call = json!({"index": 0, "id": id, "type": "function", "function": function});
            (json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
        }
    };
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    let envelope = |object: &str, choices: Value, usage: &Value| {
        json!({"id": "chatcmpl-scripted", "object": object, "created": 0, "model": turn.model,
               "choices": choices, "usage": usage})
    };
    if !turn.stream {
        let choices = json!([{"index": 0, "message": message, "finish_reason": finish}]);
        return envelope("chat.completion", choices, &usage).to_string();
    }
    let mut out = String::new();
    let chunk = |choices, usage: &Value| envelope("chat.completion.chunk", choices, usage);
    event(&mut out, None, &chunk(json!([{"index": 0, "delta": message, "finish_reason": null}]), &Value::Null));
    event(&mut out, None, &chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}]), &Value::Null));
    event(&mut out, None, &chunk(json!([]), &usage));
    out.push_str("data: [DONE]\n\n");
    out
}
