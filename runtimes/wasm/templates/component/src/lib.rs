use std::io::{Read, Write};
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Function;

impl wasi::exports::http::incoming_handler::Guest for Function {
    /// Answers a request; what is written to the body is sent as it is written.
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut name = String::new();
        if let Ok(body) = request.consume() {
            body.stream().unwrap().read_to_string(&mut name).unwrap();
        }
        if name.is_empty() {
            name = "world".into();
        }
        let path = request.path_with_query().unwrap_or_default();

        let headers = Fields::new();
        headers.append("content-type", b"text/plain; charset=utf-8").unwrap();
        let response = OutgoingResponse::new(headers);
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let mut stream = body.write().unwrap();
        writeln!(stream, "Hello, {name}, from {path}").unwrap();
        drop(stream);
        OutgoingBody::finish(body, None).unwrap();
    }
}

wasi::http::proxy::export!(Function);
