/** The contract suite for the rust runtime. */
import { contract } from '../contract.ts';
import { olderThan, withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const rust = oneFile('fn.rs');
const handler = 'pub fn handle(_: petrel::Request) -> petrel::Response {\n    dep::answer()\n}\n';
const program = (before: string) =>
  rust(`use std::io::{Read, Write};

fn main() {
    ${before}
    let listener = std::net::TcpListener::bind(format!("127.0.0.1:{}", std::env::var("PORT").unwrap())).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut head = [0; 4096];
        let count = stream.read(&mut head).unwrap();
        let head = String::from_utf8_lossy(&head[..count]).into_owned();
        let Some(target) = head.split(' ').nth(1) else { continue };
        let body = format!("program {target} {}", std::env::var("GREETING").unwrap());
        write!(stream, "HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: {}\\r\\n\\r\\n{body}", body.len()).unwrap();
    }
}
`);
const nothingRuns = 'nothing of a function in Rust runs before its first request';

contract({
  runtime: 'rust',
  missing: withoutProgram('cargo', 'perl') ?? olderThan('1.83', 'cargo', '--version'),
  transport: 'http1-unix',
  trace: /fn\.rs/,
  cwd: /petrel-built-\w+$/,
  args: /\/petrel-build\/handler$/,
  everything: rust(`
use petrel::{Request, Response};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

static PRODUCED: AtomicUsize = AtomicUsize::new(0);
static ABORTED: AtomicUsize = AtomicUsize::new(0);
static BUSY: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static OPENED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

fn gate(name: &str) {
    while !OPENED.lock().unwrap().get_or_insert_default().contains(name) {
        sleep(Duration::from_millis(2));
    }
}
fn number(request: &Request, name: &str) -> usize {
    request.query(name).unwrap().parse().unwrap()
}
fn text(text: &str) -> String {
    let escaped: String = text.chars().map(|c| match c { '"' | '\\\\' => format!("\\\\{c}"), c if (c as u32) < 32 => format!("\\\\u{:04x}", c as u32), c => c.to_string() }).collect();
    format!("\\"{escaped}\\"")
}
fn object(pairs: impl Iterator<Item = (String, String)>) -> String {
    let all: Vec<String> = pairs.map(|(name, value)| format!("{}:{}", text(&name), text(&value))).collect();
    format!("{{{}}}", all.join(","))
}
struct Broken(bool);
impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 { return Err(std::io::Error::other("broke off")); }
        self.0 = true;
        buffer[..5].copy_from_slice(b"begun");
        Ok(5)
    }
}

pub fn handle(mut request: Request) -> Response {
    let path = request.path().to_owned();
    match path.as_str() {
        "/echo" => {
            let kind = request.header("content-type").unwrap_or("none").to_owned();
            Response::new(200, request.read_bytes().unwrap()).header("content-type", kind)
        }
        "/echo-stream" => Response::stream(request.into_body()).header("content-type", "application/octet-stream"),
        "/describe" => {
            let body = request.read_text().unwrap();
            let query: Vec<String> = request.query_pairs().iter().map(|(a, b)| format!("[{},{}]", text(a), text(b))).collect();
            Response::json(format!("{{\\"method\\":{},\\"path\\":{},\\"query\\":[{}],\\"headers\\":{},\\"body\\":{}}}", text(request.method()), text(request.path()), query.join(","), object(request.headers().iter().cloned()), text(&body)))
        }
        "/json" => Response::json(format!("{{\\"got\\":{}}}", request.read_text().unwrap())),
        "/headers" => Response::text("ok").header("x-latin1", "caf\\u{e9}").header("set-cookie", "a=1; Path=/").header("set-cookie", "b=2"),
        "/status" => {
            let code = number(&request, "code");
            Response::new(code as u16, format!("body of {code}"))
        }
        "/sse" => Response::write(|out| {
            for n in 0..3 {
                if n > 0 { gate(&n.to_string()); }
                write!(out, "data: {n}\\n\\n")?;
            }
            Ok(())
        }).header("content-type", "text/event-stream"),
        "/open" => {
            OPENED.lock().unwrap().get_or_insert_default().insert(request.query_string().to_owned());
            Response::text("opened")
        }
        "/big" => {
            let mut left = number(&request, "bytes");
            Response::write(move |out| {
                let piece = [b'x'; 65536];
                while left > 0 {
                    let size = left.min(piece.len());
                    PRODUCED.fetch_add(size, SeqCst);
                    out.write_all(&piece[..size])?;
                    left -= size;
                }
                Ok(())
            })
        }
        "/produced" => Response::text(PRODUCED.load(SeqCst).to_string()),
        "/slow-read" => {
            let _ = request.read(&mut [0; 65536]).unwrap();
            gate("read");
            Response::text(format!("rest {}", request.read_bytes().unwrap().len()))
        }
        "/throw" => panic!("TypeError: thrown in the handler"),
        "/reject" => panic!("{}", "rejected in the handler"),
        "/hang" => {
            let _ = request.read_bytes();
            while !request.cancelled() { sleep(Duration::from_millis(2)); }
            ABORTED.fetch_add(1, SeqCst);
            panic!("late")
        }
        "/aborted" => Response::text(ABORTED.load(SeqCst).to_string()),
        "/hang-deaf" => loop { sleep(Duration::from_secs(1)) },
        "/sleep" => {
            MOST.fetch_max(BUSY.fetch_add(1, SeqCst) + 1, SeqCst);
            sleep(Duration::from_millis(number(&request, "ms") as u64));
            BUSY.fetch_sub(1, SeqCst);
            Response::text("slept")
        }
        "/most" => Response::text(MOST.load(SeqCst).to_string()),
        "/exit" => std::process::exit(3),
        "/environment" => {
            let args: Vec<String> = std::env::args().map(|one| text(&one)).collect();
            Response::json(format!("{{\\"env\\":{},\\"cwd\\":{},\\"args\\":[{}]}}", object(std::env::vars()), text(std::env::current_dir().unwrap().to_str().unwrap()), args.join(",")))
        }
        "/stdin" => {
            let mut all = Vec::new();
            std::io::stdin().read_to_end(&mut all).unwrap();
            Response::text(format!("stdin {}", all.len()))
        }
        "/log" => {
            println!("a line of output");
            eprintln!("a line of errors");
            Response::text("logged")
        }
        "/break-stream" => Response::stream(Broken(false)),
        "/bad-header" => Response::text("x").header("x-evil", "a\\r\\nx-forged: 1"),
        _ => Response::new(404, ""),
    }
}
`),
  crash: {
    files: {
      // Otherwise a panic ends its own thread only.
      'Cargo.toml':
        '[package]\nname = "crash"\nedition = "2021"\n\n[lib]\npath = "fn.rs"\n\n[profile.release]\npanic = "abort"\n',
      'fn.rs': `
pub fn handle(request: petrel::Request) -> petrel::Response {
    if request.path() != "/wait" {
        std::thread::spawn(|| panic!("thrown by a timer"));
    }
    loop { std::thread::sleep(std::time::Duration::from_secs(1)) }
}
`,
    },
  },
  failures: {
    'a syntax error': {
      source: rust(`static A: u8 = 1;\nstatic B: u8 = = 2;\n${handler}`),
      says: /error: expected expression, found `=`/,
      file: 'fn\\.rs',
      line: 2,
      shows: 'static B: u8 = = 2;',
      building: true,
    },
    'a syntax error in a file that is imported': {
      source: {
        files: { 'fn.rs': `mod dep;\n${handler}`, 'dep.rs': '\n\npub fn answer( {\n' },
        entry: 'fn.rs',
      },
      says: /error: /,
      file: 'dep\\.rs',
      line: 3,
      shows: 'pub fn answer( {',
      building: true,
    },
    'a module that is not there': {
      source: rust(`\nuse not_installed::Thing;\n${handler}`),
      says: /unresolved import `not_installed`/,
      file: 'fn\\.rs',
      line: 2,
      shows: 'use not_installed::Thing;',
      building: true,
    },
    'a module that is not there, two files deep': {
      source: {
        files: { 'fn.rs': `mod dep;\n${handler}`, 'dep.rs': '\n\nuse gone::Thing;\n' },
        entry: 'fn.rs',
      },
      says: /unresolved import `gone`/,
      file: 'dep\\.rs',
      line: 3,
      building: true,
    },
    'no handler among the exports': {
      source: rust('pub static ANSWER: u8 = 42;\npub fn thing() {}\n'),
      says: /HandlerNotFound: .*it exports thing \(fn\)/,
      building: true,
    },
    'a named handler that is not exported': {
      source: { ...rust('pub fn handle(_: petrel::Request) {}\n'), handler: 'handel' },
      says: /no pub fn handel .*it exports handle \(fn\)/,
      building: true,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.rs': '' }, entry: 'other.rs' },
      says: /has no other\.rs; it has: fn\.rs/,
      building: true,
    },
    'an entry outside the package': {
      source: { files: { 'fn.rs': '' }, entry: '../../etc/passwd' },
      says: /lies outside of the source/,
      building: true,
    },
  },
  programs: {
    declared: program(''),
    whenLoaded: program(''),
    later: program('std::thread::sleep(std::time::Duration::from_millis(50));'),
    failing: rust('fn main() {\n    eprintln!("cannot start: no licence");\n    std::process::exit(7)\n}\n'),
    silent: rust('fn main() {\n    std::thread::sleep(std::time::Duration::from_secs(3600))\n}\n'),
  },
  lacks: {
    'a throw while loading': nothingRuns,
    'loading that fails later': nothingRuns,
    'loading that never ends': nothingRuns,
    'code that exits while it is loaded': nothingRuns,
    'a handler that hangs is not hidden by an answer to PING':
      'handlers run on threads of their own: one that hangs holds nobody up, and requests share no connection with PING',
  },
});
