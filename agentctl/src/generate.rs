//! Shell completion and man pages, from the grammar.

use crate::completing;
use crate::failure::Failure;
use crate::manual;
use crate::show;
use clap_complete::Shell;
use clap_complete::env::Shells;
use std::path::Path;

/// As a shell finds it.
const PROGRAM: &str = "agentctl";

/// From a directory of `fpath`, zsh loads the script only when something is to be completed, and calls the whole of it for
/// that first time (zshcompsys(1)).
const AUTOLOADED: &str = r#"if [ "$funcstack[1]" = "_agentctl" ]; then
    _clap_dynamic_completer_agentctl "$@"
fi
"#;

/// `agentctl completion`.
pub(crate) fn completion(shell: Shell) -> Result<u8, Failure> {
    show::print(&script(shell)?)?;
    Ok(0)
}

/// What a shell sources; it asks this program for everything else.
pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells.completer(&name).ok_or_else(|| Failure::Usage(format!("{name} has no completion")))?;
    let mut script = Vec::new();
    completer
        .write_registration(completing::VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(Failure::os("write the script"))?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Zsh {
        script.push_str(AUTOLOADED);
    }
    Ok(script)
}

/// `agentctl man`: agentctl.1 and a page for each command.
pub(crate) fn man(directory: &Path) -> Result<u8, Failure> {
    manual::write(directory).map_err(Failure::os("write the man pages"))?;
    Ok(0)
}
