//! What a handler is given.

use crate::connection::{Incoming, Stream};
use crate::head::{decode, find, Head};
use crate::sys;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

/// A request. Its body is read as it arrives: `Request` is a reader.
pub struct Request {
    head: Head,
    body: Body,
}

/// The body of a request, a reader: it can outlive the request as the body of the response. A client that goes away is an error of `read`.
pub struct Body {
    incoming: Option<(Arc<Mutex<Incoming>>, u64)>,
    known: io::Cursor<Vec<u8>>,
    stream: Option<Arc<Stream>>,
}

impl Request {
    pub(crate) fn new(head: Head, incoming: Arc<Mutex<Incoming>>, number: u64, stream: Arc<Stream>) -> Self {
        let body = Body { incoming: Some((incoming, number)), known: io::Cursor::default(), stream: Some(stream) };
        Request { head, body }
    }

    /// A request made by hand, for tests.
    pub fn test(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        let head = Head { method: method.into(), target: target.into(), headers: Vec::new() };
        Request { head, body: Body { incoming: None, known: io::Cursor::new(body.into()), stream: None } }
    }

    /// The same request with one header more.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// Path and query as they were sent.
    pub fn target(&self) -> &str {
        &self.head.target
    }

    pub fn path(&self) -> &str {
        self.head.target.split('?').next().unwrap_or_default()
    }

    /// The query as it was sent, without its question mark.
    pub fn query_string(&self) -> &str {
        self.head.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// All pairs of the query, decoded.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let pairs = self.query_string().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (decode(name), decode(value))).collect()
    }

    /// The first value of a name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The first value of a header, whatever the case of its name. Values are latin1.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.head.headers, &name.to_ascii_lowercase())
    }

    /// All headers, names in lower case, in the order in which they came.
    pub fn headers(&self) -> &[(String, String)] {
        &self.head.headers
    }

    /// By which the platform knows this request.
    pub fn id(&self) -> Option<&str> {
        self.header("x-request-id")
    }

    /// Whether the client has gone away.
    pub fn cancelled(&self) -> bool {
        self.body.cancelled()
    }

    /// Reads the whole body.
    pub fn read_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.body.read_to_end(&mut out)?;
        Ok(out)
    }

    /// Reads the whole body as text in UTF-8.
    pub fn read_text(&mut self) -> io::Result<String> {
        let mut out = String::new();
        self.body.read_to_string(&mut out)?;
        Ok(out)
    }

    /// The body alone, for example to answer with it.
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl Read for Request {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Body {
    /// Whether the client has gone away.
    pub fn cancelled(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| sys::hung_up(stream.fd()))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((incoming, number)) = &self.incoming else { return self.known.read(buffer) };
        let mut incoming = incoming.lock().unwrap_or_else(|broken| broken.into_inner());
        if incoming.number != *number {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the request is over"));
        }
        incoming.body(buffer)
    }
}
