use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lingate_model::DeviceTime;
use opcua::crypto::SecurityPolicy;
use opcua::server::node_manager::memory::InMemoryNodeManagerBuilder;
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerHandle, ServerUserToken};
use opcua::sync::Mutex;
use opcua::types::{DateTime, MessageSecurityMode, StatusCode, VariableId, Variant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::manager::{Counts, MachineManager, Manners, Nodes, Shared};
use super::pki::{Identity, IdentityOptions, trust};
use super::spec::MachineSpec;

/// How a machine is set up. Everybody may read; nobody may write.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Port 0: any free one, kept over restarts.
    pub address: SocketAddr,
    /// Made if there is none. Without one and without `secure`, no certificate at all.
    pub identity: Option<Identity>,
    /// Offers the three secure policies with SignAndEncrypt.
    pub secure: bool,
    /// Offers policy None, too.
    pub insecure: bool,
    /// Certificates of clients, DER; `None`: every client.
    pub trusted: Option<Vec<PathBuf>>,
    pub users: Users,
    pub limits: MachineLimits,
    pub has_history: bool,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Users {
    pub anonymous: bool,
    pub password: Option<(String, String)>,
    /// A user's certificate, DER.
    pub certificate: Option<PathBuf>,
}

/// What the server grants and tells in its OperationLimits.
#[derive(Clone, Copy, Debug)]
pub struct MachineLimits {
    pub nodes_per_read: usize,
    pub items_per_call: usize,
    pub items_per_subscription: usize,
    pub subscriptions: usize,
    pub queue_size: usize,
    pub notifications_per_publish: u64,
    pub min_publishing_ms: f64,
    pub sessions: usize,
}

impl Default for MachineLimits {
    fn default() -> Self {
        MachineLimits {
            nodes_per_read: 10_000,
            items_per_call: 10_000,
            items_per_subscription: 100_000,
            subscriptions: 100,
            queue_size: 1_000,
            notifications_per_publish: 10_000,
            min_publishing_ms: 10.0,
            sessions: 20,
        }
    }
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            identity: None,
            secure: false,
            insecure: true,
            trusted: None,
            users: Users { anonymous: true, password: None, certificate: None },
            limits: MachineLimits::default(),
            has_history: false,
        }
    }
}

/// A simulated machine. It lives on threads of its own, so that [`Machine::kill`] takes everything with it as the end of
/// a process would.
pub struct Machine {
    shared: Arc<Shared>,
    options: Mutex<MachineOptions>,
    address: SocketAddr,
    life: Mutex<Option<Life>>,
    folder: TempDir,
    sessions_max: Arc<Mutex<u32>>,
}

struct Life {
    handle: ServerHandle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Between two looks at the clock, and how often subscriptions are served.
const BEAT: Duration = Duration::from_millis(5);

impl Machine {
    /// Blocks for about 0.3 s, longer when it has to make a key.
    pub fn start(spec: MachineSpec, options: MachineOptions) -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("lingate-machine-").tempdir()?;
        let shared = Arc::new(Shared {
            spec,
            manners: Mutex::new(Manners::default()),
            counts: Mutex::new(Counts::default()),
            runs: Mutex::default(),
            quiet_until: Mutex::default(),
        });
        let mut machine = Machine {
            shared,
            address: options.address,
            options: Mutex::new(options),
            life: Mutex::default(),
            folder,
            sessions_max: Arc::default(),
        };
        if machine.options.lock().secure && machine.options.lock().identity.is_none() {
            let identity = Identity::create(&machine.folder.path().join("first"), &IdentityOptions::default())?;
            machine.options.lock().identity = Some(identity);
        }
        machine.address = machine.begin()?;
        Ok(machine)
    }

    pub fn spec(&self) -> &MachineSpec {
        &self.shared.spec
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.options.lock().identity.clone()
    }

    /// Everything of it ends at once: no session is closed, no answer finished.
    pub fn kill(&self) {
        let Some(life) = self.life.lock().take() else { return };
        // Whoever waits for it may be gone: then the thread has ended, which is what is wanted.
        let _ = life.stop.send(());
        let _ = life.thread.join();
    }

