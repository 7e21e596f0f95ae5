//! FUSE: the kernel's requests translated to calls of [`Tree`], and its answers to replies.
//!
//! The only room that names fuser. Nothing is decided here but how long the kernel may remember an answer.

mod expiry;
mod requests;
mod words;

use self::expiry::Expiry;
use self::words::errno;

use crate::area::Caller;
use crate::attributes::Attributes;
use crate::nodes::NodeId;
use crate::tree::{Entry, Handle, Io, NewFile, Opened, Tree};
use fuser::{
    BackingId, Config, FileAttr, FopenFlags, Generation, INodeNo, Notifier, ReplyAttr, ReplyEmpty, ReplyEntry, Request,
    Session, SessionACL,
};
use rustix::io::Errno as Error;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Names change only through the tree, so the kernel may remember them.
const NAMES: Duration = Duration::from_secs(3600);
/// Attributes of a file that is written through a mapping change without us.
const ATTRIBUTES: Duration = Duration::from_secs(1);
/// Waits for the disk of one mount that have a thread of their own; further ones keep the mount waiting.
const MOST_WAITS: usize = 16;

/// How a mount is served.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The user whom the files belong to.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// Give the kernel the backing files.
    pub passthrough: bool,
    /// Let root make idmapped mounts of it. The kernel then tells who asks only where a file is made.
    pub idmapped: bool,
}

/// A tree that the kernel, the clock and the daemon all ask.
pub type SharedTree = Arc<Mutex<Tree>>;

/// The tree, whoever else was in it: a panic there left it as a request would find it between two steps.
pub fn lock(tree: &Mutex<Tree>) -> MutexGuard<'_, Tree> {
    tree.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel remembers and must be told of.
#[derive(Clone, Debug)]
struct Kernel(Notifier);

impl Kernel {
    /// A name has gone without the kernel's doing; watchers (inotify) hear of it.
    ///
    /// # Errors
    /// When the kernel refuses; a name that it did not know is no error.
    fn removed(&self, parent: NodeId, node: NodeId, name: &OsStr) -> io::Result<()> {
        self.0.delete(INodeNo(parent.0), INodeNo(node.0), name)
    }
}

/// A mount that has answered the kernel's first request.
#[derive(Debug)]
pub struct Mounted {
    session: Session<Adapter>,
    expiry: Arc<Expiry>,
}

impl Mounted {
    /// Answers FUSE_INIT on a mounted /dev/fuse.
    ///
    /// # Errors
    /// When the device is not mounted, or the kernel's FUSE is too old.
    pub fn new(tree: SharedTree, terms: Terms, device: OwnedFd) -> io::Result<Self> {
        let mut config = Config::default();
        config.acl = SessionACL::All;
        let expiry = Arc::new(Expiry::new(Arc::downgrade(&tree)));
        let adapter =
            Adapter { tree, terms, backing: Mutex::default(), waits: Arc::default(), expiry: Arc::clone(&expiry) };
        let session = Session::from_fd(adapter, device, SessionACL::All, config)?;
        expiry.begin(Kernel(session.notifier()));
        Ok(Self { session, expiry })
    }

    /// Serves until the file system is unmounted.
    ///
    /// # Errors
    /// When the device fails.
    pub fn serve(self) -> io::Result<()> {
        // What was found since may expire.
        self.expiry.look();
        self.session.run()
    }
}

/// A backing file that the kernel was given, and the handles that go to it.
#[derive(Debug)]
struct Backing {
    id: Arc<BackingId>,
    handles: HashSet<u64>,
}

#[derive(Debug)]
struct Adapter {
    tree: SharedTree,
    terms: Terms,
    /// One for an inode at a time, as the kernel demands, from its first handle to its last.
    backing: Mutex<HashMap<NodeId, Backing>>,
    waits: Arc<AtomicUsize>,
    expiry: Arc<Expiry>,
}

/// How a handle is answered.
enum Way {
    Plain(FopenFlags),
    Backed(FopenFlags, Arc<BackingId>),
}

