//! Functions in Rust: a request goes in, a response comes out.
//!
//! ```
//! pub fn handle(request: petrel::Request) -> petrel::Response {
//!     petrel::Response::text(format!("hello {}", request.path()))
//! }
//! ```
//! Standard library only. The process is started by the platform's launcher, or by hand: then it listens on `$PORT`.

mod connection;
mod head;
mod launcher;
mod request;
mod response;
mod server;
mod sys;

pub use request::{Body, Request};
pub use response::{IntoResponse, Response, Writer};
pub use server::{block_on, serve};
