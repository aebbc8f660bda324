//! Modbus units on any transport, honest or hostile by script. Written for itself: none of the driver's framing is here,
//! so that each judges the other.
//!
//! All units of a rig are behind one transport, as on a serial line or behind a converter. Values describe themselves:
//! see [`DeviceSpec`] and [`crate::Mode::SelfDescribing`].

mod answer;
mod certificates;
mod fault;
mod framing;
mod pty;
mod unit;
mod wires;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

pub use self::certificates::{Certificates, utf8_string};
pub use self::fault::Fault;
pub use self::framing::Framing;
pub use self::pty::Cable;
use self::unit::Unit;
use crate::hostile::Functions;
use crate::print::{Labels, device_toml_at};
use crate::sent;
use crate::spec::DeviceSpec;

/// A transport and its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Tcp(Framing),
    Udp,
    Tls,
    /// A pseudo-terminal.
    Serial(Framing),
}

impl Wire {
    pub const ALL: [Wire; 7] = [
        Wire::Tcp(Framing::Mbap),
        Wire::Udp,
        Wire::Tls,
        Wire::Serial(Framing::Rtu),
        Wire::Serial(Framing::Ascii),
        Wire::Tcp(Framing::Rtu),
        Wire::Tcp(Framing::Ascii),
    ];

    pub fn kind(self) -> &'static str {
        match self {
            Wire::Tcp(Framing::Mbap) => "modbus-tcp",
            Wire::Tcp(Framing::Rtu) => "modbus-rtu-over-tcp",
            Wire::Tcp(Framing::Ascii) => "modbus-ascii-over-tcp",
            Wire::Udp => "modbus-udp",
            Wire::Tls => "modbus-tls",
            Wire::Serial(Framing::Ascii) => "modbus-ascii",
            Wire::Serial(_) => "modbus-rtu",
        }
    }

    pub fn framing(self) -> Framing {
        match self {
            Wire::Tcp(framing) | Wire::Serial(framing) => framing,
            Wire::Udp | Wire::Tls => Framing::Mbap,
        }
    }
}

/// What a rig was asked since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Every function code on the wire, understood or not.
    pub functions: Functions,
    pub connections: u64,
    /// Per unit.
    pub requests: BTreeMap<u8, u64>,
    /// When each request came, since the rig's start; the newest 100,000.
    pub times: VecDeque<std::time::Duration>,
}

/// Dropping it stops it.
pub struct Rig {
    wire: Wire,
    shared: Arc<Shared>,
    address: String,
    certificates: Option<Certificates>,
    /// The name of a serial port, as `/dev/serial/by-id` gives one.
    link: Option<PathBuf>,
    server: Mutex<Option<JoinHandle<()>>>,
    _folder: tempfile::TempDir,
}

struct Shared {
    began: std::time::Instant,
    units: BTreeMap<u8, Mutex<Unit>>,
    asked: Mutex<Asked>,
    /// For the next answers, one each; then `always`.
    script: Mutex<VecDeque<Fault>>,
    always: Mutex<Fault>,
    /// Faults of single units; stronger than the script.
    of_unit: Mutex<BTreeMap<u8, Fault>>,
    /// The next connection is served when the one before is closed.
    is_for_one: AtomicBool,
    /// Of clients by TLS: with another one nothing may be read.
    role: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rig {
    /// The specs' unit ids differ.
    #[expect(clippy::disallowed_methods, reason = "a test's device has a clock of its own")]
    pub async fn start(wire: Wire, specs: impl IntoIterator<Item = DeviceSpec>) -> io::Result<Rig> {
        let units = specs.into_iter().map(|spec| (spec.unit, Mutex::new(Unit::new(spec)))).collect();
        let shared = Arc::new(Shared {
            began: std::time::Instant::now(),
            units,
            asked: Mutex::default(),
            script: Mutex::default(),
            always: Mutex::new(Fault::None),
            of_unit: Mutex::default(),
            is_for_one: AtomicBool::new(false),
            role: Mutex::default(),
        });
        let folder = tempfile::tempdir()?;
        let certificates = (wire == Wire::Tls).then(|| Certificates::make(folder.path())).transpose()?;
        let mut rig = Rig {
            wire,
            shared,
            address: String::new(),
            certificates,
            link: matches!(wire, Wire::Serial(_)).then(|| folder.path().join("port")),
            server: Mutex::default(),
            _folder: folder,
        };
        rig.address = rig.serve(None).await?;
        Ok(rig)
    }

    async fn serve(&self, address: Option<&str>) -> io::Result<String> {
        let at = address.unwrap_or("127.0.0.1:0");
        let shared = Arc::clone(&self.shared);
        let (address, server) = match self.wire {
            Wire::Tcp(framing) => wires::tcp(at, framing, shared).await?,
            Wire::Udp => wires::udp(at, shared).await?,
            Wire::Tls => {
                let certificates = self.certificates.as_ref().expect("a TLS rig has certificates");
                wires::tls(at, certificates.server()?, shared).await?
            }
            Wire::Serial(framing) => wires::serial(self.link.as_deref().expect("a port has a name"), framing, shared)?,
        };
        *lock(&self.server) = Some(server);
        Ok(address)
    }

    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// `host:port`, or the path of the port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Closes everything; a serial port disappears.
    pub async fn stop(&self) {
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    /// At the same address; a serial port comes back as another device under the same name.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        self.serve(Some(&self.address)).await.map(drop)
    }

    /// For the next answers of any unit, one each.
    pub fn play(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.script).extend(faults);
    }

