//! Serves a handler: a thread for each connection, which are the gateway's and few.

use crate::connection::{Incoming, Stream};
use crate::head::{self, find, json};
use crate::launcher;
use crate::request::Request;
use crate::response::{Content, Framing, IntoResponse, Response, Writer};
use crate::sys;
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

/// What is left of a body that nobody read is taken up to this, to keep the connection.
const DRAINED: u64 = 262_144;
const PIECE: usize = 65_536;
/// How often a server that drains looks whether it is done.
const LOOK: Duration = Duration::from_millis(5);

type Handler = dyn Fn(Request) -> Response + Send + Sync;

pub(crate) struct Server {
    handler: Box<Handler>,
    pub development: AtomicBool,
    draining: AtomicBool,
    next: AtomicU64,
    /// Every connection, and whether a request of it is worked on.
    connections: Mutex<HashMap<u64, (Arc<Stream>, bool)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|broken| broken.into_inner())
}

thread_local! {
    /// Where this thread has panicked last, in the words of the standard library.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Serves until the process ends. The launcher of the platform has left a socket; without one it is `$PORT`.
pub fn serve<H, R>(handler: H) -> !
where
    H: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANIC.with_borrow_mut(|place| *place = info.to_string());
        before(info);
    }));
    launcher::run(Arc::new(Server {
        handler: Box::new(move |request| handler(request).into_response()),
        development: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        next: AtomicU64::new(0),
        connections: Mutex::default(),
    }))
}

/// Waits for a future on this thread, for handlers that are `async` without a runtime of their own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

impl Server {
    /// Requests that somebody still waits for.
    pub fn in_flight(&self) -> usize {
        locked(&self.connections).values().filter(|(stream, busy)| *busy && !sys::hung_up(stream.fd())).count()
    }

    /// Takes nothing new on connections that are open, and waits until nothing is in flight or the time is over; returns what is left.
    pub fn drain(&self, until: Option<Instant>) -> usize {
        self.draining.store(true, Ordering::SeqCst);
        for (stream, busy) in locked(&self.connections).values() {
            if !busy {
                stream.close();
            }
        }
        loop {
            let left = self.in_flight();
            if left == 0 || until.is_some_and(|until| Instant::now() >= until) {
                return left;
            }
            thread::sleep(LOOK);
        }
    }

    pub fn accept(self: &Arc<Self>, stream: Stream) {
        let server = self.clone();
        let stream = Arc::new(stream);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        locked(&self.connections).insert(id, (stream.clone(), false));
        let started = thread::Builder::new().name("request".into()).spawn(move || {
            let _ = server.work(id, &stream);
            stream.close();
            locked(&server.connections).remove(&id);
        });
        if started.is_err() {
            locked(&self.connections).remove(&id);
        }
    }

    fn busy(&self, id: u64, busy: bool) {
        if let Some(entry) = locked(&self.connections).get_mut(&id) {
            entry.1 = busy;
        }
    }

    fn work(&self, id: u64, stream: &Arc<Stream>) -> io::Result<()> {
        let incoming = Arc::new(Mutex::new(Incoming::new(stream.clone())));
        loop {
            let (head, number) = {
                let mut reading = locked(&incoming);
                (reading.head()?, reading.number)
            };
            let Some(bytes) = head else { return Ok(()) };
            self.busy(id, true);
            let Some(head) = head::parse(&bytes) else {
                return (&**stream).write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            };
            let chunked = find(&head.headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
            locked(&incoming).expect(find(&head.headers, "content-length"), chunked)?;
            let last = find(&head.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let id_of_request = find(&head.headers, "x-request-id").map(str::to_owned);
            let is_head = head.method == "HEAD";
            let request = Request::new(head, incoming.clone(), number, stream.clone());

            let response = panic::catch_unwind(AssertUnwindSafe(|| (self.handler)(request)));
            let close = last || self.draining.load(Ordering::SeqCst);
            let answered = panic::catch_unwind(AssertUnwindSafe(|| {
                self.answer(stream, &incoming, response, id_of_request.as_deref(), is_head, close)
            }));
            if !answered.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))? || !take_rest(&mut locked(&incoming))? {
                return Ok(());
            }
            self.busy(id, false);
            if self.draining.load(Ordering::SeqCst) {
                return Ok(());
            }
        }
    }

