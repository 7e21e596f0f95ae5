//! A caller of the control socket who asks on many connections, over and over, for what takes the daemon long.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Barrier},
    thread,
};

use super::say;

/// Bytes of a message that is nearly as long as one may be.
const LARGE: usize = 960 << 10;

/// Asks until a connection ends, which is an error.
pub(super) fn ask(socket: &Path, what: &str, connections: usize) -> io::Result<u8> {
    let call: Arc<[u8]> = call(what)?.into();
    let all_connected = Arc::new(Barrier::new(connections + 1));
    let askers: Vec<_> = (0..connections)
        .map(|_| {
            let (stream, call, all_connected) =
                (UnixStream::connect(socket)?, Arc::clone(&call), all_connected.clone());
            Ok(thread::spawn(move || {
                all_connected.wait();
                ask_on(&stream, &call)
            }))
        })
        .collect::<io::Result<_>>()?;
    all_connected.wait();
    say("ready")?;
    for asker in askers {
        asker.join().map_err(|_| io::Error::other("an asker panicked"))??;
    }
    Ok(0)
}

fn ask_on(stream: &UnixStream, call: &[u8]) -> io::Result<()> {
    let mut replies = BufReader::new(stream);
    let mut reply = Vec::new();
    loop {
        (&mut &*stream).write_all(call)?;
        reply.clear();
        if replies.read_until(0, &mut reply)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn call(what: &str) -> io::Result<Vec<u8>> {
    let (method, parameters) = match what {
        "large" => {
            let pairs = vec![r#"["a","b"]"#; LARGE / 10].join(",");
            ("Run", format!(r#"{{"command":["/bin/true"],"env":[{pairs}],"no_such_parameter":1}}"#))
        }
        "valid" => {
            let pairs: Vec<String> = (0..LARGE / 20).map(|n| format!(r#"["a{n:08}","b"]"#)).collect();
            let pairs = pairs.join(",");
            ("Run", format!(r#"{{"command":["/bin/true"],"workspace":{{"path":"/etc"}},"env":[{pairs}]}}"#))
        }
        "events" => ("Events", "{}".to_owned()),
        "list" => ("List", r#"{"all":true}"#.to_owned()),
        other => return Err(io::Error::other(format!("{other} is none of large, valid, events, list"))),
    };
    Ok(format!("{{\"method\":\"io.agentos.Control.{method}\",\"parameters\":{parameters}}}\0").into_bytes())
}