    /// For all answers without a script.
    pub fn always(&self, fault: Fault) {
        *lock(&self.shared.always) = fault;
    }

    pub fn of_unit(&self, unit: u8, fault: Fault) {
        lock(&self.shared.of_unit).insert(unit, fault);
    }

    /// Takes one connection at a time.
    pub fn for_one(&self) {
        self.shared.is_for_one.store(true, Ordering::Relaxed);
    }

    /// Only clients whose certificate has this role may read.
    pub fn for_role(&self, role: &str) {
        *lock(&self.shared.role) = Some(role.to_owned());
    }

    /// Of a TLS rig.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Keys of the device's table that say where it is, with their values in TOML.
    pub fn place(&self) -> Vec<(String, String)> {
        let text = self.place_lines();
        let keys = text.lines().filter_map(|line| line.split_once(" = "));
        keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Faults of the script that were not played yet.
    pub fn left(&self) -> usize {
        lock(&self.shared.script).len()
    }

    pub fn asked(&self) -> Asked {
        lock(&self.shared.asked).clone()
    }

    /// Polls of this unit's first table.
    pub fn polls(&self, unit: u8) -> u32 {
        lock(&self.shared.units[&unit]).polls()
    }

    /// When this poll of a unit was asked for, if it is one of the newest thousand.
    pub fn begun(&self, unit: u8, n: u32) -> Option<std::time::Instant> {
        lock(&self.shared.units[&unit]).begun(n)
    }

    pub fn spec(&self, unit: u8) -> DeviceSpec {
        lock(&self.shared.units[&unit]).spec().clone()
    }

    /// The key that belongs to the certificate in [`Rig::toml`], in PEM form.
    pub fn client_key(&self) -> Option<&str> {
        self.certificates.as_ref().map(|certificates| certificates.client_key.as_str())
    }

    /// The `[[device]]` table that reads every tag of a unit. `settings`: further lines of the device table.
    pub fn toml(&self, unit: u8, labels: &Labels<'_>, settings: &str) -> String {
        let place = format!("{}{settings}", self.place_lines());
        device_toml_at(&self.spec(unit), self.wire.kind(), &place, labels)
    }

    fn place_lines(&self) -> String {
        let address = match self.wire {
            Wire::Serial(_) => {
                format!("port = {:?}\nbaud = 115200\nparity = \"none\"\ndata_bits = 8\nstop_bits = 1", self.address)
            }
            _ => format!("address = {:?}", self.address),
        };
        let files = self.certificates.as_ref().map(Certificates::toml).unwrap_or_default();
        format!("{address}\n{files}")
    }

    /// Where the port's name points to, for a test that moves it.
    pub fn port(&self) -> Option<&Path> {
        self.link.as_deref()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = lock(&self.server).take() {
            server.abort();
        }
    }
}

impl Shared {
    fn next_fault(&self, unit: u8) -> Fault {
        if let Some(fault) = lock(&self.of_unit).get(&unit) {
            return fault.clone();
        }
        lock(&self.script).pop_front().unwrap_or_else(|| lock(&self.always).clone())
    }

    fn note(&self, unit: u8, function: u8) {
        sent::MODBUS.count(!sent::is_read(function));
        let mut asked = lock(&self.asked);
        *asked.functions.entry(function).or_insert(0) += 1;
        *asked.requests.entry(unit).or_insert(0) += 1;
        if asked.times.len() == 100_000 {
            asked.times.pop_front();
        }
        asked.times.push_back(self.began.elapsed());
    }
}
