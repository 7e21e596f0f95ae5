//! As much HTTP/1.1 as a model's client needs: one request a connection, sized or chunked bodies.

use std::io::{self, BufRead, Read, Write};

/// A request that was read whole.
#[derive(Debug)]
pub(crate) struct Request {
    /// GET, POST, …
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// The body; empty if there was none.
    pub(crate) body: Vec<u8>,
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    /// The value of `Content-Type`.
    pub(crate) content_type: &'static str,
    /// The whole body.
    pub(crate) body: String,
}

/// A conversation with all its tool results is far below this.
const BODY_LIMIT: u64 = 64 << 20;
const HEAD_LIMIT: u64 = 64 << 10;

/// Reads one request; none when the peer closed the connection without sending any.
pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = stream.take(HEAD_LIMIT);
    let Some(first) = line(&mut head)? else { return Ok(None) };
    let mut words = first.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed("a request line without a target"));
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(&mut head)?.ok_or_else(|| malformed("a head that does not end"))?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| malformed("a header without a colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| malformed("a content length that is no number"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    let body = if chunked { read_chunks(stream)? } else { read_sized(stream, length)? };
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), body }))
}

/// Writes the reply and asks the peer to use a new connection next time.
pub(crate) fn write(stream: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let Reply { status, content_type, body } = reply;
    let reason = if *status == 200 { "OK" } else { "Error" };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(malformed("a head that is cut off or too long"));
    }
    Ok(Some(line.trim_end().to_owned()))
}

fn read_sized(stream: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    if length > BODY_LIMIT {
        return Err(malformed("a body over the limit"));
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    if body.len() as u64 == length { Ok(body) } else { Err(malformed("a body that is cut off")) }
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let header = line(stream)?.ok_or_else(|| malformed("chunks that do not end"))?;
        let digits = header.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk size that is no number"))?;
        if size > BODY_LIMIT - body.len() as u64 {
            return Err(malformed("a body over the limit"));
        }
        body.extend(read_sized(stream, size)?);
        // The line end after a chunk's data, or after the last chunk (trailers are not used by these clients).
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the client sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sized_and_chunked_bodies_are_read_whole() {
        let sized = b"POST /v1/messages?beta=true HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for wire in [&sized[..], &chunked[..]] {
            let request = read(&mut &wire[..]).expect("well-formed").expect("a request");
            assert_eq!(request.body, b"hello");
        }
    }

    #[test]
    fn a_cut_off_or_oversized_body_is_refused() {
        let cut = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello";
        let huge = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n";
        for wire in [&cut[..], &huge[..]] {
            assert!(read(&mut &wire[..]).is_err());
        }
    }
}
