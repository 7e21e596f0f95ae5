//! Promise 6: what counts against a quota is what is there, however a name is taken away and whoever still holds the file.

use mounted::{AGENT, Mount, Server, Store, Wanted, as_user};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tests::disk::{Ext4, empty_ext4};
use tests::{binary, stderr, stdout, wait_until};

const SOON: Duration = Duration::from_secs(10);
const MEBIBYTE: u64 = 1 << 20;

fn wanted() -> Wanted {
    Wanted { bytes: 16 * MEBIBYTE, inodes: 100, ..Wanted::default() }
}

fn server() -> Server {
    Server::start(&binary("agentos-vfs")).expect("the server starts")
}

/// Bytes and files of `/state`.
fn used(server: &Server, mount: &Mount) -> (u64, u64) {
    let used = server.usage(mount).expect("known");
    let number = |name: &str| used["state"][name].as_u64().expect("a number");
    (number("bytes"), number("inodes"))
}

/// Python as the agent in `/state`, line by line: each prints a line when it is done.
struct Agent(Child);

impl Agent {
    fn new(mount: &Mount) -> Self {
        let mut python: Command = as_user(AGENT, "/usr/bin/python3");
        let loop_of_lines = "import sys, os\nfor line in sys.stdin: exec(line, globals()); print(flush=True)";
        python.args(["-c", loop_of_lines]).current_dir(mount.path().join("state"));
        Self(python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3"))
    }

    fn does(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().expect("its input"), "{line}").expect("written");
        let mut done = String::new();
        BufReader::with_capacity(1, self.0.stdout.as_mut().expect("its output")).read_line(&mut done).expect("read");
        assert_eq!(done, "\n", "{line}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("python3 did not end: {error}");
        }
    }
}

#[test]
fn a_file_without_a_name_counts_while_anybody_holds_it_and_once() {
    if !tests::is_root() {
        return;
    }
    let (server, store) = (server(), Store::new().expect("a store"));
    let mount = server.mount(&store, &wanted()).expect("served");
    let mut agent = Agent::new(&mount);
    agent.does("open('a', 'wb').write(bytes(1 << 20)); p = os.open('a', os.O_PATH)");
    assert_eq!(used(&server, &mount), (MEBIBYTE + 4096, 1), "control");
    agent.does("os.unlink('a')");
    assert_eq!(used(&server, &mount), (MEBIBYTE + 4096, 1), "a descriptor that only names it holds it");
    agent.does("[os.close(os.open(f'/proc/self/fd/{p}', os.O_RDWR)) for _ in range(20)]");
    agent.does("os.truncate(f'/proc/self/fd/{p}', 2 << 20)");
    assert_eq!(used(&server, &mount), (2 * MEBIBYTE + 4096, 1), "opened and closed again, and made larger");
    agent.does("os.close(p)");
    wait_until("what it held to be free", SOON, || used(&server, &mount) == (0, 0));
}

#[test]
fn every_name_counts() {
    if !tests::is_root() {
        return;
    }
    let (server, store) = (server(), Store::new().expect("a store"));
    let mount = server.mount(&store, &wanted()).expect("served");
    let mut agent = Agent::new(&mount);
    agent.does("open('a', 'wb').write(bytes(4096)); [os.link('a', f'b{i}') for i in range(9)]");
    assert_eq!(used(&server, &mount), (11 * 4096, 10));
    agent.does("n = 0");
    let refused = "
try:
    for i in range(200): os.link('a', f'c{i}'); n += 1
except OSError as error: assert error.errno == 122, error";
    agent.does(&format!("exec({refused:?})"));
    assert_eq!(used(&server, &mount).1, 100, "EDQUOT (122) at the bound");
    agent.does("[os.unlink(name) for name in os.listdir('.')]");
    wait_until("all of it to be free", SOON, || used(&server, &mount) == (0, 0));
}

