//! One caller of the agent's own socket, and how long each answer takes.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Instant,
};

use super::say;

/// Sends the same call so often; prints the last reply, then the nanoseconds of each.
pub(super) fn ask(socket: &Path, call: &str, times: usize) -> io::Result<u8> {
    let stream = UnixStream::connect(socket)?;
    let (mut replies, mut reply, mut taken) = (BufReader::new(&stream), Vec::new(), Vec::with_capacity(times));
    let call = [call.as_bytes(), &[0]].concat();
    for _ in 0..times {
        reply.clear();
        let begin = Instant::now();
        (&stream).write_all(&call)?;
        if replies.read_until(0, &mut reply)? == 0 {
            return Err(io::Error::other("the daemon closed the connection"));
        }
        taken.push(begin.elapsed().as_nanos());
    }
    reply.pop();
    say(&String::from_utf8_lossy(&reply))?;
    let lines: Vec<String> = taken.iter().map(u128::to_string).collect();
    say(&lines.join("\n"))?;
    Ok(0)
}
