//! The man pages of `agentctl`: options from the grammar, and what a reader needs besides (man-pages(7)).

mod pages;

use crate::cli::Cli;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use pages::{Page, page};
use std::io::{self, Write};
use std::path::Path;

/// What exit codes mean, in short; docs/exit-codes.md has more.
const CODES: [(&str, &str); 17] = [
    ("0", "All went well."),
    ("1", "The request failed for a reason that fits no other code."),
    ("2", "The command line could not be understood, or a value in it does not fit."),
    ("3", "No agent of that name, or nothing is remembered under it; the sentence says which names there are."),
    ("4", "The agent's state does not allow the request."),
    ("5", "The policy could not be read or resolved."),
    ("6", "The name belongs to another agent, living or ended."),
    ("7", "The caller may not do that."),
    ("8", "A layer that every agent needs is missing on this host."),
    ("9", "The policy, or a person, does not allow the action (execute)."),
    ("10", "The action waits for a person (execute); agentctl-approvals(1) lists what waits."),
    ("69", "agentosd cannot be reached, or does not answer."),
    ("124", "The time limit ran out."),
    ("125", "The sandbox could not be built; the command was surely not run."),
    ("126", "The command was found inside the sandbox and could not be executed."),
    ("127", "The command was not found inside the sandbox."),
    ("128+N", "Signal N ended the command."),
];

/// Variables of the environment, by the word under which a page names them.
const VARIABLES: [(&str, &str); 4] = [
    ("AGENTOS_SOCKET", "The socket of agentosd, unless --socket names it."),
    ("NO_COLOR", "When set and not empty, no colours are used. They are on a terminal only."),
    ("TERM", "With --tty: the kind of terminal that the command is told to have."),
    ("PATH", "Where agentosd is looked for when no daemon answers, after the directory of agentctl itself."),
];

/// Files, by path.
const FILES: [(&str, &str); 7] = [
    ("/run/agentos/io.agentos.sock", "The control socket, which root and the group agentos may use."),
    ("/etc/agentos/policies/NAME.yaml", "Profiles of this host; they go before shipped ones of the same name."),
    ("/etc/agentos/agents.d/NAME.yaml", "Agents that start with the daemon; see agentos-agent(5)."),
    ("/run/agentos/agents/NAME/", "An agent's files while it lives: mem, state, policy, status."),
    ("/var/lib/agentos/agents/ID/", "Record, output and denials of an agent, also when it has ended."),
    ("/var/lib/agentos/audit/", "The audit log: segments, checkpoints, the signing key and its public half."),
    ("/var/lib/agentos/memory/NAME/", "What a name remembers."),
];

/// Writes a page for each command into a directory.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    for (name, text) in all()? {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}

/// Names of files, and what is in them.
fn all() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, pages)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    render(command, &name, &mut text)?;
    pages.push((format!("{name}.1"), text));
    Ok(())
}

fn render(command: &Command, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone());
    let page = page(name.strip_prefix("agentctl").unwrap_or(name).trim_start_matches('-'));
    // Not by Roff, which leaves an empty argument out: the date.
    writeln!(out, r#".TH {} 1 "" "Agent OS {}" "Agent OS""#, name.to_uppercase(), env!("CARGO_PKG_VERSION"))?;
    man.render_name_section(out)?;
    synopsis(command, out)?;
    man.render_description_section(out)?;
    if let Some(page) = &page {
        let mut more = Roff::new();
        for text in page.more {
            more.control("PP", []).text([roman(*text)]);
        }
        more.to_writer(out)?;
    }
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(out)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    page.map_or(Ok(()), |page| sections(&page, name, out))
}

/// As `--help` has it; clap_mangen's has no names of values.
fn synopsis(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let (words, rest) = usage.split_at(usage.find(['[', '<']).unwrap_or(usage.len()));
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([bold(words), roman(rest)]);
    roff.to_writer(out)
}

