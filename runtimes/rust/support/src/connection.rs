//! One connection of the gateway: bytes in, bodies with their framing.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// The longest head. The gateway allows less.
const LONGEST_HEAD: usize = 1 << 20;
/// A line that says how long a chunk is, or a trailer, is no longer than this.
const LONGEST_LINE: usize = 16384;

/// A connection to whoever sends requests.
pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

macro_rules! either {
    ($stream:expr, $one:ident => $call:expr) => {
        match $stream {
            Stream::Unix($one) => $call,
            Stream::Tcp($one) => $call,
        }
    };
}

impl Stream {
    pub fn fd(&self) -> RawFd {
        either!(self, one => one.as_raw_fd())
    }
    pub fn close(&self) {
        let _ = either!(self, one => one.shutdown(Shutdown::Both));
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(*self, one => { let mut one = one; one.read(buffer) })
    }
}

impl io::Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(*self, one => { let mut one = one; one.write(bytes) })
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far a request's body has been read.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    /// Bytes until the end.
    Bytes(u64),
    /// Bytes until the end of this chunk; its line break follows.
    Chunk(u64),
    Done,
}

/// What comes in.
pub struct Incoming {
    stream: std::sync::Arc<Stream>,
    buffer: Vec<u8>,
    at: usize,
    left: Left,
    /// Number of the request that is being read: a body that was kept beyond its request reads nothing of the next.
    pub number: u64,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Incoming {
    pub fn new(stream: std::sync::Arc<Stream>) -> Self {
        Incoming { stream, buffer: Vec::new(), at: 0, left: Left::Done, number: 0 }
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        let begin = self.buffer.len();
        self.buffer.resize(begin + 16384, 0);
        let read = loop {
            match (&*self.stream).read(&mut self.buffer[begin..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => break result,
            }
        };
        self.buffer.truncate(begin + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }

    /// The next head without its empty line; `None` when the connection ends before one.
    pub fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.number += 1;
        let mut looked = 0;
        loop {
            let held = &self.buffer[self.at..];
            if let Some(end) = held[looked..].windows(4).position(|four| four == b"\r\n\r\n") {
                let head = held[..looked + end + 2].to_vec();
                self.at += looked + end + 4;
                return Ok(Some(head));
            }
            if held.len() > LONGEST_HEAD {
                return Err(broken("the head is too long"));
            }
            looked = held.len().saturating_sub(3);
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Says how the body that follows is framed.
    pub fn expect(&mut self, length: Option<&str>, chunked: bool) -> io::Result<()> {
        self.left = match length {
            _ if chunked => {
                self.left = Left::Chunk(0);
                return self.next_chunk();
            }
            Some(length) => Left::Bytes(length.parse().map_err(|_| broken("content-length is no number"))?),
            None => Left::Done,
        };
        if self.left == Left::Bytes(0) {
            self.left = Left::Done;
        }
        Ok(())
    }

    pub fn done(&self) -> bool {
        self.left == Left::Done
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let held = &self.buffer[self.at..];
            if let Some(end) = held.iter().position(|&byte| byte == b'\n') {
                let line = held[..end].trim_ascii().to_vec();
                self.at += end + 1;
                return Ok(line);
            }
            if held.len() > LONGEST_LINE {
                return Err(broken("a line of the body's framing is too long"));
            }
            if !self.fill()? {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        self.left = Left::Chunk(size.ok_or_else(|| broken("a chunk has no length"))?);
        if self.left == Left::Chunk(0) {
            while !self.line()?.is_empty() {}
            self.left = Left::Done;
        }
        Ok(())
    }

    /// Reads of the body; 0 at its end. A client that has gone away is an error.
    pub fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (Left::Bytes(left) | Left::Chunk(left)) = self.left else { return Ok(0) };
        if self.at == self.buffer.len() && !self.fill()? {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = out.len().min(self.buffer.len() - self.at).min(usize::try_from(left).unwrap_or(usize::MAX));
        out[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        let left = left - count as u64;
        match self.left {
            Left::Bytes(_) => self.left = if left == 0 { Left::Done } else { Left::Bytes(left) },
            _ => self.left = Left::Chunk(left),
        }
        if self.left == Left::Chunk(0) {
            self.line()?;
            self.next_chunk()?;
        }
        Ok(count)
    }

    /// What has arrived beyond the request, for a connection that changes its protocol.
    pub fn rest(&mut self) -> Vec<u8> {
        let rest = self.buffer[self.at..].to_vec();
        self.at = self.buffer.len();
        rest
    }
}
