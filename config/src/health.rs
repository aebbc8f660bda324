use std::net::{Ipv4Addr, SocketAddr};

use lingate_drivers::settings::{Problem, Table, parse_path};

use crate::HealthListen;
use crate::keys::optional;

/// Next to the ports that Prometheus exporters use.
const PORT: u16 = 9273;

/// `sun_path` of the kernel, its terminating zero left out.
const SOCKET_BYTES_MAX: usize = 107;

const HINT: &str = "the health endpoint is for this machine only: write \"127.0.0.1:9273\" or \
    \"unix:/run/lingate/health.sock\", and let the machine's own proxy or agent carry it further";

pub(crate) fn read(root: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<HealthListen> {
    let default = HealthListen::Tcp((Ipv4Addr::LOCALHOST, PORT).into());
    if !root.has("health") {
        let _ = root.take("health");
        return Some(default);
    }
    let mut table = root.take("health").table()?;
    let listen = optional(&mut table, "listen", default, |key| key.parsed_with(parse));
    problems.extend(table.finish());
    listen
}

fn parse(text: &str) -> Result<HealthListen, (String, Option<String>)> {
    if let Some(socket) = text.strip_prefix("unix:") {
        let socket = parse_path(socket).map_err(|(what, _)| (what, Some(HINT.to_owned())))?;
        return match socket.as_os_str().len() <= SOCKET_BYTES_MAX {
            true => Ok(HealthListen::Unix(socket)),
            false => Err((format!("is longer than a socket's path may be, {SOCKET_BYTES_MAX} bytes"), None)),
        };
    }
    let refuse = |what: &str| Err((what.to_owned(), Some(HINT.to_owned())));
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(HealthListen::Tcp(address)),
        Ok(_) => refuse("is not a loopback address"),
        Err(_) => refuse("is neither a loopback address with a port nor unix: with a path"),
    }
}