/// What the directories of a part take on the disk beyond 4 KiB each, as the host sees it.
fn of_directories(root: &Path) -> u64 {
    let entries = std::fs::read_dir(root).expect("a directory of the store").flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let own = std::fs::metadata(root).expect("a directory of the store").len();
    own.next_multiple_of(4096).saturating_sub(4096) + below.map(|entry| of_directories(&entry.path())).sum::<u64>()
}

#[test]
fn directories_that_have_grown_count_and_cannot_grow_past_the_quota() {
    if !tests::is_root() {
        return;
    }
    let (mut server, store) = (server(), Store::new().expect("a store"));
    let wanted = Wanted { bytes: 4 * MEBIBYTE, inodes: 600, ..Wanted::default() };
    let mount = server.mount(&store, &wanted).expect("served");
    let state = store.path().join("state");
    let mut agent = Agent::new(&mount);
    agent.does("names = [f'{i:03}' + 'n' * 250 for i in range(100)]; os.mkdir('d0'); d = 0");
    agent.does("[open(f'd0/{name}', 'w').close() for name in names]");
    agent.does("os.mkdir('d1'); [os.rename(f'd0/{name}', f'd1/{name}') for name in names]; d = 1");
    let counted = used(&server, &mount);
    assert_eq!(counted, (102 * 4096 + of_directories(&state), 102));
    assert!(of_directories(&state) >= 2 * 6 * 4096, "the control: this file system's directories grow");
    let refused = "
try:
    while True:
        os.mkdir(f'd{d + 1}'); [os.rename(f'd{d}/{name}', f'd{d + 1}/{name}') for name in names]; d += 1
except OSError as error: assert error.errno == 28, error";
    agent.does(&format!("exec({refused:?})"));
    let full = used(&server, &mount);
    assert_eq!(full.0, full.1 * 4096 + of_directories(&state));
    assert!(full.0 > 4 * MEBIBYTE - 8192 && full.0 < 4 * MEBIBYTE + 16384, "ENOSPC (28) at the bound: {full:?}");
    // Whoever counts anew finds the same.
    server.kill();
    let server = self::server();
    let mount = server.mount(&store, &wanted).expect("served again");
    assert_eq!(
        std::fs::read_dir(mount.path().join("state")).expect("the part").count(),
        usize::try_from(full.1 - 100).expect("small")
    );
    assert_eq!(used(&server, &mount), full);
    let mut agent = Agent::new(&mount);
    agent.does("import shutil; [shutil.rmtree(d) for d in os.listdir('.')]");
    wait_until("all of it to be free", SOON, || used(&server, &mount) == (of_directories(&state), 0));
}

#[test]
fn what_nobody_can_name_any_more_is_not_counted_by_the_next_run() {
    if !tests::is_root() {
        return;
    }
    let (server, store) = (server(), Store::new().expect("a store"));
    let mount = server.mount(&store, &wanted()).expect("served");
    let mut agent = Agent::new(&mount);
    agent.does(
        "f = [open(f'{i}', 'wb') for i in range(50)]; [x.write(bytes(1 << 16)) for x in f]; [x.flush() for x in f]",
    );
    agent.does("[os.unlink(f'{i}') for i in range(50)]; open('stays', 'w').write('x')");
    assert_eq!(used(&server, &mount).1, 51, "control: they are open");
    server.end(mount).expect("ended");
    drop(agent);
    let mount = server.mount(&store, &wanted()).expect("served again");
    assert_eq!(used(&server, &mount), (2 * 4096, 1));
}

