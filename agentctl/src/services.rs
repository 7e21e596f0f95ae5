//! `agentctl services`: agents that have files of their own and start with the daemon.

use crate::agents::for_each;
use crate::cli::services::{self as cli, Command};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::{self, Look, time};
use protocol::control::{ReloadServices, Services, ServicesReply, StartService};
use protocol::exit_code;
use protocol::service::Service;
use protocol::text::escape;
use std::path::Path;

/// `agentctl services …`.
pub(crate) fn services(socket: &Path, options: cli::Services) -> Result<u8, Failure> {
    match options.command {
        None => list(socket, options.json),
        Some(Command::Reload) => {
            Client::connect(socket)?.call(&ReloadServices {})?;
            refused(socket)
        }
        Some(Command::Start(start)) => {
            let mut client = Client::connect(socket)?;
            for_each(&start.names, |name| {
                client.call(&StartService { name: name.clone() })?;
                Ok(0)
            })
        }
    }
}

/// Says which files are not taken.
fn refused(socket: &Path) -> Result<u8, Failure> {
    let mut code = exit_code::OK;
    for Service { file, error, .. } in all(socket)?.services {
        if let Some(error) = error {
            show::notice(&format!("{}: {}", escape(&file), escape(&error)));
            code = exit_code::FAILED;
        }
    }
    Ok(code)
}

fn list(socket: &Path, json: bool) -> Result<u8, Failure> {
    let all = all(socket)?;
    if json {
        show::document(&all)?;
    } else {
        show::print(&show::service::list(&all, (time::now(), Look::of_output())))?;
    }
    Ok(0)
}

fn all(socket: &Path) -> Result<ServicesReply, Failure> {
    let mut all = ServicesReply { directory: String::new(), error: None, services: Vec::new() };
    Client::connect(socket)?.each(&Services {}, |page| {
        (all.directory, all.error) = (page.directory, page.error);
        all.services.extend(page.services);
        Ok(())
    })?;
    Ok(all)
}
