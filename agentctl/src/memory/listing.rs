//! `memory ls` and `memory cat`.

use super::opened::{Opened, memories, unreadable};
use super::path::TreePath;
use super::tree;
use crate::cli::memory as cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show::memory::{File, Held, Row};
use crate::show::output::Painter;
use crate::show::{self, Look, time};
use protocol::ids::{AgentName, TimeUs};
use protocol::memory::Part;
use protocol::text::escape_bytes;
use rustix::fs::{FileType, Stat, fstatvfs};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const READ_AT_ONCE: usize = 64 << 10;

/// `agentctl memory ls`.
pub(crate) fn ls(socket: &Path, options: cli::Ls) -> Result<u8, Failure> {
    let Some(name) = options.name else { return names(socket, options.json) };
    let opened = Opened::new(socket, &name)?;
    let path = given(options.path.unwrap_or_default())?;
    if path == TreePath::default() {
        return parts(&opened, options.json);
    }
    let files = files(&opened, &path)?;
    if options.json {
        show::document(&files)?;
    } else {
        show::print(&show::memory::files(&files, Look::of_output()))?;
    }
    Ok(0)
}

/// The root of a tree also has what belongs to no memory, such as `/policy`; what is kept is in the parts.
fn parts(opened: &Opened, json: bool) -> Result<u8, Failure> {
    let held = held(opened)?;
    if json {
        show::document(&held)?;
    } else {
        show::print(&show::memory::parts(&held, Look::of_output()))?;
    }
    Ok(0)
}

fn names(socket: &Path, json: bool) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    let mut code = 0;
    for memory in memories(&mut Client::connect(socket)?, None)? {
        let held = match Opened::new(socket, &memory.name).and_then(|opened| held(&opened)) {
            Ok(held) => held,
            // The others are worth being shown, and it may have gone meanwhile.
            Err(failure @ (Failure::Refused(_) | Failure::File { .. })) => {
                failure.report();
                code = failure.exit_code();
                Vec::new()
            }
            Err(failure) => return Err(failure),
        };
        rows.push(Row { memory, held });
    }
    if json {
        show::document(&rows)?;
    } else {
        show::print(&show::memory::names(&rows, time::now(), Look::of_output()))?;
    }
    Ok(code)
}

/// What each part holds, as statfs(2) tells; parts that are not there are left out.
fn held(opened: &Opened) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::new();
    for part in opened.parts(true) {
        let path = TreePath::of_part(part);
        match opened.tree.directory(&path).and_then(fstatvfs) {
            Ok(room) => held.push(Held {
                part,
                bytes: room.f_blocks.saturating_sub(room.f_bfree).saturating_mul(room.f_frsize),
                inodes: room.f_files.saturating_sub(room.f_ffree),
            }),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(unreadable(&path, error)),
        }
    }
    Ok(held)
}

/// The names in a directory, or the one name that is none.
fn files(opened: &Opened, path: &TreePath) -> Result<Vec<File>, Failure> {
    let failed = |error| unreadable(path, error);
    let stat = opened.tree.stat(path).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        let (directory, name) = path.split().ok_or_else(|| failed(Errno::NOTDIR))?;
        let directory = opened.tree.directory(&directory).map_err(failed)?;
        return Ok(vec![file(&directory, name, &stat)]);
    }
    let directory = opened.tree.directory(path).map_err(failed)?;
    let mut files = Vec::new();
    for name in tree::names(&directory).map_err(failed)? {
        match tree::look(&directory, &name) {
            Ok(stat) => files.push(file(&directory, &name, &stat)),
            // Gone meanwhile.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(unreadable(&path.join(&name), error)),
        }
    }
    Ok(files)
}

fn file(directory: &OwnedFd, name: &[u8], stat: &Stat) -> File {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let link = kind == FileType::Symlink;
    File::new(name, stat, link.then(|| tree::target(directory, name).unwrap_or_default()))
}

/// `agentctl memory cat`.
pub(crate) fn cat(socket: &Path, options: &cli::Cat) -> Result<u8, Failure> {
    let opened = Opened::new(socket, &options.name)?;
    let path = given(options.path.clone())?;
    let mut file = content(&opened, &options.name, &path)?;
    let mut painter = Painter::new(io::stdout().is_terminal() && !options.raw, false);
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Failure::File { attempt: "read", path: path.in_agent(), source }),
        };
        let painted = if count == 0 { painter.finish(TimeUs(0)) } else { painter.paint(TimeUs(0), &buffer[..count]) };
        out.write_all(&painted).map_err(Failure::Output)?;
        if count == 0 {
            return out.flush().map(|()| 0).map_err(Failure::Output);
        }
    }
}

fn content(opened: &Opened, name: &AgentName, path: &TreePath) -> Result<std::fs::File, Failure> {
    let failed = |error| unreadable(path, error);
    let (directory, file) = path.split().ok_or_else(|| failed(Errno::ISDIR))?;
    let directory = opened.tree.directory(&directory).map_err(failed)?;
    let stat = tree::look(&directory, file).map_err(failed)?;
    let no_file =
        |what: &str| Failure::Usage(format!("{} is {what}; agentctl memory ls {name} {0} shows it", path.in_agent()));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => tree::content(directory.as_fd(), file).map_err(failed),
        FileType::Directory => Err(no_file("a directory")),
        FileType::Symlink => {
            let target = tree::target(&directory, file).map_err(failed)?;
            Err(no_file(&format!("a symbolic link to {}, which is not followed", escape_bytes(&target))))
        }
        _ => Err(no_file("no regular file")),
    }
}

/// A path of the command line.
fn given(path: OsString) -> Result<TreePath, Failure> {
    TreePath::of_agent(path.as_encoded_bytes()).map_err(|error| {
        let parts = Part::ALL.map(|part| format!("/{}", part.path())).join(", ");
        Failure::Usage(format!("{} is {error}; the parts are {parts}", escape_bytes(path.as_encoded_bytes())))
    })
}
