//! Where profiles are.

use crate::values::read_policy;
use policies::{Loader, ProfileName, Shipped, SourceText};
use std::error::Error;
use std::path::PathBuf;

/// Profiles in the operator's directories, then the shipped ones: the daemon's order.
pub(super) struct Directories<'a>(pub(super) &'a [PathBuf]);

impl Loader for Directories<'_> {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        for directory in self.0 {
            let path = directory.join(format!("{name}.yaml"));
            // What may not even be looked at is an error of reading it, not a profile that is absent.
            match path.try_exists() {
                Ok(false) => {}
                _ => return Ok(Some(SourceText { origin: path.display().to_string(), text: read_policy(&path)? })),
            }
        }
        Shipped.load(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
        let own = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned));
        // `mine.cases.yaml` beside `mine.yaml` is no profile.
        let own = own.filter(|name| name.parse::<ProfileName>().is_ok());
        let mut names: Vec<String> = own.chain(Shipped.names()).collect();
        names.sort();
        names.dedup();
        names
    }
}
