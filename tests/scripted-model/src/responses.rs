//! OpenAI Responses, as Codex speaks it.

use serde_json::{Value, json};

use crate::turn::{Answer, ShellTool, ToolResult, Turn, event, text_of};

const BUILT_IN_SHELL: &str = "local_shell";

/// What matters of a `POST …/responses`.
pub(crate) fn read(body: &Value) -> Turn {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let items = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    Turn {
        model: body["model"].as_str().unwrap_or("scripted").to_owned(),
        stream: body["stream"] == true,
        shell: ShellTool::find(tools.iter().filter_map(|tool| match tool["type"].as_str()? {
            "function" => Some((tool["name"].as_str()?, &tool["parameters"])),
            BUILT_IN_SHELL => Some((BUILT_IN_SHELL, &Value::Null)),
            _ => None,
        })),
        results: items.iter().filter_map(result).collect(),
    }
}

fn result(item: &Value) -> Option<ToolResult> {
    if !matches!(item["type"].as_str()?, "function_call_output" | "local_shell_call_output") {
        return None;
    }
    let call_id = item["call_id"].as_str().or_else(|| item["id"].as_str())?.to_owned();
    let output = text_of(&item["output"]);
    // Codex puts a head of its own (chunk, time, status) before what the command printed.
    let output = output.split_once("\nOutput:\n").map_or(output.as_str(), |(_, printed)| printed).to_owned();
    Some(ToolResult { call_id, output })
}

/// The reply's body: a response object, or the stream of events that builds it.
pub(crate) fn write(turn: &Turn, answer: &Answer) -> String {
    let item = output_item(turn, answer);
    let usage = json!({"input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
                       "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}});
    let response = |status: &str, output: Value| {
        json!({"id": "resp_scripted", "object": "response", "created_at": 0, "model": turn.model,
               "status": status, "output": output, "usage": usage})
    };
    if !turn.stream {
        return response("completed", json!([item])).to_string();
    }
    let mut out = String::new();
    let mut number = 0;
    let mut emit = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(number);
        number += 1;
        event(&mut out, Some(kind), &data);
    };
    emit("response.created", json!({"response": response("in_progress", json!([]))}));
    emit("response.output_item.added", json!({"output_index": 0, "item": item}));
    if let Answer::Text(text) = answer {
        let place = json!({"item_id": item["id"], "output_index": 0, "content_index": 0, "delta": text});
        emit("response.output_text.delta", place);
    }
    emit("response.output_item.done", json!({"output_index": 0, "item": item}));
    emit("response.completed", json!({"response": response("completed", json!([item]))}));
    out
}

fn output_item(turn: &Turn, answer: &Answer) -> Value {
    match (answer, &turn.shell) {
        (Answer::Call { id, command, .. }, Some(shell)) if shell.name == BUILT_IN_SHELL => {
            let action = json!({"type": "exec", "command": ["bash", "-c", command], "env": {}});
            json!({"type": "local_shell_call", "id": id, "call_id": id, "status": "completed", "action": action})
        }
        (Answer::Call { id, command, label }, Some(shell)) => {
            json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "status": "completed",
                   "name": shell.name, "arguments": shell.arguments(command, label).to_string()})
        }
        (Answer::Text(text) | Answer::Call { label: text, .. }, _) => {
            let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
            json!({"type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed",
                   "content": content})
        }
    }
}
