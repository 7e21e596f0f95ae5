//! Anthropic Messages, as Claude Code speaks it.

use serde_json::{Value, json};

use crate::turn::{Answer, ShellTool, ToolResult, Turn, event, text_of};

/// What matters of a `POST …/messages`.
pub(crate) fn read(body: &Value) -> Turn {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    Turn {
        model: body["model"].as_str().unwrap_or("scripted").to_owned(),
        stream: body["stream"] == true,
        shell: ShellTool::find(tools.iter().filter_map(|tool| Some((tool["name"].as_str()?, &tool["input_schema"])))),
        results: blocks.filter(|block| block["type"] == "tool_result").filter_map(result).collect(),
    }
}

fn result(block: &Value) -> Option<ToolResult> {
    let call_id = block["tool_use_id"].as_str()?.to_owned();
    Some(ToolResult { call_id, output: text_of(&block["content"]) })
}

/// The reply's body: a message object, or the stream of events that builds it.
pub(crate) fn write(turn: &Turn, answer: &Answer) -> String {
    let (block, stop) = match answer {
        Answer::Text(text) => (json!({"type": "text", "text": text}), "end_turn"),
        Answer::Call { id, command, label } => {
            let name = turn.shell.as_ref().map(|shell| shell.name.as_str());
            let input = turn.shell.as_ref().map(|shell| shell.arguments(command, label));
            (json!({"type": "tool_use", "id": id, "name": name, "input": input}), "tool_use")
        }
    };
    let usage = json!({"input_tokens": 100, "output_tokens": 10,
                       "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let message = |content: Value, stop: Value| {
        json!({"id": "msg_scripted", "type": "message", "role": "assistant", "model": turn.model,
               "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if !turn.stream {
        return message(json!([block]), json!(stop)).to_string();
    }
    let mut out = String::new();
    let mut emit = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        event(&mut out, Some(kind), &data);
    };
    emit("message_start", json!({"message": message(json!([]), Value::Null)}));
    let (empty, delta) = opening(&block);
    emit("content_block_start", json!({"index": 0, "content_block": empty}));
    emit("content_block_delta", json!({"index": 0, "delta": delta}));
    emit("content_block_stop", json!({"index": 0}));
    emit("message_delta", json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage}));
    emit("message_stop", json!({}));
    out
}

/// A block as it starts, empty, and the one delta that fills it.
fn opening(block: &Value) -> (Value, Value) {
    let mut empty = block.clone();
    if block["type"] == "text" {
        empty["text"] = json!("");
        (empty, json!({"type": "text_delta", "text": block["text"]}))
    } else {
        empty["input"] = json!({});
        (empty, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
    }
}
