//! Orders on standard input, reports on standard output.
//!
//! The line after which a program's own input begins is read to its end and not a byte further, so nothing here is buffered
//! across lines.

use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::{MAX_LINE, Order, Report};
use rustix::io::{Errno, read, write};
use std::os::fd::AsFd;

/// At once, of the first order.
const CHUNK: usize = 64 << 10;

/// Reads one order from its line.
pub(crate) fn decode(line: &[u8]) -> Outcome<Order> {
    serde_json::from_slice(line).map_err(|error| wrong(&format!("it is no order: {error}")))
}

/// The first order, or nothing when there is none. What is sent before it is answered is refused.
pub(crate) fn first(input: impl AsFd) -> Outcome<Option<Order>> {
    let (mut line, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        let count = piece(&input, &mut chunk)?;
        let received = chunk.get(..count).unwrap_or_default();
        let end = received.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(received.get(..end.unwrap_or(count)).unwrap_or_default());
        match end {
            Some(end) if end + 1 < count => return Err(wrong("more came before it was answered")),
            Some(_) => return decode(&line).map(Some),
            None if count == 0 => return ended(&line),
            None if line.len() > MAX_LINE => return Err(wrong("it is too long")),
            None => {}
        }
    }
}

/// The next order, or nothing when there is none. Byte by byte: what follows is not ours. It is short.
pub(crate) fn next(input: impl AsFd) -> Outcome<Option<Order>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match (piece(&input, &mut byte)?, byte) {
            (0, _) => return ended(&line),
            (_, [b'\n']) => return decode(&line).map(Some),
            (_, [byte]) => line.push(byte),
        }
        if line.len() > MAX_LINE {
            return Err(wrong("it is too long"));
        }
    }
}

/// Writes one report.
pub(crate) fn report(output: impl AsFd, report: &Report) -> Result<(), Errno> {
    let mut line = serde_json::to_vec(report).map_err(|_| Errno::INVAL)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match write(&output, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn piece(input: impl AsFd, into: &mut [u8]) -> Outcome<usize> {
    loop {
        match read(&input, &mut *into) {
            Err(Errno::INTR) => {}
            result => return result.map_err(|errno| wrong(&format!("it cannot be read: {errno}"))),
        }
    }
}

fn ended(line: &[u8]) -> Outcome<Option<Order>> {
    if line.is_empty() { Ok(None) } else { Err(wrong("it is cut off")) }
}

fn wrong(what: &str) -> Refusal {
    Refusal::new(RefusalReason::Internal, format!("wrong order to the executor: {what}"))
}
