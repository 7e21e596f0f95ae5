//! How a server is reached: keyword=value pairs as libpq has them, the few that make sense on a unix socket.

use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use std::iter::Peekable;
use std::path::PathBuf;
use std::str::Chars;

/// The server's usual port, which is a part of its socket's name.
const PORT: u16 = 5432;

/// A server's socket, a role and a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    directory: String,
    port: u16,
    pub(super) user: String,
    pub(super) database: String,
}

impl Settings {
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let (mut host, mut port, mut user, mut database) = (None, PORT, None, None);
        let mut rest = text.chars().peekable();
        while let Some((keyword, value)) = pair(&mut rest)? {
            match keyword.as_str() {
                "host" => host = Some(value),
                "port" => port = value.parse().map_err(|_| wrong(&format!("port {value:?} is no number of a port")))?,
                "user" => user = Some(value),
                "dbname" => database = Some(value),
                _ => {
                    return Err(wrong(&format!(
                        "keyword {keyword:?} is unknown here: expected host, port, user, dbname"
                    )));
                }
            }
        }
        let directory = host.filter(|host| host.starts_with('/') && !host.contains(',')).ok_or_else(|| {
            let message = "PostgreSQL is reached by a unix socket only: expected host=DIRECTORY, beginning with /";
            Refusal::new(RefusalReason::NotAvailable, message)
        })?;
        let user = user.ok_or_else(|| wrong("user is missing"))?;
        Ok(Self { directory, port, database: database.unwrap_or_else(|| user.clone()), user })
    }

    /// The server's socket.
    pub(super) fn address(&self) -> PathBuf {
        PathBuf::from(&self.directory).join(format!(".s.PGSQL.{}", self.port))
    }
}

/// One pair; a value may be quoted by `'`, and `\` takes the meaning from the next character.
fn pair(rest: &mut Peekable<Chars<'_>>) -> Outcome<Option<(String, String)>> {
    let skip = |rest: &mut Peekable<Chars<'_>>| while rest.next_if(|next| next.is_whitespace()).is_some() {};
    skip(rest);
    let mut keyword = String::new();
    while let Some(next) = rest.next_if(|next| !next.is_whitespace() && *next != '=') {
        keyword.push(next);
    }
    skip(rest);
    if keyword.is_empty() && rest.peek().is_none() {
        return Ok(None);
    }
    rest.next_if_eq(&'=').ok_or_else(|| wrong(&format!("{keyword:?} has no value")))?;
    skip(rest);
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.next() {
            None if quoted => return Err(wrong("a quote is not closed")),
            None => break,
            Some('\'') if quoted => break,
            Some(next) if !quoted && next.is_whitespace() => break,
            Some('\\') => value.extend(rest.next()),
            Some(next) => value.push(next),
        }
    }
    Ok(Some((keyword, value)))
}

fn wrong(what: &str) -> Refusal {
    Refusal::new(RefusalReason::BadParameter, format!("the settings of the database are wrong: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let settings = Settings::parse(r"host=/run/pg port = 6000 user='a\'b c' dbname=x\ y").unwrap();
        assert_eq!(settings.address(), PathBuf::from("/run/pg/.s.PGSQL.6000"));
        assert_eq!((settings.user.as_str(), settings.database.as_str()), ("a'b c", "x y"));
        assert_eq!(Settings::parse("host=/s user=u").unwrap().database, "u");
    }

    #[test]
    fn other_ways_to_a_server_are_not_there() {
        let reason = |text| Settings::parse(text).unwrap_err().reason;
        for text in ["host=localhost user=u", "host=127.0.0.1 user=u", "user=u", "host=/a,db.example user=u", ""] {
            assert_eq!(reason(text), RefusalReason::NotAvailable, "{text}");
        }
        for text in
            ["host=/s", "host=/s user", "host=/s user='u", "host=/s user=u options=-cfoo", "host=/s port=x", "=x"]
        {
            assert_eq!(reason(text), RefusalReason::BadParameter, "{text}");
        }
    }
}
