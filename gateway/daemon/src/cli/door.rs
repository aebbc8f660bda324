use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lingate_config::HealthListen;

use crate::cli::exit::{Code, Failed};
use crate::prepare::load;
use crate::report::Report;

const DEFAULT: &str = "http://127.0.0.1:9273";
const PATIENCE: Duration = Duration::from_secs(5);
/// A gateway with 10,000 devices reports about 3 MiB.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Where a running daemon is asked.
pub(crate) enum Door {
    Tcp(String),
    Unix(PathBuf),
}

impl Door {
    fn parse(url: &str) -> Result<Door, Failed> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Door::Unix(path.into()));
        }
        match url.strip_prefix("http://") {
            Some(address) => Ok(Door::Tcp(address.split('/').next().unwrap_or_default().to_owned())),
            None => Err(Failed::new(Code::Usage, format!("{url:?} is neither http://HOST:PORT nor unix:/PATH"))),
        }
    }

    pub(crate) fn of(listen: &HealthListen) -> Door {
        match listen {
            HealthListen::Tcp(address) => Door::Tcp(address.to_string()),
            HealthListen::Unix(path) => Door::Unix(path.clone()),
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Door::Tcp(address) => format!("http://{address}"),
            Door::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// From a command's arguments; without any: where a daemon listens if its configuration does not say it.
    pub(crate) fn find(config: Option<&Path>, url: Option<&str>) -> Result<Door, Failed> {
        match (config, url) {
            (_, Some(url)) => Door::parse(url),
            (Some(config), None) => {
                Ok(Door::of(&load(config).map_err(|refused| Failed::refused(config, &refused))?.health))
            }
            (None, None) => Door::parse(DEFAULT),
        }
    }

    /// The status, and its bytes as they came.
    pub(crate) fn report(&self) -> Result<(Report, Vec<u8>), Failed> {
        let body = self.ask("/status").map_err(|error| {
            let hint = "is it running? Try `systemctl status lingate`";
            Failed::new(Code::Unavailable, format!("no lingate answers at {}: {error}; {hint}", self.name()))
        })?;
        let report = serde_json::from_slice(&body)
            .map_err(|error| Failed::new(Code::Unavailable, format!("{} is no lingate: {error}", self.name())))?;
        Ok((report, body))
    }

    /// The body of a successful answer.
    pub(crate) fn ask(&self, path: &str) -> io::Result<Vec<u8>> {
        match self {
            Door::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(stream, path, address)
            }
            Door::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(stream, path, "localhost")
            }
        }
    }
}

/// HTTP/1.0, so that the answer ends with the connection and is never chunked.
fn ask(mut stream: impl Read + Write, path: &str, host: &str) -> io::Result<Vec<u8>> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(|| bad("not an HTTP answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(answer.split_off(end + 4)),
        Some(code) => Err(bad(&format!("HTTP status {code}"))),
        None => Err(bad("not an HTTP answer")),
    }
}
