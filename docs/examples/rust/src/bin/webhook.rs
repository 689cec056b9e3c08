//! Receives webhooks:
//!
//!     WEBHOOK_SECRET=whsec_… cargo run --bin webhook -- 127.0.0.1:9000
//!
//! Checks both signatures that a delivery carries, and prints the JSON of each event on a line, once. During a rotation give it
//! the old and the new secret, separated by a space.

use matric_events_examples::http::Head;
use matric_events_examples::signature::{verify_body, verify_standard};
use std::collections::HashSet;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, thread};

const LARGEST: u64 = 1 << 20; // bytes of a body that we read

struct Receiver {
    secrets: Vec<String>,
    /// The webhook-id of what was done: deliveries come at least once. In earnest it is a unique column, written in the
    /// transaction that the event causes.
    done: Mutex<HashSet<String>>,
}

impl Receiver {
    fn answer(&self, head: &Head, body: &[u8]) -> io::Result<&'static str> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let (id, at) = (head.get("webhook-id"), head.get("webhook-timestamp"));
        let standard = |s: &String| verify_standard(s, id, at, head.get("webhook-signature"), body, now);
        let plain = |s: &String| verify_body(s, head.get("x-matric-signature"), body);
        if !head.line.starts_with("POST ") {
            return Ok("405 Method Not Allowed");
        }
        if !self.secrets.iter().any(standard) || !self.secrets.iter().any(plain) {
            return Ok("401 Unauthorized");
        }
        let mut done = match self.done.lock() {
            Ok(done) => done,
            Err(_) => return Ok("500 Internal Server Error"), // the hub tries again later
        };
        if !done.contains(id) {
            let mut out = io::stdout().lock();
            out.write_all(body)?; // your own work; what takes longer than some seconds goes into a queue
            out.write_all(b"\n")?;
            out.flush()?;
            if done.len() >= 100_000 {
                done.clear(); // a bound for an example
            }
            done.insert(id.to_string());
        }
        Ok("204 No Content")
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut from = BufReader::new(stream.try_clone()?);
        let head = Head::read(&mut from)?;
        let length = head.get("content-length").parse().unwrap_or(0);
        let mut status = "413 Content Too Large";
        if length <= LARGEST {
            let mut body = vec![0; length as usize];
            from.read_exact(&mut body)?; // as it came: parsed and printed again it would have another signature
            status = self.answer(&head, &body)?;
        }
        (&stream).write_all(format!("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status).as_bytes())
    }
}

fn main() -> io::Result<()> {
    let secrets = env::var("WEBHOOK_SECRET").unwrap_or_default().split_whitespace().map(str::to_string).collect();
    let receiver = Arc::new(Receiver { secrets, done: Mutex::default() });
    let listener = TcpListener::bind(env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_string()))?;
    eprintln!("receiving on http://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let receiver = Arc::clone(&receiver);
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = receiver.serve(stream) {
                eprintln!("{}", error);
            }
        });
    }
    Ok(())
}
