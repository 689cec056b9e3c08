//! Reads an event stream as the HTML standard says (section 9.2.6).

use std::time::Duration;

/// One event. The name is empty when the stream named none.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: String,
}

/// A parser that is fed with whatever came.
#[derive(Default)]
pub struct Parser {
    /// How long to wait before a reconnect, when the stream has said so.
    pub retry: Option<Duration>,
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// Takes in some bytes and returns the events that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_cr; // of a CRLF
            self.after_cr = byte == b'\r';
            if second_half {
                continue;
            }
            if byte != b'\n' && byte != b'\r' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            let line = if self.started { &line } else { line.trim_start_matches('\u{feff}') };
            self.started = true;
            if line.is_empty() {
                events.extend(self.dispatch());
            } else {
                self.field(line);
            }
        }
        events
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = self.event.clone();
        self.event = Event { id: event.id.clone(), ..Event::default() };
        std::mem::take(&mut self.has_data).then(|| event)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event.name = value.to_string(),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.event.id = value.to_string(),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry);
            }
            _ => {} // a comment, or a field that we do not know
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, id: &str, data: &str) -> Event {
        Event { name: name.into(), id: id.into(), data: data.into() }
    }

    #[test]
    fn streams() {
        for (text, want) in [
            ("data: YHOO\ndata: +2\ndata: 10\n\n", vec![event("", "", "YHOO\n+2\n10")]),
            (": hello\n\nid: 1\ndata:a\n\ndata:  b\n\n", vec![event("", "1", "a"), event("", "1", " b")]),
            ("event: x\nid: 7\n\ndata\n\n", vec![event("", "7", "")]),
            ("data: 1\r\rdata: 2\r\n\r\ndata: ü\n\n", vec![event("", "", "1"), event("", "", "2"), event("", "", "ü")]),
            ("\u{feff}event: a\ndata: 1\n\ndata: cut short", vec![event("a", "", "1")]),
        ] {
            assert_eq!(Parser::default().feed(text.as_bytes()), want, "{:?}", text);
            let mut by_byte = Parser::default();
            let got: Vec<Event> = text.bytes().flat_map(|b| by_byte.feed(&[b])).collect();
            assert_eq!(got, want, "{:?} byte by byte", text);
        }
        let mut parser = Parser::default();
        parser.feed(b"retry: 1500\nretry: soon\nretry:\n");
        assert_eq!(parser.retry, Some(Duration::from_millis(1500)));
    }
}
