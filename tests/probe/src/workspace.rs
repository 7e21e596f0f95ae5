//! Paths that lead out of the workspace: links, `..`, magic links of /proc, and moving the workspace itself.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    denials::TREE,
    host_files::canary,
    outcome::{Attempt, Refusal, Step, reached},
    params::{Params, c_path},
    primitive::{Control::Root, Primitive},
    syscall::{call, call_fd, w},
};

const RENAME_EXCHANGE: u32 = 2;

const fn lead(id: &'static str, tries: &'static str, run: fn(&Params) -> Attempt) -> Primitive {
    Primitive { id, tries, denials: TREE, control: Root, run }
}

pub(crate) const PRIMITIVES: &[Primitive] = &[
    lead("launcher.symlink_to_root", "a link to / in the workspace, then host_file through it", |p| {
        through_link(p, Path::new("/"))
    }),
    lead("launcher.symlink_dots", "a link to ../../… in the workspace, then host_file through it", |p| {
        through_link(p, Path::new(&"../".repeat(40)))
    }),
    lead("launcher.symlink_proc_root", "a link to /proc/self/root in the workspace, then host_file through it", |p| {
        through_link(p, Path::new("/proc/self/root"))
    }),
    lead(
        "launcher.symlink_init_root",
        "a link to /proc/init_pid/root in the workspace, then host_file through it",
        |p| through_link(p, Path::new(&format!("/proc/{}/root", p.init_pid()?))),
    ),
    lead("launcher.dots", "workspace/../../…/host_file", |p| {
        canary(p, &p.workspace()?.join("../".repeat(40)).join(below_root(p)?))
    }),
    lead("launcher.proc_root", "/proc/self/root/host_file", |p| {
        canary(p, &Path::new("/proc/self/root").join(below_root(p)?))
    }),
    lead("launcher.proc_cwd", "/proc/self/cwd/../../…/host_file", |p| {
        canary(p, &Path::new("/proc/self/cwd").join("../".repeat(40)).join(below_root(p)?))
    }),
    lead("launcher.thread_root", "/proc/thread-self/root/../../host_file", |p| {
        canary(p, &Path::new("/proc/thread-self/root/../..").join(below_root(p)?))
    }),
    lead("launcher.openat_dots", "openat from a descriptor of the workspace with ../../…/host_file", from_descriptor),
    lead("launcher.hard_link", "a hard link to host_file in the workspace's file system", hard_link),
    lead("launcher.rename_workspace", "rename the workspace away (and back)", |p| {
        let workspace = p.workspace()?;
        let away = beside(&workspace)?;
        fs::rename(&workspace, &away)?;
        fs::rename(&away, &workspace).step("rename it back")?;
        reached("renamed and back")
    }),
    lead("launcher.exchange_workspace", "exchange the workspace with a directory of its own (and back)", exchange),
    lead("launcher.rename_over_mount", "rename a directory of its own over the workspace", |p| {
        // A directory that is not empty is never replaced, so what is in the workspace stays even where this is
        // allowed.
        let (from, workspace) = (p.scratch()?, p.workspace()?);
        let keeper = own_name(p)?;
        fs::write(&keeper, "").step("put a file into the workspace")?;
        let renamed = fs::rename(&from, &workspace);
        fs::remove_file(&keeper).step("remove the file")?;
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                reached("only its contents keep it there")
            }
            other => {
                other?;
                reached("replaced the workspace")
            }
        }
    }),
];

/// `host_file` without its leading slash.
fn below_root(p: &Params) -> Result<PathBuf, Refusal> {
    let path = Path::new(p.text("host_file")?);
    Ok(path.strip_prefix("/").unwrap_or(path).to_owned())
}

fn own_name(p: &Params) -> Result<PathBuf, Refusal> {
    Ok(p.workspace()?.join(format!(".probe-link-{}", std::process::id())))
}

fn through_link(p: &Params, target: &Path) -> Attempt {
    let rest = below_root(p)?;
    let link = own_name(p)?;
    symlink(target, &link).step("make the link")?;
    let attempt = canary(p, &link.join(rest));
    fs::remove_file(&link).step("remove the link")?;
    attempt
}

fn from_descriptor(p: &Params) -> Attempt {
    let directory = c_path(&p.workspace()?)?;
    let fd = crate::syscall::open(&directory, libc::O_DIRECTORY).step("open the workspace")?;
    let path = c_path(&Path::new(&"../".repeat(40)).join(below_root(p)?))?;
    let opened = call_fd(libc::SYS_openat, &[w(fd), w(path.as_c_str()), w(libc::O_RDONLY)])?;
    canary(p, Path::new(&format!("/proc/self/fd/{opened}")))
}

/// A hard link works within one file system; so the link is made beside the file if the workspace is on another.
fn hard_link(p: &Params) -> Attempt {
    let (file, link) = (PathBuf::from(p.text("host_file")?), own_name(p)?);
    match fs::hard_link(&file, &link) {
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) && file.exists() => {
            let beside = file.with_extension("link");
            fs::hard_link(&file, &beside)?;
            fs::remove_file(&beside).step("remove the link")?;
        }
        other => {
            other?;
            fs::remove_file(&link).step("remove the link")?;
        }
    }
    reached("a second name for the host's file")
}

fn beside(path: &Path) -> Result<PathBuf, Refusal> {
    let name = path.file_name().ok_or_else(|| Refusal::Error("the workspace is / here; pass workspace=".into()))?;
    Ok(path.with_file_name(format!("{}.probe-moved", name.to_string_lossy())))
}

fn exchange(p: &Params) -> Attempt {
    let workspace = p.workspace()?;
    let other = beside(&workspace)?;
    fs::create_dir(&other).step("make a directory beside the workspace")?;
    let (a, b) = (c_path(&workspace)?, c_path(&other)?);
    let swap = || {
        let words = [w(libc::AT_FDCWD), w(a.as_c_str()), w(libc::AT_FDCWD), w(b.as_c_str()), w(RENAME_EXCHANGE)];
        call(libc::SYS_renameat2, &words).map(drop)
    };
    let swapped = swap().and_then(|()| swap());
    fs::remove_dir(&other).step("remove the directory")?;
    swapped?;
    reached("exchanged and back")
}
