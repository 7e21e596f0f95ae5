//! The doors: one thread a connection, one protocol a path.

use std::{
    io::BufReader,
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    chat,
    http::{self, Reply, Request},
    messages,
    player::Player,
    responses,
    turn::{Answer, Turn},
};

/// How one protocol is read and written.
struct Protocol {
    path: &'static str,
    read: fn(&Value) -> Turn,
    write: fn(&Turn, &Answer) -> String,
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol { path: "/chat/completions", read: chat::read, write: chat::write },
    Protocol { path: "/responses", read: responses::read, write: responses::write },
    Protocol { path: "/messages", read: messages::read, write: messages::write },
];

/// Answers connections until the process ends.
pub(crate) fn serve(listener: &TcpListener, player: &Arc<Player>) {
    for stream in listener.incoming() {
        let player = Arc::clone(player);
        match stream {
            Ok(stream) => drop(thread::spawn(move || {
                if let Err(error) = converse(&stream, &player) {
                    eprintln!("scripted-model: {error:#}");
                }
            })),
            Err(error) => eprintln!("scripted-model: failed to accept a connection: {error}"),
        }
    }
}

fn converse(stream: &TcpStream, player: &Player) -> Result<()> {
    let Some(request) = http::read(&mut BufReader::new(stream)).context("failed to read a request")? else {
        return Ok(());
    };
    player.heard(&request.method, &request.target)?;
    let reply = answer(&request, player)?;
    http::write(&mut &*stream, &reply).context("failed to answer a request")
}

fn answer(request: &Request, player: &Player) -> Result<Reply> {
    let path = request.target.split('?').next().unwrap_or_default();
    if path.ends_with("/count_tokens") {
        return Ok(json_reply(200, &json!({"input_tokens": 1000})));
    }
    if path.ends_with("/models") {
        return Ok(json_reply(200, &json!({"object": "list", "data": [{"id": "scripted", "object": "model"}]})));
    }
    let Some(protocol) = PROTOCOLS.iter().find(|protocol| path.ends_with(protocol.path)) else {
        return Ok(json_reply(404, &json!({"error": {"message": format!("nothing at {path}")}})));
    };
    let Ok(body) = serde_json::from_slice(&request.body) else {
        return Ok(json_reply(400, &json!({"error": {"message": "the body is not JSON"}})));
    };
    let turn = (protocol.read)(&body);
    let body = (protocol.write)(&turn, &player.answer(&turn)?);
    let content_type = if turn.stream { "text/event-stream" } else { "application/json" };
    Ok(Reply { status: 200, content_type, body })
}

fn json_reply(status: u16, value: &Value) -> Reply {
    Reply { status, content_type: "application/json", body: value.to_string() }
}