impl Adapter {
    fn caller(&self, request: &Request) -> Caller {
        match request.uid() {
            0 => Caller::Root,
            uid if uid == self.terms.uid => Caller::Agent,
            // Nobody else reaches such a mount, and whoever it is has passed the kernel's own check.
            _ if self.terms.idmapped => Caller::Agent,
            _ => Caller::Other,
        }
    }

    fn attr(&self, attributes: &Attributes) -> FileAttr {
        FileAttr {
            ino: INodeNo(attributes.ino),
            size: attributes.size,
            blocks: attributes.blocks,
            atime: words::system_time(attributes.accessed),
            mtime: words::system_time(attributes.modified),
            ctime: words::system_time(attributes.changed),
            crtime: SystemTime::UNIX_EPOCH,
            kind: words::kind(attributes.file_type),
            perm: attributes.mode,
            nlink: attributes.links,
            uid: self.terms.uid,
            gid: self.terms.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn reply_entry(&self, reply: ReplyEntry, entry: Result<Entry, Error>) {
        match entry {
            Ok(entry) => {
                let names = if entry.stable { NAMES } else { Duration::ZERO };
                let attributes = if entry.stable { ATTRIBUTES } else { Duration::ZERO };
                reply.entry_with_ttls(&attributes, &names, &self.attr(&entry.attributes), Generation(0));
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn reply_attr(&self, reply: ReplyAttr, node: INodeNo, attributes: Result<Attributes, Error>) {
        match attributes {
            Ok(attributes) => {
                let stable = crate::tree::is_lasting(NodeId(node.0));
                reply.attr(if stable { &ATTRIBUTES } else { &Duration::ZERO }, &self.attr(&attributes));
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    /// Gives the kernel the backing file, or the one that it has for this inode already.
    fn way(&self, opened: &Opened, register: impl FnOnce(&OwnedFd) -> io::Result<BackingId>) -> Way {
        let (file, flags) = match &opened.io {
            Io::Cached => return Way::Plain(FopenFlags::FOPEN_NOFLUSH),
            Io::Direct => return Way::Plain(FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_DIRECT_IO),
            Io::Passthrough(file) => (file, FopenFlags::FOPEN_NOFLUSH),
            Io::PassthroughMappings(file) => (file, FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_DIRECT_IO),
        };
        let direct = Way::Plain(FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_DIRECT_IO);
        if !self.terms.passthrough {
            return direct;
        }
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = backing.get_mut(&opened.node) {
            known.handles.insert(opened.handle.0);
            return Way::Backed(flags, Arc::clone(&known.id));
        }
        match register(file) {
            Ok(id) => {
                let id = Arc::new(id);
                backing.insert(opened.node, Backing { id: Arc::clone(&id), handles: HashSet::from([opened.handle.0]) });
                Way::Backed(flags, id)
            }
            // The backing file system is stacked too deep, for example: slower, and no shared mappings.
            Err(_) => direct,
        }
    }

    fn release_backing(&self, node: NodeId, handle: Handle) {
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = backing.get_mut(&node) {
            known.handles.remove(&handle.0);
            if known.handles.is_empty() {
                backing.remove(&node);
            }
        }
    }

    /// Waits for the disk, and lets the mount's other requests go on meanwhile.
    fn sync(&self, handle: u64, data_only: bool, reply: ReplyEmpty) {
        let file = match lock(&self.tree).to_sync(Handle(handle)) {
            Ok(Some(file)) => file,
            Ok(None) => return reply.ok(),
            Err(error) => return reply.error(errno(error)),
        };
        let waits = Arc::clone(&self.waits);
        let wait = move || {
            match Tree::sync_file(&file, data_only) {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
            waits.fetch_sub(1, Ordering::Relaxed);
        };
        if self.waits.fetch_add(1, Ordering::Relaxed) < MOST_WAITS {
            std::thread::spawn(wait);
        } else {
            wait();
        }
    }

    fn make(&self, request: &Request, parent: INodeNo, name: &OsStr, what: NewFile<'_>, reply: ReplyEntry) {
        let entry = lock(&self.tree).make(self.caller(request), NodeId(parent.0), name, what);
        self.reply_entry(reply, entry);
    }
}
