//! A log as its users have it: records go to a thread that owns the files, which answers when they are on disk.
//!
//! ```text
//!   append ──► queue ──► thread: takes all that wait, one write, one fdatasync ──► `done` of each
//!     full: refused at once                                                  └──► a checkpoint when it is due
//! ```

use super::error::{AppendError, OpenError};
use super::options::Options;
use super::recovery::{self, Recovery};
use super::sealed::Sealed;
use super::writer::{COMMIT_BYTES, Writer};
use crate::format::{Body, MAX_LINE};
use crate::note::{Signed, VerifyingKey};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records that may wait for the disk. Bodies are bounded, so this bounds the memory.
const WAITING: usize = 4096;
/// How often retention is asked when nothing is rotated.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

type Done = Box<dyn FnOnce(Result<Sealed, AppendError>) + Send>;
type Signing = SyncSender<Result<Option<Signed>, AppendError>>;

enum Message {
    Append(Body, Done),
    Checkpoint(Signing),
}

/// How a log is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Records that are sealed.
    pub size: u64,
    /// The first record that is kept.
    pub oldest: u64,
    /// The latest failure to write, sign or remove something; `None` when the latest attempt went well.
    pub trouble: Option<AppendError>,
}

/// An audit log that is open for writing. When it is dropped, what waits is sealed and signed.
#[derive(Debug)]
pub struct Log {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    status: Arc<Mutex<Status>>,
    key: VerifyingKey,
}

impl Log {
    /// Opens the log in `directory`, or makes it. What a crash has left is put in order and told.
    ///
    /// # Errors
    /// [`OpenError`]; a log that was changed, or is not whole, is refused and left as it is.
    ///
    /// ```
    /// use trust::{format::Body, log::{Log, Options}};
    /// let place = tempfile::tempdir()?;
    /// let (log, recovery) = Log::open(place.path(), Options::new("example.com/log".parse()?))?;
    /// assert!(recovery.created);
    /// let sealed = log.append_and_wait(Body::new(&serde_json::json!({"event": "started"}))?)?;
    /// assert_eq!(sealed.seq(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        let (writer, recovery) = recovery::open(directory, options)?;
        let key = writer.key.public().clone();
        let (queue, inbox) = sync_channel(WAITING);
        let status = Arc::new(Mutex::new(Status { size: recovery.size, oldest: writer.oldest, trouble: None }));
        let owner = Owner::new(writer, Arc::clone(&status));
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || owner.run(&inbox));
        let thread = Some(thread.map_err(OpenError::Thread)?);
        Ok((Self { queue: Some(queue), thread, status, key }, recovery))
    }

    /// Records `body`, without waiting: `done` is called on the log's thread when the record is on disk, or with the reason
    /// why it is not; at once and on this thread, when too many wait. It must be quick, must not panic and must not drop the log. If it is dropped without being called,
    /// which happens only when the thread has died, the record must be taken as not sealed.
    pub fn append(&self, body: Body, done: impl FnOnce(Result<Sealed, AppendError>) + Send + 'static) {
        let message = Message::Append(body, Box::new(done));
        let refused = match self.queue.as_ref().map(|queue| queue.try_send(message)) {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(message))) => Some((message, AppendError::Busy { waiting: WAITING })),
            Some(Err(TrySendError::Disconnected(message))) => Some((message, AppendError::Closed)),
            None => None,
        };
        if let Some((Message::Append(_, done), error)) = refused {
            done(Err(error));
        }
    }

    /// Records `body` and waits until it is on disk; for threads that may wait.
    ///
    /// # Errors
    /// Why it is not sealed.
    pub fn append_and_wait(&self, body: Body) -> Result<Sealed, AppendError> {
        let (answer, answered) = sync_channel(1);
        // Whoever waits is still there: it can do nothing else.
        let done = move |result| drop(answer.send(result));
        let queue = self.queue.as_ref().ok_or(AppendError::Closed)?;
        queue.send(Message::Append(body, Box::new(done))).map_err(|_| AppendError::Closed)?;
        answered.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Signs what is sealed now, and waits for it; `None` while there is nothing.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub fn checkpoint(&self) -> Result<Option<Signed>, AppendError> {
        let (answer, answered) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or(AppendError::Closed)?;
        queue.send(Message::Checkpoint(answer)).map_err(|_| AppendError::Closed)?;
        answered.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// How it is now. Readers in this process read up to [`Status::size`]: what is after it is not sealed.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies what the log signs.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Seals what waits, signs it and ends.
    ///
    /// # Errors
    /// When something of that has failed; what was sealed before stays so.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.end();
        self.status().trouble.map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.status.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(AppendError::Closed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's own.
struct Owner {
    writer: Writer,
    status: Arc<Mutex<Status>>,
    signed_at: Instant,
    retired_at: Instant,
    segments: usize,
}

impl Owner {
    fn new(writer: Writer, status: Arc<Mutex<Status>>) -> Self {
        let now = Instant::now();
        Self { segments: 0, writer, status, signed_at: now, retired_at: now }
    }

    fn run(mut self, inbox: &Receiver<Message>) {
        self.sign(None);
        loop {
            let wait = self.writer.options.checkpoint_every.saturating_sub(self.signed_at.elapsed());
            let wait = if self.writer.has_unsigned() { wait } else { RETENTION_EVERY };
            match inbox.recv_timeout(wait) {
                Ok(message) => self.serve(message, inbox),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.duties();
        }
        self.sign(None);
    }

    /// Takes all that waits, as far as one commit goes.
    fn serve(&mut self, first: Message, inbox: &Receiver<Message>) {
        let (mut bodies, mut dones, mut signing) = (Vec::new(), Vec::new(), None);
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some(message) = next.take() {
            match message {
                Message::Append(body, done) => {
                    bytes += body.as_str().len() + MAX_LINE - Body::MAX;
                    bodies.push(body);
                    dones.push(done);
                }
                Message::Checkpoint(answer) => {
                    signing = Some(answer);
                    break;
                }
            }
            if bytes <= COMMIT_BYTES - MAX_LINE {
                next = inbox.try_recv().ok();
            }
        }
        if !bodies.is_empty() {
            let result = self.writer.commit(&bodies);
            // Before the answers: whoever is told may look.
            self.note(result.as_ref().err());
            match result {
                Ok(sealed) => dones.into_iter().zip(sealed).for_each(|(done, sealed)| done(Ok(sealed))),
                Err(error) => dones.into_iter().for_each(|done| done(Err(error.clone()))),
            }
        }
        if signing.is_some() {
            self.sign(signing);
        }
    }

    fn duties(&mut self) {
        if self.writer.has_unsigned() && self.signed_at.elapsed() >= self.writer.options.checkpoint_every {
            self.sign(None);
        }
        let segments = self.writer.segments.len();
        if segments != self.segments || self.retired_at.elapsed() >= RETENTION_EVERY {
            self.retired_at = Instant::now();
            let result = self.writer.retire();
            self.note(result.as_ref().err());
            self.segments = self.writer.segments.len();
        }
    }

    /// Signs what is sealed, and tells whoever asked for it.
    fn sign(&mut self, asked: Option<Signing>) {
        self.signed_at = Instant::now();
        let result = self.writer.checkpoint();
        self.note(result.as_ref().err());
        if let Some(answer) = asked {
            // It may have given up.
            drop(answer.send(result));
        }
    }

    fn note(&self, trouble: Option<&AppendError>) {
        let now = Status { size: self.writer.tree.size(), oldest: self.writer.oldest, trouble: trouble.cloned() };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
