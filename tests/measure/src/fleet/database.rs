//! A PostgreSQL cluster in a folder of its own, on a socket in it, durable as it comes; and questions to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_measure::cpu_seconds;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::PATIENCE;

pub(crate) struct Server {
    folder: TempDir,
    server: Child,
}

impl Server {
    pub(crate) fn start() -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("lg-pg").tempdir_in("/tmp")?;
        run(Command::new("chmod").arg("711").arg(folder.path()))?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()))?;
        }
        run(as_user(&binary("initdb")).arg("-D").arg(&data).args(["-U", "lingate", "-A", "trust"]))?;
        let mut command = as_user(&binary("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-c", "listen_addresses="]);
        let server = command.stderr(Stdio::null()).spawn().context("PostgreSQL cannot be started")?;
        Ok(Server { folder, server })
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://lingate@{socket}/postgres")
    }

    pub(crate) async fn connect(&self) -> Result<Database> {
        let began = Instant::now();
        loop {
            match tokio_postgres::connect(&self.url(), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(Database(client));
                }
                Err(error) => ensure!(began.elapsed() < Duration::from_secs(60), "PostgreSQL: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Of the processes that are alive: a connection that ended took its share with it.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let Some(postmaster) = self.postmaster() else { return 0.0 };
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.chain([postmaster]).map(cpu_seconds).sum()
    }

    fn postmaster(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }
}

impl Drop for Server {
    /// SIGINT is its fast shutdown; `runuser` would not pass a kill on.
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _ = Command::new("kill").args(["-INT", &pid.to_string()]).status();
        }
        let _ = self.server.wait();
    }
}

pub(crate) struct Database(Client);

impl Database {
    pub(crate) async fn count(&self, query: &str) -> Result<i64> {
        Ok(self.0.query_one(query, &[]).await?.get(0))
    }

    pub(crate) async fn counts(&self, query: &str) -> Result<Vec<i64>> {
        Ok(self.0.query_one(query, &[]).await?.get(0))
    }

    /// Before the first receiver has made the tables there is nothing.
    pub(crate) async fn until(&self, what: &str, query: &str, enough: i64) -> Result<()> {
        let began = Instant::now();
        loop {
            let count = self.count(query).await.unwrap_or(0);
            if count >= enough {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}: {count} of {enough}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// PostgreSQL refuses to run as root.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new(if is_root() { Path::new("runuser") } else { program });
    if is_root() {
        command.args(["-u", "postgres", "--"]).arg(program);
    }
    command.current_dir("/tmp").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Debian keeps the server's programs out of PATH.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|entries| entries.flatten().map(|entry| entry.path()));
    let found = versions.into_iter().flatten().map(|version| version.join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
