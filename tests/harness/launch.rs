//! How an agent is to be started, in the words of `agentctl run`.

use std::path::{Path, PathBuf};

/// Options of `agentctl run`, without the command.
#[derive(Clone, Debug)]
pub struct Launch {
    policy: PathBuf,
    workspace: Option<PathBuf>,
    options: Vec<String>,
    pub(crate) name: Option<String>,
}

impl Launch {
    /// Under a profile's name, or a policy file (as [`crate::Daemon::policy`] writes one).
    #[must_use]
    pub fn new(policy: impl AsRef<Path>) -> Self {
        Self { policy: policy.as_ref().to_owned(), workspace: None, options: Vec::new(), name: None }
    }

    /// Working in `directory`; a `:ro` at its end is agentctl's.
    #[must_use]
    pub fn workspace(mut self, directory: impl AsRef<Path>) -> Self {
        self.workspace = Some(directory.as_ref().to_owned());
        self
    }

    /// With a variable.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.option("--env").option(&format!("{name}={value}"))
    }

    /// Under a name of the test's choice; otherwise it is chosen.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// With any further option of `agentctl run`, one word a call.
    #[must_use]
    pub fn option(mut self, word: &str) -> Self {
        self.options.push(word.to_owned());
        self
    }

    /// The words after `agentctl`, up to and with the command.
    #[must_use]
    pub fn words(&self, argv: &[&str]) -> Vec<String> {
        let text = |path: &Path| path.to_str().expect("the tests' paths are UTF-8").to_owned();
        let mut words = vec!["run".to_owned(), "--policy".to_owned(), text(&self.policy)];
        words.extend(self.workspace.iter().flat_map(|path| ["--workspace".to_owned(), text(path)]));
        words.extend(self.name.iter().flat_map(|name| ["--name".to_owned(), name.clone()]));
        words.extend(self.options.iter().cloned());
        words.push("--".to_owned());
        words.extend(argv.iter().map(|word| (*word).to_owned()));
        words
    }
}
