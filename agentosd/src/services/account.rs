//! Whose name an agent runs in: an account of this host, with its groups.
//!
//! Read from /etc/passwd and /etc/group alone, for the reason that `group.rs` gives.

use super::file::User;
use crate::caller::Caller;
use std::fs;

/// Whoever a file names, as if they had called; or why not.
pub(super) fn of(user: &User) -> Result<Caller, String> {
    if *user == User::Uid(0) {
        return Ok(caller(0, 0, Vec::new()));
    }
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"));
    find(user, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn find(user: &User, passwd: &str, group: &str) -> Result<Caller, String> {
    // `name:password:uid:gid:…` (passwd(5)).
    let account = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid): (u32, u32) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let meant = match user {
            User::Uid(wanted) => *wanted == uid,
            User::Name(wanted) => wanted == name,
        };
        meant.then_some((name, uid, gid))
    });
    let Some((name, uid, gid)) = account else {
        let word = match user {
            User::Uid(uid) => uid.to_string(),
            User::Name(name) => format!("{name:?}"),
        };
        return Err(format!("user: {word} has no line in /etc/passwd; name an account of this host"));
    };
    if uid == 0 {
        // What no directory refuses anything needs no groups; see `Caller`.
        return Ok(caller(0, 0, Vec::new()));
    }
    // `name:password:gid:members` (group(5)).
    let groups = group.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let (id, members) = (fields.next()?.parse().ok()?, fields.next()?);
        members.split(',').any(|member| member.trim() == name).then_some(id)
    });
    Ok(caller(uid, gid, groups.collect()))
}

fn caller(uid: u32, gid: u32, groups: Vec<u32>) -> Caller {
    // The daemon itself asks, in that name.
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    Caller { uid, gid, groups, pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nbroken\nann:x:1000:100::/home/ann:/bin/sh\nbob:x:1001:1001::/:/x\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nagentos:x:970:bob,ann\nvideo:x:44:annette\nodd\nlate:x:7: ann \n";

    #[test]
    fn an_account_is_found_by_name_or_number_with_its_groups() {
        for user in [User::Name("ann".into()), User::Uid(1000)] {
            let found = find(&user, PASSWD, GROUP).unwrap();
            assert_eq!((found.uid, found.gid, found.groups), (1000, 100, vec![970, 7]), "{user:?}");
        }
        let root = find(&User::Name("root".into()), PASSWD, GROUP).unwrap();
        assert_eq!((root.uid, root.groups), (0, vec![]));
    }

    #[test]
    fn who_has_no_account_is_refused_with_the_remedy() {
        for user in [User::Name("eve".into()), User::Uid(7), User::Name(String::new()), User::Name("broken".into())] {
            assert!(find(&user, PASSWD, GROUP).unwrap_err().contains("/etc/passwd"), "{user:?}");
        }
    }
}
