// Everything that the contract suite asks of a handler, as a component of wasi:http: each request is an instance of its own, what they
// share is in files.
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::thread::sleep;
use std::time::Duration;
use wasi::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasi::io::streams::{InputStream, OutputStream};

struct Function;

fn count(name: &str) {
    let mut file = OpenOptions::new().write(true).create(true).open(format!("/state.{name}")).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"x").unwrap();
}
fn counted(name: &str) -> u64 {
    fs::metadata(format!("/state.{name}")).map(|found| found.len()).unwrap_or(0)
}
fn gate(name: &str) {
    while counted(&format!("open.{name}")) == 0 {
        sleep(Duration::from_millis(2));
    }
}
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for one in text.chars() {
        match one {
            '"' | '\\' => write!(out, "\\{one}").unwrap(),
            one if (one as u32) < 32 => write!(out, "\\u{:04x}", one as u32).unwrap(),
            one => out.push(one),
        }
    }
    out + "\""
}
fn object(pairs: impl Iterator<Item = (String, String)>) -> String {
    let members: Vec<String> = pairs.map(|(name, value)| format!("{}:{}", json(&name), json(&value))).collect();
    format!("{{{}}}", members.join(","))
}

/// Begins the answer; its body is written to what is returned, and ended by `done`.
fn begin(out: ResponseOutparam, status: u16, headers: &[(&str, &[u8])]) -> (OutgoingBody, OutputStream) {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value).unwrap();
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().unwrap();
    (body, stream)
}
fn done((body, stream): (OutgoingBody, OutputStream)) {
    drop(stream);
    OutgoingBody::finish(body, None).unwrap();
}
fn text(out: ResponseOutparam, said: &str) {
    let mut answer = begin(out, 200, &[("content-type", b"text/plain")]);
    answer.1.write_all(said.as_bytes()).unwrap();
    done(answer);
}

