use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Load;

/// One run of the binary. Killed, not stopped, when it is dropped.
pub struct Daemon {
    child: Child,
    pub health: Health,
}

impl Daemon {
    /// Appends what the binary says to `log`.
    pub fn start(
        binary: &Path,
        folder: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        health: Health,
    ) -> Result<Daemon> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("gateway.log"))?;
        let child = Command::new(binary)
            .args(["run", "--config", "lingate.toml"])
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .env("RUST_LOG", "info,lingate::accepted=debug,rumqttc=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        Ok(Daemon { child, health })
    }

    pub fn load(&self) -> Result<Load> {
        Load::of(self.child.id())
    }

    /// SIGKILL: nothing in the process gets a chance.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, as systemd does it.
    pub fn terminate(&self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        anyhow::ensure!(status.success(), "kill -TERM failed");
        Ok(())
    }

    /// Waits for the end that comes by itself.
    pub fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The health endpoint, as a browser would ask it.
#[derive(Clone, Copy)]
pub struct Health(pub SocketAddr);

impl Health {
    /// Status line, headers and body, as they came.
    pub fn get(self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.0, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.0)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    pub fn status(self) -> Result<Value> {
        let answer = self.get("/status")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        Ok(serde_json::from_str(body)?)
    }
}
