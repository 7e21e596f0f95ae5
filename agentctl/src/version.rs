//! `version`: of this program and of the daemon that answers.

use crate::cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::show;
use protocol::exit_code;
use protocol::text::escape;
use serde_json::{Value, json};
use std::path::Path;

/// `agentctl version`. A daemon that does not answer is said, and its exit code given, after our own version.
pub(crate) fn version(socket: &Path, options: cli::Json) -> Result<u8, Failure> {
    let client = env!("CARGO_PKG_VERSION");
    let daemon = Client::connect(socket).and_then(|mut daemon| daemon.call_raw("org.varlink.service.GetInfo"));
    if options.json {
        show::document(&json!({ "agentctl": client, "agentosd": daemon.as_ref().ok() }))?;
    } else {
        show::line(&format!("agentctl {client}"))?;
    }
    let info = daemon?;
    if !options.json {
        let field = |name: &str| escape(info.get(name).and_then(Value::as_str).unwrap_or("unknown"));
        show::line(&format!("{} {} ({})", field("product"), field("version"), field("vendor")))?;
    }
    Ok(exit_code::OK)
}
