//! The man pages: clean, whole, and of one mind with the programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::{binary, repository_root, stderr, stdout, succeeded};

/// Every page by its file's name, as `make install` makes them.
fn pages() -> BTreeMap<String, String> {
    let made = tempfile::tempdir().expect("a directory");
    let mut agentctl = Command::new(binary("agentctl"));
    drop(succeeded(agentctl.arg("man").arg(made.path()).output().expect("agentctl can be started")));
    let daemon = Command::new(binary("agentosd")).arg("--man").output().expect("agentosd can be started");
    let mut pages = BTreeMap::from([("agentosd.8".to_owned(), stdout(&succeeded(daemon)))]);
    for directory in [made.path(), &repository_root().join("man")] {
        for entry in fs::read_dir(directory).expect("pages").flatten() {
            let name = entry.file_name().into_string().expect("a name");
            if !name.ends_with(".sections") {
                pages.insert(name, fs::read_to_string(entry.path()).expect("a page"));
            }
        }
    }
    assert!(pages.len() > 25, "{:?}", pages.keys());
    pages
}

/// A page without its escapes.
fn plain(page: &str) -> String {
    page.replace("\\-", "-").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\&", "")
}

#[test]
fn groff_has_no_warning_about_any_page() {
    if Command::new("groff").arg("--version").stdout(Stdio::null()).status().is_err() {
        return tests::skip("groff", "groff(1) is not installed; apt-get install groff-base");
    }
    let groff = |page: &Path| {
        let output = Command::new("groff").args(["-man", "-ww", "-z"]).arg(page).output().expect("groff(1)");
        (output.status.success(), stderr(&output))
    };
    let place = tempfile::tempdir().expect("a directory");
    for (name, text) in pages() {
        let path = place.path().join(&name);
        fs::write(&path, text).expect("a page");
        assert_eq!(groff(&path), (true, String::new()), "{name}");
    }
    let broken = place.path().join("broken");
    fs::write(&broken, ".TH X 1\n.SH NAME\n.NOSUCHMACRO\n").expect("a page");
    assert!(!groff(&broken).1.is_empty(), "the control: a broken page is warned about");
}

#[test]
fn every_page_has_what_man_pages_have_and_names_only_pages_that_exist() {
    let pages = pages();
    for (name, text) in &pages {
        let text = plain(text);
        let program = name.ends_with(".1") || name.ends_with(".8");
        let wanted = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"];
        let wanted = wanted.into_iter().chain(program.then_some("SYNOPSIS")).chain(program.then_some("EXIT STATUS"));
        for section in wanted {
            assert!(
                [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")].iter().any(|it| text.contains(it)),
                "{name}: {section}"
            );
        }
        let (_, references) = text.rsplit_once("SEE ALSO").expect("it has one");
        let references: String = references.replace(['\n', '"'], " ").replace(" (", "(");
        let ours = references.split(|c: char| c.is_whitespace() || c == ',').filter(|word| word.starts_with("agent"));
        let ours: Vec<_> = ours.filter_map(|word| word.strip_suffix(')')?.split_once('(')).collect();
        assert!(!ours.is_empty(), "{name}: {references}");
        for (other, section) in ours {
            let file = format!("{other}.{section}");
            assert!(pages.contains_key(&file) && file != *name, "{name} names {other}({section})");
        }
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key_and_the_default_of_each() {
    let docs = fs::read_to_string(repository_root().join("docs/agentosd.md")).expect("a document");
    let (_, after) = docs.split_once("```yaml\n").expect("the keys");
    let (keys, _) = after.split_once("```").expect("their end");
    let page = plain(&pages()["agentosd.yaml.5"]);
    let mut count = 0;
    for line in keys.lines() {
        let (key, value) = line.split('#').next().unwrap_or(line).split_once(':').expect("a key");
        assert!(page.lines().any(|line| line.starts_with(".B") && line.contains(key)), "{key}");
        let value = value.trim();
        assert!(key.ends_with("_path") || page.contains(&format!("Default: {value}.")), "{key}: {value}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn the_example_of_a_policy_is_one() {
    let page = plain(&pages()["agentos-policy.5"]);
    let (_, after) = page.split_once(".EX\n").expect("an example");
    let (example, _) = after.split_once(".EE\n").expect("its end");
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("example.yaml");
    fs::write(&path, example).expect("a file");
    let check = Command::new(binary("agentctl")).args(["policy", "check"]).arg(&path).output();
    drop(succeeded(check.expect("agentctl can be started")));
}