impl wasi::exports::http::incoming_handler::Guest for Function {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let wanted = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(String::from)).unwrap_or_default()
        };
        let headers: Vec<(String, Vec<u8>)> = request.headers().entries();
        let incoming = request.consume().unwrap();
        let mut input: InputStream = incoming.stream().unwrap();
        let plain: &[(&str, &[u8])] = &[("content-type", b"text/plain")];
        let bytes: &[(&str, &[u8])] = &[("content-type", b"application/octet-stream")];
        match path {
            "/echo" | "/echo-stream" => {
                let given = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
                let kind = if path == "/echo" { given.unwrap_or(b"none".to_vec()) } else { bytes[0].1.to_vec() };
                let mut answer = begin(out, 200, &[("content-type", &kind)]);
                io::copy(&mut input, &mut answer.1).unwrap();
                done(answer);
            }
            "/describe" => {
                let mut body = String::new();
                input.read_to_string(&mut body).unwrap();
                let method = match request.method() {
                    Method::Get => "GET".into(),
                    Method::Post => "POST".into(),
                    Method::Put => "PUT".into(),
                    Method::Patch => "PATCH".into(),
                    Method::Delete => "DELETE".into(),
                    Method::Other(name) => name,
                    other => format!("{other:?}").to_uppercase(),
                };
                let pairs: Vec<String> = query
                    .split('&')
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(name, value)| format!("[{},{}]", json(&decoded(name)), json(&decoded(value))))
                    .collect();
                let latin1 = |value: Vec<u8>| value.into_iter().map(char::from).collect::<String>();
                let mut merged: Vec<(String, String)> = Vec::new();
                for (name, value) in headers {
                    match merged.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, all)) => *all += &format!(", {}", latin1(value)),
                        None => merged.push((name, latin1(value))),
                    }
                }
                let host = request.authority().unwrap_or_default();
                merged.push(("host".into(), host));
                text(out, &format!(
                    "{{\"method\":{},\"path\":{},\"query\":[{}],\"headers\":{},\"body\":{}}}",
                    json(&method), json(&decoded(path)), pairs.join(","), object(merged.into_iter()), json(&body),
                ));
            }
            "/headers" => {
                let lines: &[(&str, &[u8])] = &[
                    ("x-latin1", b"caf\xe9"), plain[0], ("set-cookie", b"a=1; Path=/"), ("set-cookie", b"b=2"),
                ];
                let mut answer = begin(out, 200, lines);
                answer.1.write_all(b"ok").unwrap();
                done(answer);
            }
            "/status" => {
                let code: u16 = wanted("code").parse().unwrap();
                let mut answer = begin(out, code, &[]);
                if code != 204 && code != 304 {
                    write!(answer.1, "body of {code}").unwrap();
                }
                done(answer);
            }
            "/sse" => {
                let mut answer = begin(out, 200, &[("content-type", b"text/event-stream")]);
                for n in 0..3 {
                    if n > 0 {
                        gate(&n.to_string());
                    }
                    write!(answer.1, "data: {n}\n\n").unwrap();
                }
                done(answer);
            }
            "/open" => {
                count(&format!("open.{query}"));
                text(out, "opened");
            }
            "/big" => {
                let mut left: usize = wanted("bytes").parse().unwrap();
                let mut answer = begin(out, 200, bytes);
                let piece = [b'x'; 65536];
                while left > 0 {
                    count("produced");
                    answer.1.write_all(&piece).unwrap();
                    left -= piece.len();
                }
                done(answer);
            }
            "/produced" => text(out, &(counted("produced") * 65536).to_string()),
            "/slow-read" => {
                input.blocking_read(65536).unwrap();
                gate("read");
                let rest = io::copy(&mut input, &mut io::sink()).unwrap();
                text(out, &format!("rest {rest}"));
            }
            "/throw" => panic!("TypeError: thrown in the handler"),
            "/reject" => {
                sleep(Duration::from_millis(1));
                panic!("rejected in the handler")
            }
            "/hang" | "/hang-deaf" => loop {
                sleep(Duration::from_secs(1));
            },
            "/sleep" => {
                sleep(Duration::from_millis(wanted("ms").parse().unwrap()));
                text(out, "slept");
            }
            "/environment" => {
                let args: Vec<String> = std::env::args().map(|one| json(&one)).collect();
                text(out, &format!("{{\"env\":{},\"args\":[{}]}}", object(std::env::vars()), args.join(",")));
            }
            "/stdin" => {
                let read = io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
                text(out, &format!("stdin {read}"));
            }
            "/log" => {
                println!("a line of output");
                eprintln!("a line of errors");
                text(out, "logged");
            }
            "/break-stream" => {
                let mut answer = begin(out, 200, plain);
                answer.1.write_all(b"begun").unwrap();
                sleep(Duration::from_millis(500));
                panic!("broke off")
            }
            "/bad-header" => done(begin(out, 200, &[("x-evil", b"a\r\nx-forged: 1")])),
            "/refuse" => ResponseOutparam::set(out, Err(wasi::http::types::ErrorCode::HttpRequestDenied)),
            "/silent" => {}
            "/fetch" => {
                use wasi::http::{outgoing_handler, types::{OutgoingRequest, Scheme}};
                let sent = OutgoingRequest::new(Fields::new());
                sent.set_scheme(Some(&Scheme::Http)).unwrap();
                sent.set_authority(Some(&wanted("from"))).unwrap();
                sent.set_path_with_query(Some("/asked")).unwrap();
                let coming = outgoing_handler::handle(sent, None).unwrap();
                coming.subscribe().block();
                let response = coming.get().unwrap().unwrap().unwrap();
                let body = response.consume().unwrap();
                let mut said = String::new();
                body.stream().unwrap().read_to_string(&mut said).unwrap();
                text(out, &format!("{} {said}", response.status()));
            }
            _ => done(begin(out, 404, &[])),
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(code.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

wasi::http::proxy::export!(Function);