    /// Sends a response; whether the connection can go on.
    fn answer(
        &self,
        mut stream: &Stream,
        incoming: &Mutex<Incoming>,
        response: Result<Response, Box<dyn Any + Send>>,
        id: Option<&str>,
        is_head: bool,
        close: bool,
    ) -> io::Result<bool> {
        let response = match response {
            Ok(Response { content: Content::Failure(message), .. }) => {
                eprintln!("the handler returned an error: {message}");
                self.failure(id, &message, None)
            }
            Ok(response) => response,
            Err(payload) => self.failure(id, &said(&*payload), Some(PANIC.with_borrow_mut(std::mem::take))),
        };
        let response = match forged(&response.headers) {
            None => response,
            Some(name) => {
                let message = format!("the header {name:?} cannot be sent: it has a line break or a character beyond latin1 in it");
                eprintln!("{message}");
                self.failure(id, &message, None)
            }
        };
        let bodiless = response.status == 204 || response.status == 304;
        let announced = find_any(&response.headers, "content-length").and_then(|value| value.parse().ok());
        let length = match &response.content {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            _ => announced,
        };
        let mut out = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status)).into_bytes();
        for (name, value) in &response.headers {
            if ["content-length", "transfer-encoding", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
                continue;
            }
            out.extend(name.bytes().chain(*b": "));
            out.extend(value.chars().map(|char| char as u8));
            out.extend(b"\r\n");
        }
        if let Content::Upgrade(talk) = response.content {
            out.extend(b"connection: upgrade\r\n\r\n");
            stream.write_all(&out)?;
            let held = locked(incoming).rest();
            talk(&mut Raw { held: io::Cursor::new(held), stream });
            return Ok(false);
        }
        match length {
            _ if bodiless => {}
            Some(length) => write!(out, "content-length: {length}\r\n")?,
            None => out.extend(b"transfer-encoding: chunked\r\n"),
        }
        if close {
            out.extend(b"connection: close\r\n");
        }
        out.extend(b"\r\n");
        let silent = is_head || bodiless;
        if let Content::Bytes(bytes) = response.content {
            if !silent {
                out.extend(bytes);
            }
            stream.write_all(&out)?;
            return Ok(!close);
        }
        stream.write_all(&out)?;
        let framing = match length {
            _ if silent => Framing::Nothing,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let mut writer = Writer { stream, framing };
        let written = match response.content {
            Content::Writer(write) => write(&mut writer),
            Content::Reader(mut reader) => copy(&mut *reader, &mut writer),
            _ => Ok(()),
        };
        if let Err(error) = written.and_then(|()| writer.finish()) {
            eprintln!("the answer broke off: {error}");
            return Ok(false);
        }
        Ok(!close)
    }

    /// The answer that all runtimes give when a handler fails.
    fn failure(&self, id: Option<&str>, message: &str, stack: Option<String>) -> Response {
        let mut body = String::from("{\"component\":\"function\",\"reason\":\"function_error\"");
        if let Some(id) = id {
            body += &format!(",\"requestId\":{}", json(id));
        }
        if self.development.load(Ordering::Relaxed) {
            body += &format!(",\"message\":{}", json(message));
            if let Some(stack) = stack {
                body += &format!(",\"stack\":{}", json(&stack));
            }
        }
        Response::json(body + "}").status(500)
    }
}

struct Raw<'a> {
    held: io::Cursor<Vec<u8>>,
    stream: &'a Stream,
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.held.read(buffer)? {
            0 => self.stream.read(buffer),
            count => Ok(count),
        }
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn copy(reader: &mut dyn Read, writer: &mut Writer<'_>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => writer.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what a handler has left of a body; whether its end was reached.
fn take_rest(incoming: &mut Incoming) -> io::Result<bool> {
    let mut piece = [0; 8192];
    let mut taken = 0;
    while !incoming.done() {
        taken += incoming.body(&mut piece)? as u64;
        if taken > DRAINED {
            return Ok(false);
        }
    }
    Ok(true)
}

fn find_any<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The name of a header that would forge another line, or cannot be written.
fn forged(headers: &[(String, String)]) -> Option<&str> {
    let token = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let safe = |value: &str| value.chars().all(|char| (char as u32) < 256 && !"\r\n\0".contains(char));
    headers.iter().find(|(name, value)| !token(name) || !safe(value)).map(|(name, _)| name.as_str())
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the handler panicked".into())
}

/// Clients of HTTP/1.1 read nothing from it, people do.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        _ => "-",
    }
}
