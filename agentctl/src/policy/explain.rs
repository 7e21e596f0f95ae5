//! `policy explain`: one request, the answer, and every rule that was looked at.

use super::{bad, resolve};
use crate::cli::policy::Explain;
use crate::failure::Failure;
use crate::values::read_policy;
use policies::{Narrowing, RequestWords, Table, Variables};

/// An agent's home directory, as the daemon makes it.
pub(super) const HOME: &str = "/home/agent";

/// What is printed.
pub(super) fn explain(options: Explain) -> Result<String, Failure> {
    let words = RequestWords::read(&options.action, &options.words).map_err(usage)?;
    let policy = resolve(options.policy, &options.directories.directories)?;
    let workspace = options.workspace;
    let variables = Variables { workspace, home: HOME.into(), name: options.name.as_str().to_owned() };
    let request = words.request(&variables).map_err(usage)?;
    let mut layers: Vec<Narrowing> = words.layers().cloned().collect();
    if let Some(path) = options.own {
        let text = read_policy(&path)?;
        let actions = &policy.mediation.actions;
        layers.push(Narrowing::read(&path.display().to_string(), text.as_bytes(), actions).map_err(bad)?);
    }
    let table = Table::compile(&policy, &variables, &layers).map_err(bad)?;
    Ok(table.explain(&request).to_string())
}

fn usage(error: policies::WordsError) -> Failure {
    Failure::Usage(format!("cannot {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, policy::Policy};
    use clap::Parser as _;

    fn explained(words: &[&str]) -> Result<String, Failure> {
        let line = ["agentctl", "policy", "explain", "--policy-dir", "/nonexistent"];
        let cli = Cli::try_parse_from(line.iter().chain(words)).expect("parses");
        let Command::Policy(Policy::Explain(options)) = cli.command else { panic!("not explain") };
        explain(options)
    }

    #[test]
    fn the_deciding_rule_and_its_line_are_named() {
        let query = ["data-analyst", "database_query", "database=sales", "statement=write"];
        let shown = explained(&query).expect("explained");
        let first: Vec<&str> = shown.lines().take(2).collect();
        assert_eq!(first[0], "deny (read_only): it would change something where only reading is allowed");
        assert!(first[1].contains("(data-analyst (shipped):17) of data-analyst"), "{shown}");
        let read = ["data-analyst", "--workspace", "/srv/w", "file_read", "path=${workspace}/x"];
        assert!(explained(&read).expect("explained").starts_with("allow (granted)"));
    }

    #[test]
    fn an_agents_own_file_narrows() {
        let directory = tempfile::tempdir().expect("a directory");
        let own = directory.path().join("security.md");
        std::fs::write(&own, "# Mine\n```yaml\npolicies: [{action: file_read, effect: deny}]\n```\n").expect("written");
        let own = own.display().to_string();
        let ask = ["data-analyst", "--workspace", "/srv/w", "--own", &own, "file_read", "path=/srv/w/x"];
        let shown = explained(&ask).expect("explained");
        assert!(shown.starts_with("deny (denied_by_rule)") && shown.contains("security.md:3"), "{shown}");
    }

    #[test]
    fn words_that_make_no_request_are_a_matter_of_usage() {
        for words in [&["base", "file_read", "/x"][..], &["base", "file_read", "pth=/x"]] {
            assert_eq!(explained(words).expect_err("refused").exit_code(), 2, "{words:?}");
        }
    }
}
