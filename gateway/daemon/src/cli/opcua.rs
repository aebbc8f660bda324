use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lingate_drivers::opcua::tool::Tool;
use lingate_drivers::{Lines, LinkError, Site};
use lingate_model::DeviceName;

use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::prepare::load;

/// How a tool reaches an OPC UA server.
#[derive(Args)]
pub(crate) struct Reach {
    /// `opc.tcp://10.0.4.30:4840`; left out: the address of the device
    pub(crate) url: Option<String>,
    /// As a device of this configuration does: with its security, its user and the certificates that are trusted
    #[arg(long, value_name = "FILE", requires = "device")]
    pub(crate) config: Option<PathBuf>,
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) device: Option<DeviceName>,
    /// Without protection and without a user: whoever shares the network can read and forge the answers
    #[arg(long, conflicts_with = "config")]
    pub(crate) anonymous_none: bool,
}

impl Reach {
    pub(crate) fn tool(&self) -> Result<(Tool, Workplace), Failed> {
        let wrong = |what: String| Failed::new(Code::Usage, what);
        let Some((config, device)) = self.config.as_deref().zip(self.device.as_ref()) else {
            let url = self
                .url
                .as_deref()
                .ok_or_else(|| wrong("which server? Give its URL, or --config and --device".to_owned()))?;
            let tool = Tool::plain(url, self.anonymous_none).map_err(wrong)?;
            return Ok((tool, Workplace::temporary()?));
        };
        let site = site(config)?;
        let text = fs::read_to_string(config).map_err(|error| Failed::io("read", config, &error))?;
        let tool = Tool::of_device(&text, device, self.url.as_deref()).map_err(wrong)?;
        Ok((tool, Workplace { site, temporary: None }))
    }
}

/// The site that a tool works at; a temporary one vanishes with it.
pub(crate) struct Workplace {
    pub(crate) site: Site,
    temporary: Option<PathBuf>,
}

impl Workplace {
    fn temporary() -> Result<Workplace, Failed> {
        let folder = std::env::temp_dir().join(format!("lingate-probe-{}", std::process::id()));
        // One that is there already may be somebody else's, with certificates to believe in.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Failed::io("create", &folder, &error))?;
        let site = Site { clock: Arc::new(SystemClock::start()), ..Site::bare(folder.clone()) };
        Ok(Workplace { site, temporary: Some(folder) })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// That of the configured gateway.
pub(crate) fn site(config: &Path) -> Result<Site, Failed> {
    let plan = load(config).map_err(|refused| Failed::refused(config, &refused))?;
    Ok(Site {
        gateway: plan.gateway,
        folder: plan.state_dir.join("devices"),
        secret: Arc::new(crate::files::secret),
        lines: Lines::default(),
        clock: Arc::new(SystemClock::start()),
    })
}

/// Runs what asks a device.
pub(crate) fn wait_for<T>(asking: impl Future<Output = Result<T, LinkError>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(Code::Internal, format!("no runtime: {error}")))?;
    runtime.block_on(asking).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Failed::new(Code::Unavailable, format!("{error}{}", cause.unwrap_or_default()))
    })
}
