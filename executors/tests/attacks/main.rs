//! The executor, attacked: the real program, its real pipes, hostile paths, programs, statements and servers.
//!
//! Every refusal has the same thing beside it done where it is allowed.

mod executor;
mod files;
mod orders;
mod postgres;
mod programs;
mod races;
mod server;
mod sqlite;
mod writing;
