//! From a caller's choice to an effective policy. Profiles are resolved again only when a file of theirs changed.

use crate::caller::Caller;
use crate::journal;
use crate::memo::PolicyText;
use policies::{Effective, Loader, ProfileName, Shipped, SourceText};
use protocol::control::PolicyChoice;
use protocol::error::ControlError;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Resolves policies.
#[derive(Debug)]
pub(crate) struct Policies {
    directories: Vec<PathBuf>,
    default: String,
    cache: Mutex<HashMap<String, Cached>>,
}

/// What a file was when it was read; `None` when it did not exist.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug)]
struct Cached {
    policy: Arc<Effective>,
    seen: Vec<(PathBuf, Stamp)>,
}

impl Policies {
    pub(crate) fn new(directories: Vec<PathBuf>, default: String) -> Self {
        Self { directories, default, cache: Mutex::default() }
    }

    /// The caller's choice, resolved.
    pub(crate) fn choose(&self, choice: Option<PolicyChoice>, caller: &Caller) -> Result<Arc<Effective>, ControlError> {
        match choice {
            None => self.default_profile(),
            Some(PolicyChoice::Profile(name)) => self.profile(&name),
            Some(PolicyChoice::Text { origin, text }) if caller.is_root() => self.text(&origin, &text),
            Some(PolicyChoice::Text { .. }) => Err(caller.not_permitted(
                "a policy from a file",
                "a policy decides what of this host is granted; name a profile, or ask root to install the file",
            )),
        }
    }

    /// The default profile, if it can be resolved now.
    pub(crate) fn default_profile(&self) -> Result<Arc<Effective>, ControlError> {
        self.profile(&self.default)
    }

    fn profile(&self, name: &str) -> Result<Arc<Effective>, ControlError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = cache.get(name)
            && cached.seen.iter().all(|(path, stamp)| stamp_of(path) == *stamp)
        {
            return Ok(Arc::clone(&cached.policy));
        }
        let loader = Files { directories: &self.directories, seen: RefCell::default() };
        let parsed: ProfileName = name.parse().map_err(bad)?;
        let policy = Arc::new(policies::resolve_profile(&parsed, &loader).map_err(bad)?);
        cache.insert(name.to_owned(), Cached { policy: Arc::clone(&policy), seen: loader.seen.into_inner() });
        Ok(policy)
    }

    fn text(&self, origin: &str, text: &str) -> Result<Arc<Effective>, ControlError> {
        let loader = Files { directories: &self.directories, seen: RefCell::default() };
        let document = policies::parse(origin, text).map_err(bad)?;
        Ok(Arc::new(policies::resolve(&document, &loader).map_err(bad)?))
    }
}

/// The policy of an agent that runs, from the text that it was made of at its launch, whatever its files say now.
pub(crate) fn restore(text: &PolicyText) -> Result<Arc<Effective>, ControlError> {
    let Some((origin, leaf)) = text.sources.last() else {
        return Err(ControlError::BadPolicy { message: "a policy without a text".to_owned() });
    };
    let restored = match text.name.parse::<ProfileName>() {
        Ok(name) if names(origin, &name) => policies::resolve_profile(&name, text),
        _ => policies::parse(origin, leaf).map_err(Into::into).and_then(|document| policies::resolve(&document, text)),
    };
    restored.map(Arc::new).map_err(bad)
}

/// Whether a file is that of a profile.
fn names(origin: &str, name: &ProfileName) -> bool {
    let file = origin.rsplit('/').next().unwrap_or(origin);
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(" (shipped)")) == Some(name.as_str())
}

/// Policies of agents that run, each compiled once.
#[derive(Debug, Default)]
pub(crate) struct Restored(Mutex<BTreeMap<PolicyText, Arc<Effective>>>);

impl Restored {
    /// As [`restore`].
    pub(crate) fn policy(&self, text: &PolicyText) -> Result<Arc<Effective>, ControlError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(text).cloned();
        if let Some(policy) = found {
            return Ok(policy);
        }
        let policy = restore(text)?;
        known().insert(text.clone(), Arc::clone(&policy));
        Ok(policy)
    }
}

impl Loader for PolicyText {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        let found = self.sources.iter().find(|(origin, _)| names(origin, name));
        Ok(found.map(|(origin, text)| SourceText { origin: origin.clone(), text: text.clone() }))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn bad(error: impl Error) -> ControlError {
    ControlError::BadPolicy { message: journal::sentence(&error) }
}

/// Profiles from the operator's directories, then the shipped ones.
struct Files<'a> {
    directories: &'a [PathBuf],
    seen: RefCell<Vec<(PathBuf, Stamp)>>,
}

impl Loader for Files<'_> {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        for directory in self.directories {
            let path = directory.join(format!("{name}.yaml"));
            self.seen.borrow_mut().push((path.clone(), stamp_of(&path)));
            match read(&path) {
                Ok(text) => return Ok(Some(SourceText { origin: path.display().to_string(), text })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", path.display()).into()),
            }
        }
        Shipped.load(name)
    }

    fn names(&self) -> Vec<String> {
        let files = self.directories.iter().filter_map(|directory| directory.read_dir().ok()).flatten().flatten();
        let own = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()));
        let own = own.filter(|name| !name.ends_with(".cases"));
        let mut names: Vec<String> = own.chain(Shipped.names()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let bound = u64::try_from(policies::MAX_POLICY_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(bound).read_to_string(&mut text)?;
    Ok(text)
}

fn stamp_of(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32) -> Caller {
        Caller { uid, gid: uid, groups: Vec::new(), pid: 1 }
    }

    #[test]
    fn the_operators_file_goes_before_the_shipped_profile_and_changes_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let policies = Policies::new(vec![directory.path().to_owned()], "base".into());
        let shipped = policies.choose(None, &caller(5)).unwrap();
        assert!(Arc::ptr_eq(&shipped, &policies.choose(None, &caller(5)).unwrap()), "resolved once");
        let file = directory.path().join("base.yaml");
        std::fs::write(&file, "process: {limits: {memory: 1GiB, pids: 7, files: 64}}\n").unwrap();
        let own = policies.choose(None, &caller(5)).unwrap();
        assert_eq!(own.limits.pids.value, 7);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(policies.choose(None, &caller(5)).unwrap().digest, shipped.digest);
    }

    #[test]
    fn a_policys_text_is_taken_from_root_only() {
        let policies = Policies::new(Vec::new(), "base".into());
        let text = || Some(PolicyChoice::Text { origin: "x.yaml".into(), text: "extends: [base]\n".into() });
        assert!(policies.choose(text(), &caller(0)).is_ok());
        assert!(matches!(policies.choose(text(), &caller(5)), Err(ControlError::NotPermitted { .. })));
        let unknown = policies.choose(Some(PolicyChoice::Profile("bsae".into())), &caller(5)).unwrap_err();
        assert!(matches!(&unknown, ControlError::BadPolicy { message } if message.contains("base")), "{unknown}");
    }
}
