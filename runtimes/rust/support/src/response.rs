//! What a handler answers with.

use crate::connection::Stream;
use std::fmt::Display;
use std::io::{self, Read, Write};

/// A response: status, headers and a body that is known, read, or written.
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
}

type Write_ = Box<dyn FnOnce(&mut Writer) -> io::Result<()> + Send>;
type Upgrade = Box<dyn FnOnce(&mut dyn ReadWrite) + Send>;

pub(crate) enum Content {
    Bytes(Vec<u8>),
    Reader(Box<dyn Read + Send>),
    Writer(Write_),
    Upgrade(Upgrade),
    /// The handler has failed.
    Failure(String),
}

/// A raw connection after an upgrade.
pub trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Response {
    /// An answer with a status and a body of bytes that are known.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Response { status, headers: Vec::new(), content: Content::Bytes(body.into()) }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Response::new(200, text.into()).header("content-type", "text/plain; charset=utf-8")
    }

    /// Text that is JSON already.
    pub fn json(text: impl Into<String>) -> Self {
        Response::new(200, text.into()).header("content-type", "application/json")
    }

    /// A body that is read piece by piece; each piece leaves at once.
    pub fn stream(body: impl Read + Send + 'static) -> Self {
        Response { status: 200, headers: Vec::new(), content: Content::Reader(Box::new(body)) }
    }

    /// A body that the function writes, for example server-sent events. An error breaks the answer off.
    pub fn write(body: impl FnOnce(&mut Writer) -> io::Result<()> + Send + 'static) -> Self {
        Response { status: 200, headers: Vec::new(), content: Content::Writer(Box::new(body)) }
    }

    /// Answers 101 and hands over the raw connection; what the upgrade is to must be among the headers.
    pub fn upgrade(talk: impl FnOnce(&mut dyn ReadWrite) + Send + 'static) -> Self {
        Response { status: 101, headers: Vec::new(), content: Content::Upgrade(Box::new(talk)) }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One header more; names may come several times. Values are latin1.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body's bytes, where they are known; for tests.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The status; for tests.
    pub fn status_code(&self) -> u16 {
        self.status
    }
}

/// What a handler may return.
pub trait IntoResponse {
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}
impl IntoResponse for &str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}
impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}
impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::new(200, self).header("content-type", "application/octet-stream")
    }
}
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(204, "")
    }
}
impl<T: IntoResponse> IntoResponse for (u16, T) {
    fn into_response(self) -> Response {
        self.1.into_response().status(self.0)
    }
}
/// An error is a 500; its text is logged, and shown while developing.
impl<T: IntoResponse, E: Display> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => Response { status: 500, headers: Vec::new(), content: Content::Failure(error.to_string()) },
        }
    }
}

/// Writes the body of an answer; every write leaves at once.
pub struct Writer<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) framing: Framing,
}

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Framing {
    Chunked,
    /// As many bytes as were announced.
    Length(u64),
    /// HEAD, 204, 304: nothing is sent.
    Nothing,
}

impl Writer<'_> {
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self.framing {
            Framing::Chunked => self.stream.write_all(b"0\r\n\r\n"),
            Framing::Length(left) if left > 0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is shorter than its content-length")),
            _ => Ok(()),
        }
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.framing {
            _ if bytes.is_empty() => {}
            Framing::Nothing => {}
            Framing::Chunked => {
                let mut chunk = Vec::with_capacity(bytes.len() + 16);
                write!(chunk, "{:x}\r\n", bytes.len())?;
                chunk.extend_from_slice(bytes);
                chunk.extend_from_slice(b"\r\n");
                self.stream.write_all(&chunk)?;
            }
            Framing::Length(left) => {
                if bytes.len() as u64 > *left {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the body is longer than its content-length"));
                }
                *left -= bytes.len() as u64;
                self.stream.write_all(bytes)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
