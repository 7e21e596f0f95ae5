//! What goes over the sockets of Agent OS: names, requests, replies and events.
//!
//! Pure data: no I/O, no clock, no `unsafe`. The daemon and the command line speak these types over the Varlink wire
//! (NUL-ended JSON objects, descriptors beside them); [`wire`] holds the frame, [`control`] the interface
//! `io.agentos.Control`, whose text in Varlink's own language is [`control::INTERFACE`]; agents have one of their own,
//! [`kernel`].
//!
//! ```text
//!   agentctl ── wire::Call{method, parameters, more} ──► agentosd
//!            ◄─ wire::Reply{parameters, continues, error} ──
//! ```
#![forbid(unsafe_code)]

pub mod action;
pub mod agent;
pub mod approval;
pub mod audit;
pub mod bytes;
pub mod control;
pub mod denial;
pub mod doctor;
pub mod error;
pub mod event;
pub mod executor;
pub mod exit_code;
pub mod governing;
pub mod ids;
mod interface;
pub mod kernel;
pub mod memory;
mod rejoin;
pub mod service;
pub mod signal;
pub mod text;
pub mod vfs;
pub mod wire;
