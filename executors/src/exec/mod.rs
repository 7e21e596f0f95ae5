//! Becoming a program.
//!
//! What was looked at is what is started: the program is opened once, and the kernel gets that very file by its descriptor.
//! The interpreters of scripts and the dynamic loader it opens by name, so a Landlock layer lets nothing be executed
//! but these files, by what they are and not by what they are called.

mod confine;
mod format;
mod lookup;

use crate::descriptors::{bytes, hex, identity, reopen, same_file, shown};
use crate::refusal::{Outcome, Refusal};
use lookup::Found;
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, MAX_CONTENT, Prepared};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::fchdir;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// A program that is open, with everything that the kernel starts for it.
#[derive(Debug)]
pub(crate) struct Program {
    found: Found,
    chain: format::Chain,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    directory: OwnedFd,
}

impl Program {
    pub(crate) fn prepare(
        arguments: Vec<String>,
        search: &[String],
        environment: Vec<String>,
        directory: &str,
    ) -> Outcome<(Prepared, Self)> {
        if arguments.iter().chain(&environment).any(|text| text.contains('\0')) {
            return Err(Refusal::new(RefusalReason::BadParameter, "an argument or a variable contains the byte 0"));
        }
        let name = arguments.first().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::new(RefusalReason::IncompleteRequest, "argv names no program"))?;
        let environment = environment.iter().map(|variable| divided(variable)).collect::<Outcome<Vec<_>>>()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat2(CWD, directory, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
            .map_err(|errno| Refusal::errno(errno, &format!("open working directory {directory:?}")))?;
        let found = lookup::look_up(name, search, &directory)?;
        let chain = format::Chain::of(&found, &directory)?;
        let interpreters = chain.interpreters.iter().map(|found| shown(found.path.clone()));
        let prepared = Prepared {
            program: Some(shown(found.path.clone())?),
            interpreters: interpreters.collect::<Outcome<_>>()?,
            state: Some(state(&found, &chain)?),
            preview: Some(arguments.iter().map(|argument| format!("{argument}\n")).collect()),
            ..Prepared::default()
        };
        Ok((prepared, Self { found, chain, arguments, environment, directory }))
    }

    /// Becomes the program; returns only when that failed.
    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Infallible> {
        let failed = |errno| Refusal::errno(errno, "enter the working directory");
        fchdir(&self.directory).map_err(failed)?;
        if bounds.state.is_some() && bounds.state != Some(state(&self.found, &self.chain)?) {
            let message = format!("program {:?} has changed since the approval was asked for", self.found.path);
            return Err(Refusal::new(RefusalReason::ApprovalActionMismatch, message));
        }
        confine::only_execute(&self.found, &self.chain, &bounds.executables)?;
        confine::without_openat2()?;
        if !self.chain.interpreters.is_empty() {
            // The interpreter gets the script by this name, and opens it after the exec.
            fcntl_setfd(&self.found.file, FdFlags::empty()).map_err(failed)?;
        }
        let (name, arguments) = self.arguments.split_first().map_or(("", &[][..]), |(name, rest)| (name, rest));
        let mut command = Command::new(same_file(&self.found.file));
        command.arg0(name).args(arguments).env_clear().envs(self.environment);
        let error = command.exec();
        Err(Refusal::io(&error, &format!("start {:?}", self.found.path)))
    }
}

/// Which files are started, and what is in those that are scripts: anybody who may write to one can do so while it is looked at.
fn state(program: &Found, chain: &format::Chain) -> Outcome<String> {
    let mut whole = Vec::new();
    for (index, found) in std::iter::once(program).chain(&chain.interpreters).enumerate() {
        let failed = |errno| Refusal::errno(errno, &format!("read program {:?}", found.path));
        whole.extend_from_slice(identity(&fstat(&found.file).map_err(failed)?).as_bytes());
        // The last is a program, which the kernel lets nobody write to while it runs.
        if index < chain.interpreters.len() {
            let script = reopen(&found.file, OFlags::RDONLY).map_err(failed)?;
            let most = usize::try_from(MAX_CONTENT).unwrap_or(usize::MAX);
            whole.extend_from_slice(hex(&bytes(script, 0, most).map_err(failed)?).as_bytes());
        }
    }
    Ok(hex(&whole))
}

/// `NAME=value`.
fn divided(variable: &str) -> Outcome<(OsString, OsString)> {
    let owned = |text: &str| OsStr::from_bytes(text.as_bytes()).to_owned();
    let (name, value) = variable.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        Refusal::new(RefusalReason::BadParameter, format!("{variable:?} is no variable, expected NAME=value"))
    })?;
    Ok((owned(name), owned(value)))
}
