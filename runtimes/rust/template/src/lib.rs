//! `handle` is called once for each request, many at a time.

use petrel::{Request, Response};

/// Says hello to whom the query names: /?name=Ada.
pub fn handle(request: Request) -> Response {
    let name = request.query("name").unwrap_or_else(|| "world".into());
    Response::text(format!("Hello, {name}!\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_hello() {
        let response = handle(Request::test("GET", "/?name=Ada", ""));
        assert_eq!(response.body(), Some("Hello, Ada!\n".as_bytes()));
    }
}
