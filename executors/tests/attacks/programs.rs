//! Programs: what is decided on is what is started, under whatever name it is asked for, and it starts nothing else.

use crate::executor::{Executor, bounds, directory, prepare};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, NOT_STARTED, Order, Prepared, Report, Task};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

fn task(argv: &[&str]) -> Task {
    Task::Exec {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        search: vec!["/none".to_owned(), "/usr/bin".to_owned(), "/bin".to_owned()],
        env: vec!["PATH=/usr/bin:/bin".to_owned(), "MARK=a=b".to_owned()],
        cwd: "/".to_owned(),
    }
}

fn start(mut executor: Executor, executables: &[&str], input: &[u8]) -> (String, Option<i32>) {
    let executables = executables.iter().map(|&path| path.to_owned()).collect();
    executor.order(&Order::Perform { bounds: Bounds { executables, ..bounds() } });
    executor.send(input);
    executor.end()
}

/// Output and exit code of a program that may execute `executables` too.
fn run(argv: &[&str], executables: &[&str]) -> (String, Option<i32>) {
    start(prepare(&task(argv)).unwrap().0, executables, b"")
}

fn look(argv: &[&str]) -> Result<Prepared, RefusalReason> {
    prepare(&task(argv)).map(|(_, prepared)| prepared)
}

fn real(path: &str) -> String {
    Path::new(path).canonicalize().unwrap().to_str().unwrap().to_owned()
}

fn executable(path: &str, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_shell_runs_and_what_it_may_not_execute_does_not() {
    let (output, code) = run(&["sh", "-c", "echo ok; echo $MARK; pwd"], &[]);
    assert_eq!((output.as_str(), code), ("ok\na=b\n/\n", Some(0)));
    // 126 is the shell's word for EACCES.
    assert_eq!(run(&["sh", "-c", "/usr/bin/id 2>&1"], &[]).1, Some(126));
    let (output, code) = run(&["sh", "-c", "exec /usr/bin/id 2>&1"], &[]);
    assert!(code == Some(126) && output.contains("Permission denied"), "{output}");
    for allowed in ["/usr/bin/id", "/usr/bin"] {
        let (output, code) = run(&["sh", "-c", "/usr/bin/id"], &[allowed, "/none"]);
        assert!(code == Some(0) && output.starts_with("uid="), "{allowed}: {output}");
    }
    assert_eq!(run(&["env", "/usr/bin/id"], &[]).1, Some(126));
    assert_eq!(run(&["env", "/usr/bin/id"], &["/usr/bin/id"]).1, Some(0));
}

#[test]
fn every_name_of_a_program_is_its_real_one() {
    let (_directory, root) = directory();
    symlink("/bin/sh", format!("{root}/harmless")).unwrap();
    let shell = real("/bin/sh");
    for name in ["sh", "/bin/sh", "/usr/bin/../bin/sh", &format!("{root}/harmless"), "bin/sh"] {
        let prepared = look(&[name, "-c", "echo"]).unwrap();
        assert_eq!(prepared.program.as_deref(), Some(shell.as_str()), "{name}");
    }
    assert_eq!(look(&["env", "sh"]).unwrap().program, Some(real("/usr/bin/env")));
    // The dynamic loader, started itself, is what is started, whatever it would load.
    let loader = "/lib64/ld-linux-x86-64.so.2";
    assert_eq!(look(&[loader, "/usr/bin/id"]).unwrap().program, Some(real(loader)));
    let prepared = look(&["sh", "-c", "echo two\nlines"]).unwrap();
    assert_eq!(prepared.preview.as_deref(), Some("sh\n-c\necho two\nlines\n"));
    assert_eq!(look(&["no-such-program"]), Err(RefusalReason::NotFound));
    assert_eq!(look(&["/usr/bin"]), Err(RefusalReason::WrongType));
    assert_eq!(look(&["/dev/null"]), Err(RefusalReason::WrongType));
    assert_eq!(look(&[]), Err(RefusalReason::IncompleteRequest));
    assert_eq!(look(&["sh", "a\0b"]), Err(RefusalReason::BadParameter));
}

#[test]
fn busybox_is_busybox_by_every_name() {
    let (_directory, root) = directory();
    // One program with many names; where busybox is not installed, a copy of a shell is one as well.
    let many = if Path::new("/bin/busybox").exists() { "/bin/busybox" } else { "/bin/sh" };
    let busybox = format!("{root}/busybox");
    fs::copy(many, &busybox).unwrap();
    symlink("busybox", format!("{root}/cat")).unwrap();
    fs::hard_link(&busybox, format!("{root}/ls")).unwrap();
    assert_eq!(look(&[&format!("{root}/cat")]).unwrap().program, Some(busybox.clone()));
    // A hard link has no other path: it is its own, and a rule for busybox does not allow it.
    assert_eq!(look(&[&format!("{root}/ls")]).unwrap().program, Some(format!("{root}/ls")));
}

#[test]
fn what_has_no_path_is_not_started() {
    let memory = rustix::fs::memfd_create("program", rustix::fs::MemfdFlags::empty()).unwrap();
    let own = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&memory));
    rustix::io::write(&memory, &fs::read("/bin/true").unwrap()).unwrap();
    for name in [own.as_str(), "/proc/self/exe", "/dev/fd/0", "/proc/self/root/bin/sh", "/proc/self/cwd/bin/sh"] {
        assert_eq!(look(&[name]), Err(RefusalReason::PathEscapes), "{name}");
    }
    assert!(look(&["/bin/true"]).is_ok());
}

