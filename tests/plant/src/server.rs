use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

use crate::hostile::{Behaviour, Functions, Wire};
use crate::model::Area;
use crate::motion::Motion;
use crate::print::{Labels, device_toml};
use crate::spec::DeviceSpec;

/// Simulated devices, each a Modbus TCP server of its own. Dropping it stops them.
pub struct Plant {
    devices: Vec<PlantDevice>,
}

pub struct PlantDevice {
    state: Arc<State>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// What a device was asked and what it said, since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub connections: u64,
    /// That a device understood, also those it answered with an exception or not at all.
    pub requests: u64,
    /// Every function code on the wire.
    pub functions: Functions,
    /// Serve counter per table of registers, as it stood in the newest answer: the number of polls of that table.
    pub counters: BTreeMap<Area, u32>,
    /// Values in honest answers, serve counters among them.
    pub slots: u64,
}

impl Served {
    /// Of the table that was asked most.
    pub fn polls(&self) -> u32 {
        self.counters.values().copied().max().unwrap_or(0)
    }
}

impl Plant {
    /// Starts every device on a free port of 127.0.0.1.
    pub async fn start(specs: impl IntoIterator<Item = DeviceSpec>) -> io::Result<Plant> {
        let mut devices = Vec::new();
        for spec in specs {
            devices.push(PlantDevice::start_at(spec, (Ipv4Addr::LOCALHOST, 0).into()).await?);
        }
        Ok(Plant { devices })
    }

    pub fn devices(&self) -> &[PlantDevice] {
        &self.devices
    }

    pub fn device(&self, name: &str) -> Option<&PlantDevice> {
        self.devices.iter().find(|device| device.spec().name == name)
    }
}

impl PlantDevice {
    pub async fn start_at(spec: DeviceSpec, address: SocketAddr) -> io::Result<PlantDevice> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { spec, served: Mutex::default(), behaviour: Mutex::default() });
        let server = Mutex::new(Some(serve(listener, Arc::clone(&state))));
        Ok(PlantDevice { state, address, server })
    }

    pub fn spec(&self) -> &DeviceSpec {
        &self.state.spec
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn served(&self) -> Served {
        lock(&self.state.served).clone()
    }

    /// From the next answer on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *lock(&self.state.behaviour) = behaviour;
    }

    /// Closes the port and every connection.
    pub async fn stop(&self) {
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.abort();
            // It ends by being cancelled, which is what was asked.
            let _ = server.await;
        }
    }

    /// Opens the same port again; the serve counters go on.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        *lock(&self.server) = Some(serve(listener, Arc::clone(&self.state)));
        Ok(())
    }

    /// The `[[device]]` table that reads every tag of this device.
    pub fn toml(&self, labels: &Labels<'_>) -> String {
        device_toml(self.spec(), self.address, labels)
    }
}

impl Drop for PlantDevice {
    fn drop(&mut self) {
        if let Some(server) = lock(&self.server).take() {
            server.abort();
        }
    }
}

pub(crate) struct State {
    spec: DeviceSpec,
    served: Mutex<Served>,
    behaviour: Mutex<Behaviour>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: TcpListener, state: Arc<State>) -> JoinHandle<()> {
    let open = move |stream: TcpStream, _: SocketAddr| {
        let state = Arc::clone(&state);
        async move {
            stream.set_nodelay(true)?;
            state.count(|served| served.connections += 1);
            Ok(Some((Unit(Arc::clone(&state)), Wire::new(stream, state))))
        }
    };
    // A connection that breaks is the other side's affair: it comes again.
    tokio::spawn(async move {
        let _ = Server::new(listener).serve(&open, |_| {}).await;
    })
}

/// One connection's view of the device.
struct Unit(Arc<State>);

impl Service for Unit {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Option<Response>, ExceptionCode>> + Send>>;

    fn call(&self, request: SlaveRequest<'static>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            if let Behaviour::Late(pause) = state.behaviour() {
                sleep(pause).await;
            }
            state.answer(&request)
        })
    }
}

impl State {
    pub(crate) fn behaviour(&self) -> Behaviour {
        *lock(&self.behaviour)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Served)) {
        count(&mut lock(&self.served));
    }

    fn answer(&self, request: &SlaveRequest<'_>) -> Result<Option<Response>, ExceptionCode> {
        self.count(|served| served.requests += 1);
        if request.slave != self.spec.unit {
            return Err(ExceptionCode::GatewayTargetDevice);
        }
        let (area, address, count) = match request.request {
            Request::ReadCoils(address, count) => (Area::Coil, address, count),
            Request::ReadDiscreteInputs(address, count) => (Area::Discrete, address, count),
            Request::ReadHoldingRegisters(address, count) => (Area::Holding, address, count),
            Request::ReadInputRegisters(address, count) => (Area::Input, address, count),
            _ => return Err(ExceptionCode::IllegalFunction),
        };
        if count == 0 || count > if area.is_bits() { 2000 } else { 125 } {
            return Err(ExceptionCode::IllegalDataValue);
        }
        if u32::from(address) + u32::from(count) > self.spec.end(area) {
            return Err(ExceptionCode::IllegalDataAddress);
        }
        match self.behaviour() {
            Behaviour::Silent => Ok(None),
            Behaviour::Exception(code) => Err(ExceptionCode::new(code)),
            Behaviour::Hole(of, hole) if of == area && (address..=address + (count - 1)).contains(&hole) => {
                Err(ExceptionCode::IllegalDataAddress)
            }
            behaviour => Ok(Some(self.response(area, address, count, behaviour))),
        }
    }

    fn response(&self, area: Area, address: u16, count: u16, behaviour: Behaviour) -> Response {
        let n = self.next_n(area, address, count);
        let mut words = self.spec.words(area, address, count, n);
        let step = if area.is_bits() { 8 } else { 1 };
        match behaviour {
            Behaviour::TooFew => words.truncate(words.len().saturating_sub(step)),
            Behaviour::TooMany => words.resize(words.len() + step, 0),
            _ => self.count(|served| served.slots += self.spec.covered(area, address, count).count() as u64),
        }
        let bits = || words.iter().map(|word| *word != 0).collect();
        match area {
            Area::Coil => Response::ReadCoils(bits()),
            Area::Discrete => Response::ReadDiscreteInputs(bits()),
            Area::Holding => Response::ReadHoldingRegisters(words),
            Area::Input => Response::ReadInputRegisters(words),
        }
    }

    /// A request that reads a table's serve counter begins a new poll of that table; every other one belongs to the
    /// poll that is going on.
    fn next_n(&self, area: Area, address: u16, count: u16) -> u32 {
        let begins_poll = self.spec.covered(area, address, count).any(|tag| tag.motion == Motion::Counter);
        let mut served = lock(&self.served);
        if area.is_bits() {
            let first = self.spec.tags().iter().find(|tag| tag.motion == Motion::Counter);
            return first.and_then(|counter| served.counters.get(&counter.area)).copied().unwrap_or(0);
        }
        let n = served.counters.entry(area).or_insert(0);
        *n = n.wrapping_add(u32::from(begins_poll));
        *n
    }
}
