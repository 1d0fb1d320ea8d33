//! The other end of the launcher's channel: runtimes/launch/README.md says which lines there are.

use crate::connection::Stream;
use crate::server::Server;
use crate::sys;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpListener;
use std::os::fd::FromRawFd;
use std::os::raw::c_int;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::exit;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const HTTP: c_int = 3;
const CHANNEL: c_int = 4;

extern "C" {
    fn shutdown(fd: c_int, how: c_int) -> c_int;
}
const SHUT_RDWR: c_int = 2;

pub(crate) fn run(server: Arc<Server>) -> ! {
    if !(sys::listens(HTTP) && sys::is_stream(CHANNEL)) {
        by_hand(server);
    }
    sys::close_on_exec(HTTP);
    sys::close_on_exec(CHANNEL);
    sys::outlive_sigterm();
    // SAFETY: the launcher has left both for this process alone, and nothing else here knows their numbers.
    let (listener, channel) = unsafe { (UnixListener::from_raw_fd(HTTP), UnixStream::from_raw_fd(CHANNEL)) };
    let Ok(reading) = channel.try_clone() else { exit(1) };
    let channel = Arc::new(Mutex::new(channel));
    let tell = move |line: String| {
        let mut channel = channel.lock().unwrap_or_else(|broken| broken.into_inner());
        let _ = channel.write_all(line.as_bytes());
    };
    for line in BufReader::new(reading).lines() {
        let Ok(line) = line else { break };
        let mut words = line.split(' ');
        match words.next().unwrap_or_default() {
            "specialise" => {
                server.development.store(words.any(|word| word == "development=1"), Ordering::Relaxed);
                let (server, listener) = (server.clone(), listener.try_clone());
                thread::spawn(move || {
                    let Ok(listener) = listener else { exit(1) };
                    loop {
                        match listener.accept() {
                            Ok((stream, _)) => server.accept(Stream::Unix(stream)),
                            Err(error) if error.kind() == ErrorKind::InvalidInput => break, // it listens no more
                            Err(_) => thread::sleep(Duration::from_millis(10)),             // too many open files: some will be closed
                        }
                    }
                });
                tell("ready http\n".into());
            }
            "health" => tell(format!("health {}\n", server.in_flight())),
            "drain" => {
                let grace = words.next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
                let (server, tell) = (server.clone(), tell.clone());
                stop_listening();
                thread::spawn(move || {
                    let left = server.drain(Some(Instant::now() + Duration::from_millis(grace)));
                    tell(format!("left {left}\n"));
                });
            }
            "end" => {
                let server = server.clone();
                stop_listening();
                thread::spawn(move || {
                    server.drain(None);
                    exit(0);
                });
            }
            _ => {}
        }
    }
    exit(0) // the launcher is gone
}

/// New connections are refused, and whoever waits in `accept` returns.
fn stop_listening() {
    // SAFETY: changes the state of a socket, nothing of memory.
    unsafe { shutdown(HTTP, SHUT_RDWR) };
}

fn by_hand(server: Arc<Server>) -> ! {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".into());
    server.development.store(true, Ordering::Relaxed);
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap_or_else(|error| {
        eprintln!("cannot listen on port {port}: {error}");
        exit(1)
    });
    eprintln!("listening on port {port}");
    for stream in listener.incoming().flatten() {
        let _ = stream.set_nodelay(true);
        server.accept(Stream::Tcp(stream));
    }
    exit(0)
}
