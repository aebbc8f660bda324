use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Load;

/// Set in a process that is to be the gateway: a program of this crate starts itself once more and then is the daemon.
pub const ROLE: &str = "LINGATE_E2E_ROLE";

/// How the binary is started: behind which words, and with which environment.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Such as `ip netns exec gw`.
    pub prefix: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Launch {
    pub(crate) fn command(&self, binary: &Path) -> Command {
        let mut command = match self.prefix.split_first() {
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.env(ROLE, "gateway").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// One run of the binary. Killed, not stopped, when it is dropped.
pub struct Daemon {
    child: Child,
    pub health: Health,
}

impl Daemon {
    /// Appends what the binary says to `log`.
    pub fn start(launch: &Launch, binary: &Path, folder: &Path, arguments: &[&str], health: Health) -> Result<Daemon> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("gateway.log"))?;
        let child = launch
            .command(binary)
            .args(["run", "--config", "lingate.toml"])
            .args(arguments)
            .current_dir(folder)
            .env("RUST_LOG", "info,lingate::accepted=debug,rumqttc=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        Ok(Daemon { child, health })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
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
        self.signal("TERM")
    }

    /// By its name without SIG.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "kill -{name} failed");
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
#[derive(Clone, Debug)]
pub enum Health {
    Tcp(SocketAddr),
    /// Reached from every network namespace.
    Unix(PathBuf),
}

impl Health {
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Health::Tcp(address) => Some(*address),
            Health::Unix(_) => None,
        }
    }

    /// Status line, headers and body, as they came.
    pub fn get(&self, path: &str) -> Result<String> {
        match self {
            Health::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, Duration::from_secs(1))?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                ask(stream, &address.to_string(), path)
            }
            Health::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                ask(stream, "localhost", path)
            }
        }
    }

    pub fn status(&self) -> Result<Value> {
        let answer = self.get("/status")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        Ok(serde_json::from_str(body)?)
    }
}

fn ask(mut stream: impl Read + Write, host: &str, path: &str) -> Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
