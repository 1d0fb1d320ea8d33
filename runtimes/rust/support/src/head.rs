//! Heads of requests: bytes to text. Header values are latin1, each byte one character.

/// What stands before a body.
pub struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
}

pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Reads a head without its empty line; `None` when it is no head of HTTP/1.1.
pub fn parse(bytes: &[u8]) -> Option<Head> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = latin1(lines.next()?);
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || method.is_empty() || target.is_empty() {
        return None;
    }
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        headers.push((latin1(&line[..colon]).to_ascii_lowercase(), latin1(line[colon + 1..].trim_ascii())));
    }
    Some(Head { method: method.into(), target: target.into(), headers })
}

/// The first value of a header; the name in lower case.
pub fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Percent signs and pluses of a query undone; what is no UTF-8 then is replaced.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as JSON, quotes included.
pub fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            char if (char as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", char as u32)),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_its_values_as_latin1() {
        let head = parse(b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-Name:  caf\xe9 \r\n").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a?b"));
        assert_eq!(find(&head.headers, "x-name"), Some("caf\u{e9}"));
        assert!(parse(b"GET /a").is_none());
        assert!(parse(b"GET /a HTTP/1.1\r\nno colon\r\n").is_none());
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(decode("a+b%20%C3%A9%"), "a b \u{e9}%");
        assert_eq!(json("a\"\n\u{1}"), "\"a\\\"\\n\\u0001\"");
    }
}
