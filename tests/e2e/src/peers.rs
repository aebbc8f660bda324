use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lingate_sandbox::Authority;

use crate::wait_for;

/// Debian's mosquitto with the configuration that `lingate-sandbox init` writes, on another port.
pub struct Mosquitto {
    child: Option<Child>,
    folder: std::path::PathBuf,
    address: Ipv4Addr,
    pub port: u16,
}

impl Mosquitto {
    pub async fn start(authority: &Authority) -> Result<Mosquitto> {
        Mosquitto::start_at(authority, Ipv4Addr::LOCALHOST, true).await
    }

    /// Without `keeps` it forgets everything when it ends.
    pub async fn start_at(authority: &Authority, address: Ipv4Addr, keeps: bool) -> Result<Mosquitto> {
        let port = TcpListener::bind((address, 0))?.local_addr()?.port();
        let folder = authority.folder().to_owned();
        let written = fs::read_to_string(folder.join("mosquitto.conf"))?;
        let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
        let listener =
            lines.iter_mut().find(|line| line.starts_with("listener ")).context("mosquitto.conf has a listener")?;
        *listener = format!("listener {port} {address}");
        let text = lines.join("\n").replace("persistence true", &format!("persistence {keeps}"));
        fs::write(folder.join("mosquitto-test.conf"), text)?;
        let mut mosquitto = Mosquitto { child: None, folder, address, port };
        mosquitto.start_again().await?;
        Ok(mosquitto)
    }

    pub async fn start_again(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("mosquitto.log"))?;
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.folder.join("mosquitto-test.conf"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("mosquitto cannot be started; is it installed? .ci/run installs it")?;
        self.child = Some(child);
        let place = (self.address, self.port);
        wait_for("mosquitto listens", Duration::from_secs(10), || std::net::TcpStream::connect(place).is_ok()).await
    }

    /// SIGTERM: it writes its sessions down.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        child.wait()?;
        Ok(())
    }

    /// SIGKILL: it writes nothing down.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const GREETING_LINES_MAX: usize = 20;

/// A device server of `tests/e2e/peers`, which prints `listening PORT` first.
pub struct Peer {
    child: Child,
    pub port: u16,
}

impl Peer {
    pub fn start(program: &Path, arguments: &[&Path]) -> Result<Peer> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}; .ci/run builds and installs it", program.display()))?;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        // A library may greet first.
        let port = output
            .lines()
            .take(GREETING_LINES_MAX)
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("listening ").and_then(|port| port.parse().ok()));
        ensure!(port.is_some(), "{} did not say its port", program.display());
        Ok(Peer { child, port: port.unwrap_or_default() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