fn sections(page: &Page, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    if let Some(own) = page.own_status {
        roff.text([roman(own)]);
    }
    tagged(&mut roff, CODES.iter().filter(|(code, _)| page.codes.contains(code)));
    if !page.variables.is_empty() {
        roff.control("SH", ["ENVIRONMENT"]);
        tagged(&mut roff, VARIABLES.iter().filter(|(variable, _)| page.variables.contains(variable)));
    }
    if !page.files.is_empty() {
        roff.control("SH", ["FILES"]);
        tagged(&mut roff, FILES.iter().filter(|(path, _)| page.files.iter().any(|file| path.starts_with(file))));
    }
    roff.control("SH", ["EXAMPLES"]);
    for (index, (what, line)) in page.examples.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*what)]);
        roff.control("PP", []).control("RS", ["4"]).control("EX", []);
        roff.text([roman(*line)]).control("EE", []).control("RE", []);
    }
    roff.control("SH", ["SEE ALSO"]).text(references(page, name));
    roff.to_writer(out)
}

fn tagged<'a>(roff: &mut Roff, entries: impl Iterator<Item = &'a (&'a str, &'a str)>) {
    for (tag, text) in entries {
        roff.control("TP", []).text([bold(*tag)]).text([roman(*text)]);
    }
}

/// `agentctl-ps(1), …`, in order of section and name.
fn references(page: &Page, name: &str) -> Vec<Inline> {
    let mut pages: Vec<_> = page.also.iter().copied().chain(["agentctl(1)", "agentosd(8)"]).collect();
    pages.retain(|page| page.split_once('(').is_some_and(|(other, _)| other != name));
    pages.sort_unstable_by_key(|page| page.split_once('(').map(|(name, section)| (section, name)));
    let mut line = Vec::new();
    for (index, page) in pages.iter().enumerate() {
        let (name, section) = page.split_once('(').unwrap_or((page, ""));
        line.push(bold(name));
        line.push(roman(format!("({section}{}", if index + 1 < pages.len() { ", " } else { "" })));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::collections::BTreeSet;

    fn names() -> BTreeSet<String> {
        let names = all().expect("rendered").into_iter().map(|(name, _)| name);
        names.map(|name| name.trim_end_matches(".1").to_owned()).collect()
    }

    #[test]
    fn every_command_has_a_page_that_is_whole() {
        let pages = all().expect("rendered");
        assert!(pages.len() > 20, "{}", pages.len());
        for (name, text) in pages {
            let text = String::from_utf8(text).expect("text");
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                let heading = [format!("\n.SH {section}\n"), format!("\n.SH \"{section}\"\n")];
                assert!(heading.iter().any(|heading| text.contains(heading)), "{name} has no {section}:\n{text}");
            }
        }
    }

    #[test]
    fn no_page_describes_what_is_no_command() {
        let known = names();
        for (command, page) in pages::PAGES {
            let name = format!("agentctl {command}").trim().replace(' ', "-");
            assert!(known.contains(&name), "{name}");
            for also in page.also {
                let name = also.trim_end_matches("(1)");
                assert!(!also.ends_with("(1)") || !name.starts_with("agentctl") || known.contains(name), "{also}");
            }
            let is_known =
                |table: &[(&str, &str)], word: &&str| table.iter().any(|(known, _)| known.starts_with(*word));
            assert!(page.codes.iter().all(|code| is_known(&CODES, code)), "{command}");
            assert!(page.variables.iter().all(|variable| is_known(&VARIABLES, variable)), "{command}");
            assert!(page.files.iter().all(|file| is_known(&FILES, file)), "{command}");
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        for (_, page) in pages::PAGES {
            for (_, line) in page.examples {
                for part in line.split(" | ").map(|part| part.trim_start_matches("sudo ")) {
                    let words: Vec<_> = part.split(" > ").next().unwrap_or(part).split(' ').collect();
                    if words[0] == "agentctl" {
                        let parsed = Cli::try_parse_from(words);
                        assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
                    }
                }
            }
        }
    }
}