#[test]
fn what_a_full_disk_left_of_an_allocation_counts() {
    if !tests::is_root() {
        return;
    }
    let image = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(image.path(), empty_ext4(64)).expect("our own file");
    let ext4 = Ext4::mount(image.path());
    let (server, store) = (server(), Store::at(&ext4.path().join("store")).expect("a store"));
    let mount = server.mount(&store, &Wanted { bytes: 200 * MEBIBYTE, ..wanted() }).expect("served");
    let mut agent = Agent::new(&mount);
    agent.does("open('keep', 'wb').write(bytes(4 << 20)); f = open('a', 'wb')");
    let refused = "
try: os.posix_fallocate(f.fileno(), 0, 150 << 20)
except OSError as error: assert error.errno == 28, error
else: raise SystemExit('allocated')";
    agent.does(&format!("exec({refused:?})"));
    let size = std::fs::metadata(store.path().join("state/a")).expect("the file").len();
    assert_eq!(
        used(&server, &mount),
        (4 * MEBIBYTE + size.next_multiple_of(4096) + 8192, 2),
        "ENOSPC (28) of the disk"
    );
    agent.does("f.close(); os.unlink('a')");
    wait_until("it to be free", SOON, || used(&server, &mount) == (4 * MEBIBYTE + 4096, 1));
    drop(agent);
    server.end(mount).expect("ended");
    drop((server, store, ext4));
}

#[test]
fn what_one_mount_has_open_is_bounded_and_leaves_the_others_room() {
    /// As fuse-vfs/src/tree/handles.rs has it: 16384, or a quarter of what the server's process may have besides its reserve.
    fn most(server: &Server) -> u64 {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("a process of ours");
        let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
        let soft = line.split_whitespace().nth(3).and_then(|word| word.parse::<u64>().ok()).expect("a number");
        (16 << 10).min((soft - 4096).max(soft / 2) / 4)
    }
    if !tests::is_root() {
        return;
    }
    let (server, stores) = (server(), [Store::new().expect("a store"), Store::new().expect("a store")]);
    let [greedy, other] = stores.each_ref().map(|store| server.mount(store, &wanted()).expect("served"));
    let mut agent = Agent::new(&greedy);
    let most = most(&server);
    let all = format!(
        "
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({most} + 1000, {most} + 1000))
open('a', 'w').close()
held = []
try:
    while len(held) <= {most}: held.append(os.open('a', os.O_RDWR))
except OSError as error: assert error.errno == 23 and len(held) == {most}, (error, len(held))
else: raise SystemExit('no bound')"
    );
    agent.does(&format!("exec({all:?})"));
    let mut neighbour = Agent::new(&other);
    neighbour.does("held = [open(f'{i}', 'w') for i in range(50)]; [x.write('x') for x in held]");
    agent.does("[os.close(x) for x in held[:10]]; again = [os.open('a', os.O_RDWR) for _ in range(10)]");
}

#[test]
fn who_looks_at_an_agents_files_on_the_host_leaves_it_room() {
    if !tests::is_root() {
        return;
    }
    let (server, store) = (server(), Store::new().expect("a store"));
    let mount = server.mount(&store, &wanted()).expect("served");
    let look = format!(
        "
import os
held = []
try:
    while len(held) < 1000: held.append(os.open({:?}, os.O_RDONLY))
except OSError as error: print(error.errno, len(held))",
        mount.path()
    );
    let mut guest = as_user(AGENT + 1, "/usr/bin/python3");
    let output = guest.args(["-c", &look]).output().expect("python3");
    assert_eq!(stdout(&output), "23 256\n", "ENFILE (23): {}", stderr(&output));
    let mut agent = Agent::new(&mount);
    agent.does("open('a', 'w').close(); held = [os.open('a', os.O_RDONLY) for _ in range(900)]");
}

#[test]
fn a_time_to_live_needs_a_name() {
    if !tests::is_root() {
        return;
    }
    let (server, store) = (server(), Store::new().expect("a store"));
    let mount = server.mount(&store, &wanted()).expect("served");
    let mut agent = Agent::new(&mount);
    agent.does("os.chdir('../mem/working'); f = open('a', 'wb'); os.unlink('a')");
    let refused = "
try: os.setxattr(f.fileno(), 'user.agentos.ttl', b'0')
except FileNotFoundError: pass
else: raise SystemExit('set')";
    agent.does(&format!("exec({refused:?})"));
    agent.does("f = open('b', 'wb'); os.setxattr('b', 'user.agentos.ttl', b'0')");
    wait_until("the control to go", SOON, || !mount.path().join("mem/working/b").exists());
}
