//! Keeps an agent's denials: from the kernel's log to its file and the audit log, counted for `ps`.

use crate::denial::{self, Progress};
use crate::gate::{Gate, of_denial};
use crate::journal;
use crate::violation::Touched;
use protocol::agent::Agent;
use protocol::audit::{AgentRef, Record};
use protocol::denial::Denial;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Denials that may wait for the disk: as many as an agent's list can have, so that none is turned away.
pub(super) const SINK: usize = 10_000;
/// Touched tripwires that may wait for the agent's task, which needs microseconds for one.
pub(super) const ALARM: usize = 16;
/// Denials written at once.
const BATCH: usize = 1024;

/// Lines of the latest denials, and characters of a line; what an agent asks for by a longer name is cut off.
const LINES: usize = 1000;
const LINE: usize = 4000;

/// The latest denials, a sentence a line and the newest last.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<String>);

impl Recent {
    fn add(&mut self, denials: &[Denial]) {
        for denial in denials.iter().skip(denials.len().saturating_sub(LINES)) {
            let sentence = protocol::text::escape(&denial.sentence);
            let cut = sentence.char_indices().nth(LINE).map_or(sentence.len(), |(index, _)| index);
            self.0.push_back(sentence.get(..cut).unwrap_or_default().to_owned());
        }
        self.0.drain(..self.0.len().saturating_sub(LINES));
    }

    /// All of them.
    pub(super) fn text(&self) -> String {
        self.0.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

/// What is kept of an agent's denials, and who keeps it.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) work: JoinHandle<()>,
    pub(super) recent: watch::Receiver<Recent>,
    /// Tripwires that were touched; the agent's task takes it.
    pub(super) touched: Option<mpsc::Receiver<Touched>>,
}

/// What comes from the log.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) sink: mpsc::Receiver<Denial>,
    pub(super) touched: mpsc::Receiver<Touched>,
    /// Those of before.
    pub(super) recent: Recent,
}

/// Where and as whose they are recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) gate: Arc<Gate>,
    pub(super) agent: AgentRef,
    pub(super) policy_digest: String,
    /// For how far the list is.
    pub(super) log: denial::Log,
    pub(super) uid: u32,
}

/// What an earlier daemon has listed.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    pub(super) progress: Progress,
    pub(super) recent: Recent,
}

impl Resumed {
    /// From the list, and from what stands beside it of the last moment in which everything was on disk. What a crash cut
    /// off is removed; what was not written down counts as not listed.
    pub(super) fn read(list: &Path) -> io::Result<Self> {
        let text = match std::fs::read(list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(list)?.set_len(u64::try_from(whole).map_err(io::Error::other)?)?;
        }
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let denials: Vec<Denial> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let written = std::fs::read(progress_of(list)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut resumed = Self { progress: written.unwrap_or_default(), recent: Recent::default() };
        resumed.progress.seq = denials.last().map_or(0, |denial| denial.seq).max(resumed.progress.seq);
        resumed.recent.add(&denials);
        Ok(resumed)
    }
}

/// Where it stands how far the list is.
fn progress_of(list: &Path) -> PathBuf {
    list.with_extension("progress")
}

/// Starts to keep what comes.
pub(super) fn start(to: (PathBuf, Recorded), come: Coming, publish: Arc<watch::Sender<Agent>>) -> Keeper {
    let Coming { sink, touched, recent } = come;
    let (show, recent) = watch::channel(recent);
    Keeper { work: tokio::spawn(keep(to, sink, (publish, show))), recent, touched: Some(touched) }
}

/// Writes what comes until the log has finished with the agent.
async fn keep(
    (path, recorded): (PathBuf, Recorded),
    mut sink: mpsc::Receiver<Denial>,
    (publish, show): (Arc<watch::Sender<Agent>>, watch::Sender<Recent>),
) {
    let mut batch = Vec::new();
    while sink.recv_many(&mut batch, BATCH).await > 0 {
        let (path, denials) = (path.clone(), std::mem::take(&mut batch));
        show.send_modify(|recent| recent.add(&denials));
        let Recorded { gate, agent, policy_digest, log, uid } = &recorded;
        let records: Vec<Record> = denials.iter().map(|denial| of_denial(agent, policy_digest, denial)).collect();
        gate.note_all(records).await;
        let count = u64::try_from(denials.len()).unwrap_or(u64::MAX);
        // While more is on its way, how far the list is stands nowhere yet.
        let last = denials.last().map(|denial| denial.seq);
        let progress = log.progress(*uid).await.filter(|progress| Some(progress.seq) == last);
        let written = tokio::task::spawn_blocking(move || {
            append(&path, &denials).and_then(|()| note_progress(&path, progress)).map_err(|e| (path, e))
        })
        .await;
        if let Ok(Err((path, error))) = written {
            journal::error(format_args!("cannot write denials to {}: {error}", path.display()));
        }
        publish.send_modify(|agent| agent.denials = Some(agent.denials.unwrap_or(0) + count));
    }
}

fn note_progress(list: &Path, progress: Option<Progress>) -> io::Result<()> {
    let Some(progress) = progress else { return Ok(()) };
    let (path, new) = (progress_of(list), list.with_extension("progress.new"));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?
        .write_all(&serde_json::to_vec(&progress)?)?;
    std::fs::rename(new, path)
}

fn append(path: &Path, denials: &[Denial]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for denial in denials {
        serde_json::to_writer(&mut bytes, denial)?;
        bytes.push(b'\n');
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::denial::Layer;
    use protocol::ids::TimeUs;

    fn denial(sentence: &str) -> Denial {
        let (pid, exe, comm, object, syscall) = (None, None, None, None, None);
        let (layer, action, args) = (Layer::Landlock, String::new(), Vec::new());
        let sentence = sentence.to_owned();
        Denial { seq: 1, time_us: TimeUs(1), pid, exe, comm, layer, action, object, syscall, args, sentence }
    }

    #[test]
    fn the_latest_are_shown_a_line_each_whatever_they_are_about() {
        let mut recent = Recent::default();
        recent.add(&[denial("read /a\nb: no"), denial(&"x".repeat(9000))]);
        assert_eq!(recent.text(), format!("read /a\\u{{a}}b: no\n{}\n", "x".repeat(LINE)));
        let many: Vec<Denial> = (0..1500).map(|number| denial(&number.to_string())).collect();
        recent.add(&many[..700]);
        recent.add(&many[700..]);
        let text = recent.text();
        assert_eq!((text.lines().count(), text.lines().next(), text.lines().last()), (1000, Some("500"), Some("1499")));
    }
}