#[test]
fn a_script_is_its_interpreters_too() {
    let (_directory, root) = directory();
    let (script, outer) = (format!("{root}/script"), format!("{root}/outer"));
    executable(&script, b"#!/bin/sh\necho \"$1 $(cat)\"\n");
    executable(&outer, format!("#!{script} argument\n").as_bytes());
    let prepared = look(&[&script]).unwrap();
    assert_eq!((prepared.program, prepared.interpreters), (Some(script.clone()), vec![real("/bin/sh")]));
    let prepared = look(&[&outer]).unwrap();
    assert_eq!((prepared.program, prepared.interpreters), (Some(outer.clone()), vec![script.clone(), real("/bin/sh")]));
    let executor = prepare(&task(&[&script, "hello"])).unwrap().0;
    assert_eq!(start(executor, &["/usr/bin/cat"], b"input"), ("hello input\n".to_owned(), Some(0)));
    // `cat` was not the policy's.
    let executor = prepare(&task(&[&script, "hello"])).unwrap().0;
    assert_eq!(start(executor, &[], b"input"), ("hello \n".to_owned(), Some(0)));
    executable(&script, format!("#!{script}\n").as_bytes());
    assert_eq!(look(&[&script]), Err(RefusalReason::HostRefused), "an interpreter of itself");
    executable(&script, b"echo no first line\n");
    assert_eq!(look(&[&script]), Err(RefusalReason::HostRefused), "the C library would hand it to a shell");
    executable(&script, b"\x7fELF broken");
    assert_eq!(look(&[&script]), Err(RefusalReason::HostRefused));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(look(&[&script]), Err(RefusalReason::HostRefused));
}