    /// Comes back on the same port; n goes on with the clock.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.begin().map(|_| ())
    }

    /// Comes back with another certificate.
    pub fn restart_as(&self, identity: Identity) -> Result<()> {
        self.options.lock().identity = Some(identity);
        self.restart()
    }

    pub fn is_running(&self) -> bool {
        self.life.lock().is_some()
    }

    /// Sessions that are open, and the most that were open at once in all its lives.
    pub fn sessions(&self) -> (u32, u32) {
        let now = self.life.lock().as_ref().map_or(0, |life| current_sessions(&life.handle));
        let mut most = self.sessions_max.lock();
        *most = (*most).max(now);
        (now, *most)
    }

    /// Ticks that were written, and history values that were read.
    pub fn written(&self) -> (u64, u64) {
        let counts = *self.shared.counts.lock();
        (counts.ticks, counts.history_values)
    }

    /// Monitored items that were made and deleted.
    pub fn items(&self) -> (u64, u64) {
        let counts = *self.shared.counts.lock();
        (counts.items_created, counts.items_deleted)
    }

    /// First and last n of every life; of the one that goes on, the newest n.
    pub fn runs(&self) -> Vec<(u32, u32)> {
        self.shared.runs.lock().clone()
    }

    /// From the next tick on, the variable has this status and no value. `Good`: it has its value again.
    pub fn set_status(&self, variable: &str, status: StatusCode) {
        let Some(index) = self.index(variable) else { return };
        let bad = &mut self.shared.manners.lock().bad;
        if status.is_good() {
            bad.remove(&index);
        } else {
            bad.insert(index, status);
        }
    }

    /// The variable's node does not exist any more, or again.
    pub fn set_vanished(&self, variable: &str, is_gone: bool) {
        let Some(index) = self.index(variable) else { return };
        let vanished = &mut self.shared.manners.lock().vanished;
        if is_gone {
            vanished.insert(index);
        } else {
            vanished.remove(&index);
        }
    }

    /// The variable's node, which had vanished, was made anew: monitored items of the old one stay as they are for ever.
    pub fn replace_node(&self, variable: &str) {
        let Some(index) = self.index(variable) else { return };
        let mut manners = self.shared.manners.lock();
        manners.vanished.remove(&index);
        manners.stranded.insert(index);
    }

    pub fn refuse_deadband(&self) {
        self.shared.manners.lock().refuses_deadband = true;
    }

    /// Reads and new monitored items are answered later by this.
    pub fn slow_down(&self, pause: Duration) {
        self.shared.manners.lock().slow = pause;
    }

    /// The ServiceLevel variable, 0 to 255.
    pub fn set_service_level(&self, level: u8) {
        if let Some(life) = self.life.lock().as_ref() {
            life.handle.set_service_level(level);
        }
    }

    fn index(&self, variable: &str) -> Option<usize> {
        self.spec().variables().iter().position(|it| it.name == variable)
    }

    fn begin(&self) -> Result<SocketAddr> {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (shared, address) = (Arc::clone(&self.shared), self.address);
        let (options, sessions_max) = (self.options.lock().clone(), Arc::clone(&self.sessions_max));
        let pki = self.folder.path().join("pki");
        let live = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                match Born::new(&shared, &options, address, pki).await {
                    Ok(born) => {
                        let told = ready.send(Ok((born.handle.clone(), born.address)));
                        if told.is_ok() {
                            born.live(shared, sessions_max, stopped).await;
                        }
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
            // Ends every connection, wherever it stands.
            drop(runtime);
        };
        let thread = std::thread::Builder::new().name(format!("machine {}", self.spec().name)).spawn(live)?;
        let (handle, address) = is_ready.recv().context("the machine's thread ended")??;
        *self.life.lock() = Some(Life { handle, stop, thread });
        Ok(address)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Born {
    server: opcua::server::Server,
    handle: ServerHandle,
    listener: TcpListener,
    address: SocketAddr,
    /// The last n that is written.
    n: u32,
}

impl Born {
    async fn new(shared: &Arc<Shared>, options: &MachineOptions, address: SocketAddr, pki: PathBuf) -> Result<Born> {
        let listener = bind(address).await?;
        let address = listener.local_addr()?;
        let n = shared.spec.newest(DeviceTime(DateTime::now().ticks()));
        let (nodes, has_history) = (Arc::clone(shared), options.has_history);
        let manager = InMemoryNodeManagerBuilder::new(move |context, space: &mut _| {
            Nodes::new(&context, space, Arc::clone(&nodes), n, has_history)
        });
        let builder = builder(options, address, &pki)?.with_node_manager(manager);
        let (server, handle) = builder.build().map_err(|error| anyhow!("the machine cannot be built: {error}"))?;
        Ok(Born { server, handle, listener, address, n })
    }

    async fn live(self, shared: Arc<Shared>, sessions_max: Arc<Mutex<u32>>, stopped: oneshot::Receiver<()>) {
        let Born { server, handle, listener, n, .. } = self;
        write(&handle, n);
        let server = tokio::spawn(server.run_with(listener));
        tokio::select! {
            _ = stopped => {}
            _ = server => {}
            () = beat(&handle, &shared, &sessions_max, n) => {}
        }
    }
}

fn write(handle: &ServerHandle, n: u32) {
    let manager = handle.node_managers().get_of_type::<MachineManager>().expect("it was built with one");
    let nodes = manager.inner();
    let values = nodes.values(n);
    let values = values.into_iter().map(|(index, value)| (&nodes.ids[index], None, value));
    // The nodes were made with the machine and never go away.
    let _ = manager.set_values(handle.subscriptions(), values);
}

/// Writes every n when its time has come, in order, for ever.
async fn beat(handle: &ServerHandle, shared: &Shared, sessions_max: &Mutex<u32>, first: u32) {
    let mut n = first;
    shared.runs.lock().push((first, first));
    loop {
        tokio::time::sleep(BEAT).await;
        {
            let mut most = sessions_max.lock();
            *most = (*most).max(current_sessions(handle));
        }
        if shared.quiet_until.lock().is_some_and(|until| Instant::now() < until) {
            continue;
        }
        while n < shared.spec.newest(DeviceTime(DateTime::now().ticks())) {
            n += 1;
            write(handle, n);
            shared.counts.lock().ticks += 1;
            if let Some(run) = shared.runs.lock().last_mut() {
                run.1 = n;
            }
        }
    }
}

fn current_sessions(handle: &ServerHandle) -> u32 {
    let id = VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount;
    match handle.info().diagnostics.get(id).and_then(|value| value.value) {
        Some(Variant::UInt32(count)) => count,
        _ => 0,
    }
}

/// A port that was just left may be taken for a moment.
async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if tries == 100 => return Err(error).with_context(|| format!("cannot listen on {address}")),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn builder(options: &MachineOptions, address: SocketAddr, pki: &Path) -> Result<ServerBuilder> {
    let application_uri = options.identity.as_ref().map_or("urn:lingate:plant", |identity| &identity.application_uri);
    let mut builder = ServerBuilder::new()
        .application_name("lingate-plant")
        .application_uri(application_uri)
        .product_uri("urn:lingate:plant")
        .host(address.ip().to_string())
        .port(address.port())
        .discovery_urls(vec![format!("opc.tcp://{address}")])
        .pki_dir(pki)
        .diagnostics_enabled(true)
        .trust_client_certs(options.trusted.is_none())
        .subscription_poll_interval_ms(BEAT.as_millis() as u64)
        .max_sessions(options.limits.sessions);
    if let Some(identity) = &options.identity {
        builder = builder.certificate_path(&identity.certificate).private_key_path(&identity.key);
    }
    for client in options.trusted.iter().flatten() {
        trust(pki, &std::fs::read(client)?)?;
    }
    let mut users = Vec::new();
    if options.users.anonymous {
        users.push(ANONYMOUS_USER_TOKEN_ID);
    }
    if let Some((name, password)) = &options.users.password {
        builder = builder.add_user_token("password", ServerUserToken::user_pass(name, password));
        users.push("password");
    }
    if let Some(certificate) = &options.users.certificate {
        builder = builder.add_user_token("certificate", ServerUserToken::x509("operator", certificate));
        users.push("certificate");
    }
    for (id, policy, mode) in offered(options) {
        builder = builder.add_endpoint(id, ("/", policy, mode, &users as &[&str]));
    }
    limit(&mut builder, &options.limits);
    Ok(builder)
}

fn offered(options: &MachineOptions) -> Vec<(&'static str, SecurityPolicy, MessageSecurityMode)> {
    use MessageSecurityMode::{None, SignAndEncrypt};
    let secure = [
        ("basic256sha256", SecurityPolicy::Basic256Sha256, SignAndEncrypt),
        ("aes128", SecurityPolicy::Aes128Sha256RsaOaep, SignAndEncrypt),
        ("aes256", SecurityPolicy::Aes256Sha256RsaPss, SignAndEncrypt),
    ];
    let mut offered = Vec::new();
    if options.insecure {
        offered.push(("none", SecurityPolicy::None, None));
    }
    if options.secure {
        offered.extend(secure);
    }
    offered
}

fn limit(builder: &mut ServerBuilder, wanted: &MachineLimits) {
    let limits = builder.limits_mut();
    limits.max_array_length = 1_000_000;
    limits.max_message_size = 64 << 20;
    limits.max_chunk_count = 4_096;
    limits.operational.max_nodes_per_read = wanted.nodes_per_read;
    limits.operational.max_monitored_items_per_call = wanted.items_per_call;
    let subscriptions = &mut limits.subscriptions;
    subscriptions.max_monitored_items_per_sub = wanted.items_per_subscription;
    subscriptions.max_subscriptions_per_session = wanted.subscriptions;
    subscriptions.max_monitored_item_queue_size = wanted.queue_size;
    subscriptions.max_notifications_per_publish = wanted.notifications_per_publish;
    subscriptions.min_publishing_interval_ms = wanted.min_publishing_ms;
    subscriptions.min_sampling_interval_ms = 0.0;
    subscriptions.max_queued_notifications = 1_000;
}
