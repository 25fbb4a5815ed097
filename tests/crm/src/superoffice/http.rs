//! As much of HTTP/1.1 as a client needs, with the means to break it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::answer::Response;

/// A request.
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// How an answer arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// Not at all: the connection ends.
    Lost,
    /// Not at all: nothing more is heard.
    Never,
    /// Its first half.
    Torn,
}

/// Answers the requests of a connection until it ends.
pub(super) fn serve(stream: TcpStream, answer: impl Fn(&Request) -> (Response, Delivery)) {
    stream.set_nodelay(true).ok();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (response, delivery) = answer(&request);
        match delivery {
            Delivery::Lost => return,
            Delivery::Never => {
                // Until the client has had enough.
                reader.read_to_end(&mut Vec::new()).ok();
                return;
            }
            Delivery::Whole | Delivery::Torn => {
                let body = response.body.as_ref().map(ToString::to_string).unwrap_or_default();
                let mut head = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", response.status, body.len());
                if response.body.is_some() {
                    head.push_str("content-type: application/json; charset=utf-8\r\n");
                }
                for (name, value) in &response.headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                let torn = delivery == Delivery::Torn;
                let sent = if torn { &body.as_bytes()[..body.len() / 2] } else { body.as_bytes() };
                let bytes = [head.as_bytes(), sent].concat();
                if reader.get_mut().write_all(&bytes).is_err() || torn {
                    return;
                }
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let at = Instant::now();
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Ok(0), |(_, value)| value.parse()).ok()?];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Request { at, method, path: path.to_owned(), query, headers, body })
}
