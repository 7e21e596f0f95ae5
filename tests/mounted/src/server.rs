//! The process, and the orders to it.

use crate::control::Control;
use crate::mount::{Mount, Wanted};
use crate::{SERVER, Store, kernel};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running `agentos-vfs`. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    child: Child,
    control: Control,
    place: TempDir,
    mounts: AtomicU32,
}

impl Server {
    /// Starts `program` and waits until it answers.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub fn start(program: &Path) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("agentos-vfs-").tempdir().context("failed to make a directory")?;
        let log = File::create(place.path().join("log")).context("failed to make the server's log")?;
        let own = SERVER.to_string();
        let mut child = Command::new(program)
            .arg("--socket")
            .arg(place.path().join("socket"))
            .args(["--user", &own, "--group", &own])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("failed to share the server's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        match wait_ready(&mut child, place.path()) {
            Ok(control) => Ok(Self { child, control, place, mounts: AtomicU32::new(0) }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard streams.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Mounts `store` and a new working memory, as `wanted`.
    ///
    /// # Errors
    /// When the kernel or the server refuses.
    pub fn mount(&self, store: &Store, wanted: &Wanted) -> Result<Mount> {
        let name = format!("mount-{}", self.mounts.fetch_add(1, Ordering::Relaxed));
        let path = self.place.path().join(&name);
        fs::create_dir(&path).with_context(|| format!("failed to make {}", path.display()))?;
        let device = kernel::mount_fuse(&path)?;
        let mount = Mount::new(path, name);
        let working = kernel::tmpfs(wanted.bytes, wanted.inodes, SERVER)?;
        let order = wanted.order(mount.name());
        let store = store.open()?;
        self.control.order(&order, &[device.as_fd(), store.as_fd(), working.as_fd()])?;
        Ok(mount)
    }

    /// Puts `content` into the tree of `mount`, with these permission bits.
    ///
    /// # Errors
    /// When the server refuses, or `content` cannot be written to a file.
    pub fn publish(&self, mount: &Mount, (path, mode): (&str, u32), content: &[u8]) -> Result<()> {
        let file = self.place.path().join("published");
        fs::write(&file, content).context("failed to write what is published")?;
        let file = File::open(&file).context("failed to open what is published")?;
        let order = json!({"order": "publish", "mount": mount.name(), "path": path, "mode": mode});
        self.control.order(&order, &[file.as_fd()]).map(drop)
    }

    /// What `mount` holds, by part.
    ///
    /// # Errors
    /// When the server does not know it.
    pub fn usage(&self, mount: &Mount) -> Result<Value> {
        let mut answer = self.control.order(&json!({"order": "usage", "mount": mount.name()}), &[])?;
        Ok(answer["used"].take())
    }

    /// Ends `mount` in order: what is to be on disk is there afterwards.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn end(&self, mount: Mount) -> Result<()> {
        self.control.order(&json!({"order": "end", "mount": mount.name()}), &[])?;
        drop(mount);
        Ok(())
    }

    /// SIGKILL, and waits until it is gone. Its mounts stay, served by nobody.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    /// A tmpfs as the agent's, mounted like any other: what a mount is compared with.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn tmpfs_beside(&self, bytes: u64, user: u32) -> Result<Mount> {
        let name = format!("tmpfs-{}", self.mounts.fetch_add(1, Ordering::Relaxed));
        let path = self.place.path().join(&name);
        fs::create_dir(&path).with_context(|| format!("failed to make {}", path.display()))?;
        kernel::mount_tmpfs(&path, bytes, user)?;
        Ok(Mount::new(path, name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        eprintln!("mounted: failed to end agentos-vfs: {error}");
    }
}

fn wait_ready(child: &mut Child, place: &Path) -> Result<Control> {
    let socket: PathBuf = place.join("socket");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let ended = child.try_wait().context("failed to look after agentos-vfs")?;
        if ended.is_some() || Instant::now() > deadline {
            let log = fs::read_to_string(place.join("log")).unwrap_or_default();
            bail!("agentos-vfs did not become ready:\n{}", log.trim());
        }
        if socket.exists() {
            match Control::connect(&socket) {
                Ok(control) => return Ok(control),
                // Bound, but not listening yet.
                Err(error) if refused(&error) => {}
                Err(error) => return Err(error),
            }
        }
        ensure!(Instant::now() < deadline, "agentos-vfs does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn refused(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref() == Some(&rustix::io::Errno::CONNREFUSED))
}
