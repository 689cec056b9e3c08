//! As much of HTTP/1.1 as the programs need: a GET whose answer goes on for long, and a head with its fields. Without TLS; see
//! Cargo.toml.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The first line of a request or an answer, and its fields with names in lower case.
pub struct Head {
    pub line: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head up to its empty line. One over 64 KiB is an error.
    pub fn read(from: &mut impl BufRead) -> io::Result<Head> {
        let mut lines = Vec::new();
        let mut bounded = from.take(64 << 10);
        loop {
            let mut line = String::new();
            if bounded.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" if lines.is_empty() => continue, // RFC 9112, section 2.2
                "" => break,
                text => lines.push(text.to_string()),
            }
        }
        let fields = lines[1..].iter().filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string())).collect();
        Ok(Head { line: lines.swap_remove(0), fields })
    }

    /// The value of a field, empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// The body of an answer.
pub struct Body {
    from: BufReader<TcpStream>,
    chunked: bool,
    left: u64, // of the chunk, or of the body
}

/// Sends a GET. A server that says nothing for as long as silence is an error of kind WouldBlock or TimedOut.
pub fn get(hub: &str, path: &str, headers: &str, silence: Duration) -> io::Result<(u16, Body)> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "want a URL such as http://127.0.0.1:8080");
    let host = hub.strip_prefix("http://").ok_or_else(invalid)?.trim_end_matches('/');
    let address = if host.contains(':') { host.to_string() } else { format!("{}:80", host) };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(silence))?;
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n", path, host, headers).as_bytes())?;
    let mut from = BufReader::new(stream);
    let head = Head::read(&mut from)?;
    let status = head.line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.line.clone()))?;
    let chunked = head.get("transfer-encoding") == "chunked";
    let left = if chunked { 0 } else { head.get("content-length").parse().unwrap_or(u64::MAX) };
    Ok((status, Body { from, chunked, left }))
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked {
            let mut line = String::new();
            self.from.read_line(&mut line)?;
            if line == "\r\n" {
                line.clear(); // behind the last chunk
                self.from.read_line(&mut line)?;
            }
            let size = line.trim_end().split(';').next().unwrap_or("");
            self.left = u64::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            self.chunked = self.left > 0; // a chunk of nothing is the end
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.from.read(&mut buffer[..most])?;
        if n == 0 && self.chunked {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}
