//! The real daemon as a process of its own: this binary starts itself once more and then calls what `lingate` calls.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lingate_checker::Durable;
use serde_json::Value;

use crate::process::{self, Usage};

/// Set in the process that is to be the gateway.
pub(crate) const ROLE: &str = "LINGATE_DEMO_ROLE";

pub(crate) struct Gateway {
    child: Child,
    folder: PathBuf,
    health: SocketAddr,
    pub(crate) usage: Usage,
    pub(crate) status: Value,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn lingate(folder: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the demo cannot find itself")?);
    command.env(ROLE, "gateway").env("RUST_LOG", "info,lingate::accepted=debug,rumqttc=warn").current_dir(folder);
    Ok(command)
}

/// `lingate enroll`: makes the keys, and the request that the sandbox answers.
pub(crate) fn enroll(folder: &Path) -> Result<Vec<u8>> {
    let output = lingate(folder)?.args(["enroll", "--config", "lingate.toml"]).output()?;
    ensure!(output.status.success(), "lingate enroll failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(fs::read(folder.join("enroll.json"))?)
}

impl Gateway {
    /// `lingate run --once`: ends by itself, after everything that was read has been delivered.
    pub(crate) fn start(folder: &Path, health: SocketAddr, seconds: u64) -> Result<Gateway> {
        let log = File::create(folder.join("gateway.log"))?;
        let mut command = lingate(folder)?;
        command.args(["run", "--config", "lingate.toml", "--once", &seconds.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Gateway { child, folder: folder.to_owned(), health, usage: Usage::default(), status: Value::Null })
    }

    /// Looks at the process and at its health endpoint; keeps what it saw last.
    pub(crate) fn look(&mut self) {
        if let Some(usage) = process::usage(self.child.id()).filter(|usage| usage.peak_rss_mib > 0.0) {
            self.usage = usage;
        }
        if let Ok(status) = get_status(self.health) {
            self.status = status;
        }
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What was reported durable, commit by commit.
    pub(crate) fn durable(&self) -> Result<Durable> {
        Ok(Durable::of_log(&fs::read_to_string(self.folder.join("gateway.log"))?))
    }

    /// The last words of the gateway, for a failed demo.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let told: Vec<&str> = log.lines().filter(|line| !line.contains("lingate::accepted")).collect();
        told[told.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get_status(address: SocketAddr) -> Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the health endpoint gave no body")?;
    Ok(serde_json::from_str(body)?)
}
