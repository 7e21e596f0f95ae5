//! `agentctl services`: agents that have files of their own and start with the daemon.

use crate::agents::for_each;
use crate::cli::services::{self as cli, Command};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::{self, Look, time};
use protocol::control::{ReloadServices, Services, ServicesReply, StartService};
use std::path::Path;

/// `agentctl services …`.
pub(crate) fn services(socket: &Path, options: cli::Services) -> Result<u8, Failure> {
    match options.command {
        None => list(socket, options.json),
        Some(Command::Reload) => {
            Client::connect(socket)?.call(&ReloadServices {})?;
            Ok(0)
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

fn list(socket: &Path, json: bool) -> Result<u8, Failure> {
    let mut all = ServicesReply { directory: String::new(), error: None, services: Vec::new() };
    Client::connect(socket)?.each(&Services {}, |page| {
        (all.directory, all.error) = (page.directory, page.error);
        all.services.extend(page.services);
        Ok(())
    })?;
    if json {
        show::document(&all)?;
    } else {
        show::print(&show::service::list(&all, (time::now(), Look::of_output())))?;
    }
    Ok(0)
}
