//! Becoming a program.
//!
//! What was looked at is what is started: the program is opened once, and the kernel gets that very file by its descriptor.
//! The interpreters of scripts and the dynamic loader it opens by name, so a Landlock layer lets nothing be executed
//! but these files, by what they are and not by what they are called.

mod confine;
mod format;
mod lookup;

use crate::descriptors::{same_file, shown};
use crate::refusal::{Outcome, Refusal};
use lookup::Found;
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Prepared};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
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
            preview: Some(arguments.iter().map(|argument| format!("{argument}\n")).collect()),
            ..Prepared::default()
        };
        Ok((prepared, Self { found, chain, arguments, environment, directory }))
    }

    /// Becomes the program; returns only when that failed.
    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Infallible> {
        let failed = |errno| Refusal::errno(errno, "enter the working directory");
        fchdir(&self.directory).map_err(failed)?;
        confine::only_execute(&self.found, &self.chain, &bounds.executables)?;
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

/// `NAME=value`.
fn divided(variable: &str) -> Outcome<(OsString, OsString)> {
    let owned = |text: &str| OsStr::from_bytes(text.as_bytes()).to_owned();
    let (name, value) = variable.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        Refusal::new(RefusalReason::BadParameter, format!("{variable:?} is no variable, expected NAME=value"))
    })?;
    Ok((owned(name), owned(value)))
}
