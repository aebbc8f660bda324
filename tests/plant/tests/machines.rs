//! The simulated machines themselves, asked by a client that is not ours: what they promise must be true before a
//! gateway is judged by them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lingate_model::{DeviceTime, Value};
use lingate_plant::opcua::{Identity, IdentityOptions, Machine, MachineKind, MachineOptions, MachineSpec, Tap, Users};
use opcua::client::{ClientBuilder, DataChangeCallback, HistoryReadAction, IdentityToken, MonitoredItem, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    DataValue, DateTime, HistoryData, HistoryReadValueId, MessageSecurityMode, MonitoredItemCreateRequest, NodeId,
    ReadRawModifiedDetails, StatusCode, TimestampsToReturn, UserTokenPolicy, Variant, WriteValue,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_value_tells_its_own_n() {
    let machine = start(MachineSpec::new("tool-1", MachineKind::EtchTool), MachineOptions::default());
    let tap = Tap::before(machine.address()).await.unwrap();
    let session = Client::anonymous(&tap.url()).connect().await;
    let seen = subscribe(&session, machine.spec(), Duration::from_millis(50)).await;
    wait_until(|| seen.lock().unwrap().get("n").is_some_and(|values| values.len() > 12)).await;
    let mut compared = 0;
    for (name, values) in seen.lock().unwrap().iter() {
        for value in values {
            let n = machine.spec().n_of(DeviceTime(value.source_timestamp.unwrap().ticks())).unwrap();
            let expected = machine.spec().expected(name, n).unwrap();
            assert_eq!(plain(&expected), value.value.clone().unwrap(), "{name} at {n}");
            compared += 1;
        }
    }
    assert!(compared > 100);
    let counters: Vec<u32> = seen.lock().unwrap()["n"].iter().map(u32_of).collect();
    assert!(counters.windows(2).all(|pair| pair[1] == pair[0] + 1), "{counters:?}");
    assert_eq!(machine.sessions().0, 1);
    session.disconnect().await.unwrap();
    wait_until(|| machine.sessions().0 == 0).await;
    let counts = tap.counts();
    assert!(counts.of("Publish") > 5 && counts.of("CreateSession") == 1, "{counts:?}");
    assert_eq!((counts.forbidden(), counts.broken, counts.encrypted), (vec![], 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tap_sees_what_must_not_be_sent() {
    let machine = start(MachineSpec::new("tool-1", MachineKind::EtchTool), MachineOptions::default());
    let tap = Tap::before(machine.address()).await.unwrap();
    let session = Client::anonymous(&tap.url()).connect().await;
    let node = node_of(&session, machine.spec(), "step").await;
    let value = WriteValue::value_attr(node, Variant::from(7));
    let status = session.write(&[value]).await.unwrap()[0];
    assert!(status.is_bad(), "a machine took a value");
    assert_eq!(tap.counts().forbidden(), [(673, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_holds_every_tick_of_its_life_and_none_of_its_death() {
    let spec = MachineSpec::new("load-1", MachineKind::Numbered(1)).with_tick(Duration::from_millis(10));
    let machine = start(spec, MachineOptions { has_history: true, ..MachineOptions::default() });
    wait_until(|| machine.written().0 > 30).await;
    machine.kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    machine.restart().unwrap();
    wait_until(|| machine.written().0 > 60).await;
    let session = Client::anonymous(&machine.url()).connect().await;
    let node = node_of(&session, machine.spec(), "tag_00000").await;
    let runs = machine.runs();
    let (from, to) = (machine.spec().time_of(runs[0].0 + 3), machine.spec().time_of(runs[1].0 + 5));
    let times: Vec<i64> = history(&session, node, from, to).await;
    let lived = |n: u32| runs.iter().any(|(first, last)| (*first..=*last).contains(&n));
    let expected: Vec<i64> =
        (runs[0].0 + 3..=runs[1].0 + 5).filter(|n| lived(*n)).map(|n| machine.spec().time_of(n).0).collect();
    assert_eq!(times, expected);
    assert!(runs[1].0 > runs[0].1 + 10, "{runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_come_in_comes_in_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let user = identity(&folder.path().join("user"), "operator");
    let own = identity(&folder.path().join("client"), "client");
    let machine = start(
        MachineSpec::new("reactor-1", MachineKind::Bioreactor),
        MachineOptions {
            secure: true,
            insecure: false,
            trusted: Some(vec![own.certificate.clone()]),
            users: Users {
                anonymous: false,
                password: Some(("plant".to_owned(), "correct horse".to_owned())),
                certificate: Some(user.certificate.clone()),
            },
            ..MachineOptions::default()
        },
    );
    let with = |policy, token| Client { url: machine.url(), policy, token, own: Some(own.clone()) };
    let password = |password: &str| IdentityToken::UserName("plant".to_owned(), password.into());
    for policy in
        [SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Aes256Sha256RsaPss]
    {
        with(policy, password("correct horse")).connect().await.disconnect().await.unwrap();
    }
    let certificate = IdentityToken::new_x509_path(&user.certificate, &user.key).unwrap();
    with(SecurityPolicy::Basic256Sha256, certificate).connect().await.disconnect().await.unwrap();
    assert!(with(SecurityPolicy::Basic256Sha256, password("wrong")).try_connect().await.is_none());
    assert!(Client::anonymous(&machine.url()).try_connect().await.is_none());
    let stranger = identity(&folder.path().join("stranger"), "stranger");
    let stranger = Client { own: Some(stranger), ..with(SecurityPolicy::Basic256Sha256, password("correct horse")) };
    assert!(stranger.try_connect().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn manners_are_as_told() {
    let machine = start(MachineSpec::new("reactor-1", MachineKind::Bioreactor), MachineOptions::default());
    let session = Client::anonymous(&machine.url()).connect().await;
    let ph = node_of(&session, machine.spec(), "ph").await;
    let read = async || session.read(&[ph.clone().into()], TimestampsToReturn::Both, 0.0).await.unwrap().remove(0);
    machine.set_status("ph", StatusCode::BadSensorFailure);
    let ticks = machine.written().0;
    wait_until(|| machine.written().0 > ticks + 1).await;
    assert_eq!(read().await.status(), StatusCode::BadSensorFailure);
    machine.set_vanished("ph", true);
    assert_eq!(read().await.status(), StatusCode::BadNodeIdUnknown);
    machine.set_vanished("ph", false);
    machine.set_status("ph", StatusCode::Good);
    let ticks = machine.written().0;
    wait_until(|| machine.written().0 > ticks + 1).await;
    assert!(read().await.status().is_good());
}

fn start(spec: MachineSpec, options: MachineOptions) -> Machine {
    Machine::start(spec, options).unwrap()
}

fn identity(folder: &Path, name: &str) -> Identity {
    let uri = format!("urn:lingate:test:{name}");
    let options = IdentityOptions { common_name: name, application_uri: &uri, ..IdentityOptions::default() };
    Identity::create(folder, &options).unwrap()
}

struct Client {
    url: String,
    policy: SecurityPolicy,
    token: IdentityToken,
    own: Option<Identity>,
}

impl Client {
    fn anonymous(url: &str) -> Client {
        Client { url: url.to_owned(), policy: SecurityPolicy::None, token: IdentityToken::Anonymous, own: None }
    }

    async fn connect(self) -> Arc<Session> {
        self.try_connect().await.expect("it may come in")
    }

    async fn try_connect(self) -> Option<Arc<Session>> {
        let pki = tempfile::tempdir().unwrap();
        let uri = self.own.as_ref().map_or("urn:x", |own| &own.application_uri).to_owned();
        let mut builder = ClientBuilder::new()
            .application_name("test")
            .application_uri(uri)
            .pki_dir(pki.path())
            .trust_server_certs(true)
            .session_retry_limit(0)
            .max_array_length(1 << 20)
            .max_chunk_count(0);
        if let Some(own) = &self.own {
            builder = builder.certificate_path(&own.certificate).private_key_path(&own.key);
        }
        let mut client = builder.client().unwrap();
        let mode = match self.policy {
            SecurityPolicy::None => MessageSecurityMode::None,
            _ => MessageSecurityMode::SignAndEncrypt,
        };
        let endpoint = (self.url.as_str(), self.policy.to_str(), mode, UserTokenPolicy::anonymous());
        // A server names its own address, which is not that of a tap before it.
        let (session, events) = match self.policy {
            SecurityPolicy::None => client.connect_to_endpoint_directly(endpoint, self.token).ok()?,
            _ => client.connect_to_matching_endpoint(endpoint, self.token).await.ok()?,
        };
        let events = events.spawn();
        tokio::select! {
            true = session.wait_for_connection() => Some(session),
            _ = events => None,
        }
    }
}

type Seen = Arc<Mutex<BTreeMap<String, Vec<DataValue>>>>;

async fn subscribe(session: &Arc<Session>, spec: &MachineSpec, interval: Duration) -> Seen {
    let seen = Seen::default();
    let mut names = Vec::new();
    for variable in spec.variables() {
        names.push((node_of(session, spec, &variable.name).await, variable.name.clone()));
    }
    let (sink, nodes) = (Arc::clone(&seen), names.clone());
    let take = DataChangeCallback::new(move |value: DataValue, item: &MonitoredItem| {
        let (_, name) = names.iter().find(|(node, _)| *node == item.item_to_monitor().node_id).unwrap();
        sink.lock().unwrap().entry(name.clone()).or_default().push(value);
    });
    let subscription = session.create_subscription(interval, 100, 10, 0, 0, true, take).await.unwrap();
    let mut items = Vec::new();
    for (node, _) in nodes {
        let mut item = MonitoredItemCreateRequest::from(node);
        item.requested_parameters.queue_size = 100;
        item.requested_parameters.sampling_interval = 0.0;
        items.push(item);
    }
    let created = session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await.unwrap();
    assert!(created.iter().all(|item| item.result.status_code.is_good()));
    seen
}

async fn node_of(session: &Session, spec: &MachineSpec, name: &str) -> NodeId {
    let index = session.get_namespace_index(spec.kind().namespace()).await.unwrap();
    let node = spec.node(spec.variable(name).unwrap());
    NodeId::new(index, node.split_once(";s=").unwrap().1.to_owned())
}

/// Source timestamps of all pages.
async fn history(session: &Session, node: NodeId, from: DeviceTime, to: DeviceTime) -> Vec<i64> {
    let mut times = Vec::new();
    let mut wanted = HistoryReadValueId { node_id: node, ..HistoryReadValueId::default() };
    loop {
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: DateTime::from(from.0),
            end_time: DateTime::from(to.0),
            num_values_per_node: 10,
            return_bounds: false,
        };
        let action = HistoryReadAction::ReadRawModifiedDetails(details);
        let read = session.history_read(action, TimestampsToReturn::Both, false, &[wanted.clone()]).await.unwrap();
        let page = read.into_iter().next().unwrap();
        let data = page.history_data.into_inner_as::<HistoryData>().unwrap();
        times.extend(data.data_values.unwrap().iter().map(|value| value.source_timestamp.unwrap().ticks()));
        if page.continuation_point.is_null_or_empty() {
            return times;
        }
        wanted.continuation_point = page.continuation_point;
    }
}

fn plain(value: &Value) -> Variant {
    match value {
        Value::Double(it) => (*it).into(),
        Value::Float(it) => (*it).into(),
        Value::Int32(it) => (*it).into(),
        Value::UInt32(it) => (*it).into(),
        Value::Boolean(it) => (*it).into(),
        Value::String(it) => Variant::from(&**it),
        other => panic!("no machine has {other:?}"),
    }
}

fn u32_of(value: &DataValue) -> u32 {
    match value.value {
        Some(Variant::UInt32(n)) => n,
        _ => panic!("a counter is a u32"),
    }
}

/// The limit only bounds a failing test.
async fn wait_until(mut is_true: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 20 s");
}