#[test]
fn the_file_that_was_looked_at_is_started_whatever_is_at_its_path_now() {
    let (_directory, root) = directory();
    let (program, other) = (format!("{root}/program"), format!("{root}/other"));
    executable(&program, b"#!/bin/sh\necho old\n");
    executable(&other, b"#!/bin/sh\necho new\n");
    let (executor, _) = prepare(&task(&[&program])).unwrap();
    fs::rename(&other, &program).unwrap();
    assert_eq!(start(executor, &[], b"").0, "old\n");
    assert_eq!(run(&[&program], &[]).0, "new\n");
    // The kernel opens an interpreter by name; another file there is not executed.
    let (interpreter, script) = (format!("{root}/interpreter"), format!("{root}/script"));
    fs::copy("/bin/sh", &interpreter).unwrap();
    executable(&script, format!("#!{interpreter}\necho ran\n").as_bytes());
    assert_eq!(run(&[&script], &[]).0, "ran\n");
    let (executor, _) = prepare(&task(&[&script])).unwrap();
    fs::copy("/bin/sh", format!("{root}/second")).unwrap();
    fs::rename(format!("{root}/second"), &interpreter).unwrap();
    let (output, code) = start(executor, &[], b"");
    let refused =
        matches!(serde_json::from_str(&output), Ok(Report::Refused { reason: RefusalReason::HostRefused, .. }));
    assert!(refused && output.contains("ermission denied") && code == Some(i32::from(NOT_STARTED)), "{output}");
}

#[test]
fn an_approval_holds_for_the_script_that_was_shown() {
    let (_directory, root) = directory();
    let script = format!("{root}/script");
    executable(&script, b"#!/bin/sh\necho old\n");
    let approved = |prepared: Prepared| Bounds { state: Some(prepared.state.unwrap()), ..bounds() };
    let (mut executor, prepared) = prepare(&task(&[&script])).unwrap();
    // In place, so that it is the same file, and with its time put back.
    let times = fs::metadata(&script).unwrap().modified().unwrap();
    fs::write(&script, b"#!/bin/sh\necho new\n").unwrap();
    fs::File::open(&script).unwrap().set_modified(times).unwrap();
    let report = executor.perform(approved(prepared));
    assert!(matches!(report, Report::Refused { reason: RefusalReason::ApprovalActionMismatch, .. }), "{report:?}");
    let (mut executor, prepared) = prepare(&task(&[&script])).unwrap();
    executor.order(&Order::Perform { bounds: approved(prepared) });
    assert_eq!(executor.end(), ("new\n".to_owned(), Some(0)));
}

#[test]
fn a_long_command_is_shown_as_far_as_it_can_be_read() {
    let long = "x".repeat(100_000);
    let preview = look(&["true", &long]).unwrap().preview.unwrap();
    assert!(preview.len() < 66_000 && preview.contains("more bytes are not shown"), "{} bytes", preview.len());
}

#[test]
fn what_follows_the_order_is_the_programs_input_byte_for_byte() {
    let mut executor = prepare(&task(&["cat"])).unwrap().0;
    let mut bytes = serde_json::to_vec(&Order::Perform { bounds: bounds() }).unwrap();
    bytes.extend_from_slice(b"\nfirst\n{\"order\":\"perform\"}\nlast");
    executor.send(&bytes);
    assert_eq!(executor.end(), ("first\n{\"order\":\"perform\"}\nlast".to_owned(), Some(0)));
}

#[test]
fn a_program_gets_its_environment_and_nothing_of_ours() {
    let (output, _) = run(&["env"], &[]);
    let mut variables: Vec<_> = output.lines().collect();
    variables.sort_unstable();
    assert_eq!(variables, ["MARK=a=b", "PATH=/usr/bin:/bin"]);
    // What the executor itself was started with it passes on; here that is what this test was started with.
    let (output, _) = run(&["ls", "/proc/self/fd"], &[]);
    let direct = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    assert_eq!(output, String::from_utf8(direct.stdout).unwrap());
    assert!(matches!(look_with(&["NAME"]), Err(RefusalReason::BadParameter)));
    assert!(look_with(&["NAME=", "OTHER=x=y"]).is_ok());
}

fn look_with(env: &[&str]) -> Result<Prepared, RefusalReason> {
    let Task::Exec { argv, search, cwd, .. } = task(&["true"]) else { unreachable!() };
    let env = env.iter().map(|&variable| variable.to_owned()).collect();
    prepare(&Task::Exec { argv, search, env, cwd }).map(|(_, prepared)| prepared)
}
