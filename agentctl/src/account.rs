//! Users of this host, by name or number.

use std::fs;
use std::process::{Command, Stdio};
use std::str::FromStr;

/// Where most hosts list them (passwd(5)).
const ACCOUNTS: &str = "/etc/passwd";

/// A user who was named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The number.
    pub(crate) uid: u32,
    /// Whether this host has an account for it. One without may be right: of a container, or removed.
    pub(crate) known: bool,
}

/// A name that nobody has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this host has no user {0:?}; give a name of getent passwd, or a uid")]
pub(crate) struct NoSuchUser(String);

impl FromStr for Account {
    type Err = NoSuchUser;
    fn from_str(text: &str) -> Result<Self, NoSuchUser> {
        let found = uid_in(&fs::read_to_string(ACCOUNTS).unwrap_or_default(), text).or_else(|| asked(text));
        match (found, text.parse()) {
            (Some(uid), _) => Ok(Self { uid, known: true }),
            // (uid_t) -1 is no user: chown(2) takes it for "leave it".
            (None, Ok(uid)) if uid != u32::MAX => Ok(Self { uid, known: false }),
            _ => Err(NoSuchUser(text.to_owned())),
        }
    }
}

/// The uid of the line that has this name, or this number.
fn uid_in(accounts: &str, key: &str) -> Option<u32> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (!name.is_empty() && (name == key || number == key)).then(|| number.parse().ok()).flatten()
    })
}

/// Accounts of LDAP and the like are known to getent(1).
fn asked(key: &str) -> Option<u32> {
    let mut command = Command::new("getent");
    command.args(["passwd", "--", key]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    uid_in(&String::from_utf8_lossy(&output.stdout), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_name_or_a_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:100::/home/ann:/bin/sh\n";
        let of = |key| uid_in(accounts, key);
        assert_eq!((of("root"), of("ann"), of("1000")), (Some(0), Some(1000), Some(1000)));
        assert_eq!((of("x"), of(""), of("100"), of("broken")), (None, None, None, None));
    }

    #[test]
    fn a_number_without_an_account_is_taken_and_told_apart() {
        assert_eq!("0".parse(), Ok(Account { uid: 0, known: true }));
        assert_eq!("root".parse(), Ok(Account { uid: 0, known: true }));
        assert_eq!("1987654321".parse(), Ok(Account { uid: 1_987_654_321, known: false }));
        for bad in ["no-such-user", "-1", "4294967295", "", "0x10"] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }
}
