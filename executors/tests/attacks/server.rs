//! A PostgreSQL server of the tests' own: in a directory that goes with it, without TCP, as the user `postgres`.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Shared by the tests that run at one time; ended with the last of them.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

const ROLES: &str = "CREATE TABLE notes (id int PRIMARY KEY, note text);
    INSERT INTO notes VALUES (1, 'please update me'), (2, 'drop table notes');
    CREATE ROLE reader LOGIN PASSWORD 'of the reader'; GRANT SELECT ON notes TO reader;
    CREATE ROLE writer LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO writer;
    CREATE FUNCTION sneak() RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES (99, ''sneaked'') RETURNING id';";
/// Only the reader needs a password, by SCRAM.
const ACCESS: &str = "local all reader scram-sha-256\nlocal all all trust\n";

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    directory: tempfile::TempDir,
    programs: PathBuf,
}

impl Server {
    /// The running one, or nothing where PostgreSQL is not installed.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let programs = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
        let Some(programs) = programs.filter(|programs| programs.join("postgres").exists()).last() else {
            println!("skipped: PostgreSQL is not installed; scripts/setup installs it");
            return None;
        };
        let server = Arc::new(Self::start(programs));
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    fn start(programs: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (user, group) = (id("-u"), id("-g"));
        chown(directory.path(), Some(user), Some(group)).unwrap();
        let data = directory.path().join("data");
        let as_postgres = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.uid(user).gid(group).current_dir("/").stdout(Stdio::null()).stdin(Stdio::null());
            command
        };
        let made = as_postgres("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success());
        fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
        let child = as_postgres("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", directory.path().display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, directory, programs };
        let begun = Instant::now();
        while !server.sql("SELECT 1").status.success() {
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(server.sql(ROLES).status.success());
        server
    }

    /// Its socket's directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// As the superuser, by psql.
    pub(crate) fn sql(&self, text: &str) -> std::process::Output {
        let psql = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                text,
                "-h",
            ])
            .arg(self.path())
            .output();
        psql.unwrap()
    }

    /// The text of one value.
    pub(crate) fn value(&self, query: &str) -> String {
        let output = self.sql(query);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // "Fast": it ends its sessions and itself.
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("the server can be told to end");
        self.child.wait().expect("the server is reaped");
    }
}

fn id(what: &str) -> u32 {
    let output = Command::new("id").args([what, "postgres"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("the package has made the user postgres")
}
