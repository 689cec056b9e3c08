//! Follows a hub:
//!
//!     cargo run --bin subscribe -- http://127.0.0.1:8080 'types=job,note' [cursor-file]
//!
//! Prints the JSON of each event on a line, and what happens to the connection on standard error. It reconnects by itself and
//! resumes after the last event; with a cursor file also after its own restart. HUB_TOKEN is sent as bearer token.

use matric_events_examples::{eventstream::Parser, http};
use std::io::{self, Read, Write};
use std::time::Duration;
use std::{env, fs, process, thread};

/// Three of the hub's keepalives.
const SILENCE: Duration = Duration::from_secs(45);

struct Subscriber {
    hub: String,
    query: String,
    cursor_file: Option<String>,
    cursor: String,
    retry: Duration,
    failures: u32,
}

impl Subscriber {
    fn headers(&self) -> String {
        let token = env::var("HUB_TOKEN").map(|t| format!("Authorization: Bearer {}\r\n", t)).unwrap_or_default();
        let cursor = if self.cursor.is_empty() { String::new() } else { format!("Last-Event-ID: {}\r\n", self.cursor) };
        token + &cursor
    }

    /// Without a cursor a connection that breaks before its first event would have nothing to resume from: ask where the log
    /// stands.
    fn locate(&mut self) -> io::Result<()> {
        let (status, body) = http::get(&self.hub, "/api/v1/events/poll?limit=1", &self.headers(), SILENCE)?;
        let mut text = String::new();
        body.take(1 << 20).read_to_string(&mut text)?;
        if status == 200 {
            // There is no JSON in the standard library. This answer holds no events, so that the name occurs once.
            let value = text.split_once("\"cursor\":\"").and_then(|(_, rest)| rest.split_once('"'));
            self.cursor = value.map(|(cursor, _)| cursor.to_string()).unwrap_or_default();
        }
        Ok(())
    }

    /// Opens the stream and handles what comes until that ends.
    fn follow(&mut self) -> io::Result<()> {
        let path = format!("/api/v1/events?{}", self.query);
        let (status, mut body) = http::get(&self.hub, &path, &self.headers(), SILENCE)?;
        if (400..500).contains(&status) && ![408, 425, 429].contains(&status) {
            let mut text = String::new();
            body.take(1 << 20).read_to_string(&mut text)?;
            eprintln!("refused: {} {}", status, text);
            process::exit(1); // it would be refused again
        }
        if status != 200 {
            return Err(io::Error::new(io::ErrorKind::Other, format!("the hub answers {}", status)));
        }
        eprintln!("connected");
        let mut parser = Parser::default();
        let mut buffer = [0; 16 << 10];
        loop {
            let n = body.read(&mut buffer)?;
            if n == 0 {
                return Err(io::Error::new(io::ErrorKind::Other, "the hub closed the connection"));
            }
            for event in parser.feed(&buffer[..n]) {
                self.failures = 0;
                match event.name.as_str() {
                    "resync_required" => eprintln!("events are missing: read your state anew: {}", event.data),
                    "events.lagged" => eprintln!("events were left out, too slow: {}", event.data),
                    _ => {
                        handle(&event.data)?;
                        self.keep(event.id)?;
                    }
                }
            }
            self.retry = parser.retry.unwrap_or(self.retry);
        }
    }

    /// The cursor moves on once an event has been handled: after a crash in between it comes again.
    fn keep(&mut self, id: String) -> io::Result<()> {
        if id.is_empty() || id == self.cursor {
            return Ok(());
        }
        self.cursor = id;
        if let Some(file) = &self.cursor_file {
            let new = format!("{}.new", file); // a crash leaves the old one or the new one
            fs::write(&new, &self.cursor)?;
            fs::rename(&new, file)?;
        }
        Ok(())
    }
}

/// Where your own work goes.
fn handle(json: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json)?;
    out.flush()
}

fn main() {
    let mut args = env::args().skip(1);
    let hub = args.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_string());
    let (query, cursor_file) = (args.next().unwrap_or_default(), args.next().filter(|file| !file.is_empty()));
    let cursor = cursor_file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let mut s =
        Subscriber { hub, query, cursor_file, cursor: cursor.trim().to_string(), retry: Duration::from_secs(1), failures: 0 };
    loop {
        let located = if s.cursor.is_empty() { s.locate() } else { Ok(()) };
        if let Err(error) = located.and_then(|()| s.follow()) {
            // The hub tells each client a somewhat different time to wait, so that not all come at once.
            let pause = (s.retry * 2u32.pow(s.failures.min(5))).min(Duration::from_secs(30));
            s.failures += 1;
            eprintln!("{}; again in {} ms", error, pause.as_millis());
            thread::sleep(pause);
        }
    }
}
