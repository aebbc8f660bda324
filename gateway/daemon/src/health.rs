//! The health endpoint: reads only, on loopback or a unix socket.
//!
//! Promises: GET and HEAD only; over TCP the Host header must be a loopback name, so that no web page can reach it by
//! DNS rebinding; at most 16 connections, 16 KiB and 10 s each, one request per connection, of which at most 8 are open pages
//! that wait for changes; no process value.

mod answers;
mod fuzz;
mod visit;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) use fuzz::answered;

use answers::{live, metrics, ready, status};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use lingate_config::HealthListen;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use visit::{Stream, Visit};

use crate::language::Language;
use crate::page::{self, Sight};
use crate::report::Report;
use crate::supervise::Stop;
use crate::view::View;

const CONNECTIONS: usize = 16;
/// One that is open asks again at once: probes need seats beside it.
const PAGES: usize = 8;
const LONGEST: Duration = Duration::from_secs(10);
const REQUEST_BYTES: usize = 16 * 1024;
const EVENTS_EVERY: Duration = Duration::from_secs(2);

/// An open listener, so that a taken port is found before the daemon says that it is ready.
pub(crate) struct Health {
    door: Door,
    seats: Arc<Semaphore>,
    socket: Option<PathBuf>,
}

enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Health {
    pub(crate) async fn bind(listen: &HealthListen) -> io::Result<Health> {
        let (door, socket) = match listen {
            HealthListen::Tcp(address) => (Door::Tcp(TcpListener::bind(address).await?), None),
            HealthListen::Unix(path) => (Door::Unix(bind_unix(path)?), Some(path.clone())),
        };
        Ok(Health { door, seats: Arc::new(Semaphore::new(CONNECTIONS)), socket })
    }

    /// Where it listens, for the log.
    pub(crate) fn address(&self) -> String {
        match (&self.door, &self.socket) {
            (Door::Tcp(listener), _) => {
                listener.local_addr().map_or_else(|_| "?".to_owned(), |at| format!("http://{at}/"))
            }
            (Door::Unix(_), socket) => format!("unix:{}", socket.clone().unwrap_or_default().display()),
        }
    }

    /// Until told to stop; an error means that nobody can see the daemon any more.
    pub(crate) async fn serve(self, view: View, mut stop: Stop) -> io::Result<()> {
        let (socket, over_tcp) = (self.socket.clone(), matches!(self.door, Door::Tcp(_)));
        let app = router(view, over_tcp);
        let served = axum::serve(self, app).with_graceful_shutdown(async move { stop.told().await }).await;
        if let Some(socket) = socket {
            let _ = fs::remove_file(socket);
        }
        served
    }
}

/// Bound under another name and moved into place, so that the socket is never there with the wrong mode, and a socket
/// that a killed process left is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let draft = path.with_extension("draft");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o660))?;
    fs::rename(&draft, path)?;
    Ok(listener)
}

fn router(view: View, over_tcp: bool) -> Router {
    let pages = Arc::new(Semaphore::new(PAGES));
    let router = Router::new()
        .route("/", get(page))
        .route("/events", get(move |view, request| events(view, request, pages.clone())))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(view);
    let router = match over_tcp {
        true => router.layer(middleware::from_fn(loopback_name_only)),
        false => router,
    };
    // Around everything: a refused visitor must not keep its seat either.
    router.layer(middleware::map_response(closing))
}

async fn page(State(view): State<View>, request: Request) -> Response {
    let html = Html(page::page(&sight(&view, language(&request))));
    ([(header::CONTENT_SECURITY_POLICY, page::POLICY.as_str())], html).into_response()
}

/// What changes on the page, every two seconds, as server-sent events: until the connection's time is over, and then the
/// page asks again.
async fn events(State(view): State<View>, request: Request, pages: Arc<Semaphore>) -> Response {
    let Ok(seat) = pages.try_acquire_owned() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let language = language(&request);
    let changes = futures_util::stream::unfold(Duration::ZERO, move |pause| {
        let (view, _seat) = (view.clone(), &seat);
        async move {
            tokio::time::sleep(pause).await;
            let ended = view.stopping.load(Ordering::Relaxed) && !pause.is_zero();
            let event = Event::default().json_data(page::changes(&sight(&view, language)));
            (!ended).then_some((event, EVENTS_EVERY))
        }
    });
    Sse::new(changes).into_response()
}

fn sight(view: &View, language: Language) -> Sight {
    let (rates, minutes) = (view.history.rates(), view.history.minutes());
    Sight { report: Report::of(view), rates, minutes, language }
}

fn language(request: &Request) -> Language {
    let asked = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")));
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::choose(asked, accepted.unwrap_or_default())
}

async fn closing(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn loopback_name_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match host.is_some_and(is_loopback_name) {
        true => next.run(request).await,
        false => (StatusCode::MISDIRECTED_REQUEST, "only for localhost\n").into_response(),
    }
}

fn is_loopback_name(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Listener for Health {
    type Io = Visit;
    type Addr = ();

    async fn accept(&mut self) -> (Visit, ()) {
        let seat = self.seats.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            let stream: io::Result<Box<dyn Stream>> = match &self.door {
                Door::Tcp(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Stream>),
                Door::Unix(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Stream>),
            };
            match stream {
                Ok(stream) => {
                    return (Visit::begins(stream, seat), ());
                }
                // Out of descriptors, or the peer went away: neither is a reason to end.
                Err(error) => {
                    tracing::debug!(%error, "a connection to the health endpoint failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
pub(crate) mod tests {
    use std::sync::atomic::AtomicBool;

    use lingate_engine::{DatasetStatus, DeviceStatus, Status};
    use lingate_model::DeviceState;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixStream};
    use tokio::sync::watch;

    use super::*;
    use crate::clock::SystemClock;
    use crate::heart::Beat;
    use crate::supervise::{Stopper, stop};

    pub(crate) fn status() -> Status {
        let device = DeviceStatus {
            name: "press-1".to_owned(),
            state: DeviceState::BackingOff { reason: "cannot <connect>".to_owned() },
            readings: 7,
            bad_readings: 1,
            bad_points: vec![("melt_pressure".to_owned(), lingate_model::StatusCode::BAD_OUT_OF_RANGE)],
            bad_point_count: 1,
            missed_slots: 2,
            newest: None,
            report: Arc::new(crate::about::tests::report()),
        };
        let dataset = DatasetStatus {
            id: "ds-1".to_owned(),
            purpose: "urn:p".to_owned(),
            denied: Some("the sandbox bundle has expired".to_owned()),
            recipients: 1,
            recipient_roles: vec!["role:oem-quality".to_owned()],
            read: 7,
            kept: 5,
            suppressed: vec![(6, 2)],
            accepted_readings: 5,
            accepted_records: 3,
            acknowledged_readings: 4,
            acknowledged_records: 2,
            newest_acknowledged: None,
            gaps: 0,
            undeclared: 0,
        };
        Status {
            devices: vec![device],
            datasets: vec![dataset],
            buffer: lingate_buffer::Usage::default(),
            link: lingate_engine::LinkStatus::default(),
            clock: lingate_model::ClockState::Synced,
            bundle: None,
            unassigned: 0,
            contexts_too_long: 3,
            lost: [("overflow", 9)].into(),
            disk_fault: None,
            rights: lingate_engine::RightsStatus::default(),
        }
    }

    pub(crate) fn view() -> View {
        let clock: Arc<dyn lingate_model::Clock> = Arc::new(SystemClock::start());
        View {
            gateway: "gw-1".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            reloaded: crate::reload::untold(),
            started: clock.now(),
            recent: crate::recent::Recent::started(clock.now()),
            history: crate::history::History::default(),
            beat: Beat::at(clock.now()),
            clock,
            stopping: Arc::new(AtomicBool::new(false)),
            certificate: Arc::default(),
            status: watch::channel(Arc::new(status())).1,
            audit: crate::audit::Audit::deaf(),
            fence: [crate::fence::Barrier { name: "files".to_owned(), in_force: true, what: String::new() }].into(),
            bundle_refused: Arc::default(),
        }
    }

    /// A served endpoint and its port.
    async fn serve() -> (Stopper, SocketAddr) {
        let health = Health::bind(&HealthListen::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let Door::Tcp(listener) = &health.door else { unreachable!("bound over TCP") };
        let address = listener.local_addr().unwrap();
        let (stopper, told) = stop();
        tokio::spawn(health.serve(view(), told));
        (stopper, address)
    }

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(address: SocketAddr, path: &str, host: &str) -> String {
        let stream = TcpStream::connect(address).await.unwrap();
        ask(stream, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    #[tokio::test]
    async fn every_path_answers_and_the_connection_ends() {
        let (_stopper, address) = serve().await;
        for (path, code, word) in [
            ("/live", "200", "alive"),
            ("/ready", "503", "dataset ds-1: the sandbox bundle has expired"),
            ("/ready", "503", "away: device press-1: cannot <connect>"),
            ("/status", "200", "\"missed_slots\":2"),
            ("/metrics", "200", "lingate_device_missed_slots_total{device=\"press-1\"} 2"),
            ("/status", "200", "\"unprotected\":true"),
            ("/metrics", "200", "lingate_device_events_total{device=\"press-1\",event=\"late_answers\"} 7"),
            ("/metrics", "200", "lingate_device_protected{device=\"press-1\"} 0"),
            ("/metrics", "200", "lingate_device_clock_skew_seconds{device=\"press-1\"} -1.5"),
            ("/metrics", "200", r#"vendor="<b>Acme\"</b>""#),
            ("/", "200", "cannot &lt;connect&gt;"),
            ("/", "200", "<b class=bad>NOT PROTECTED: everybody"),
            ("/", "200", "&lt;b&gt;Acme&quot;&lt;/b&gt; 2"),
            ("/", "200", "set aside: holding:104 to 107: illegal data address"),
            ("/secret", "404", ""),
        ] {
            let answer = get(address, path, "localhost").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {answer}");
            assert!(answer.contains(word), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn who_asks_for_json_gets_the_reasons_as_a_list_and_apart_from_them_what_is_away() {
        let (_stopper, address) = serve().await;
        let stream = TcpStream::connect(address).await.unwrap();
        let answer = ask(stream, "GET /ready HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["ready"], false);
        assert_eq!(told["reasons"][1], "dataset ds-1: the sandbox bundle has expired");
        assert_eq!(told["away"], serde_json::json!(["device press-1: cannot <connect>", "broker: not connected yet"]));
    }

    #[tokio::test]
    async fn open_pages_leave_room_for_probes() {
        let (_stopper, address) = serve().await;
        let (mut pages, mut head) = (Vec::new(), [0; 12]);
        for _ in 0..PAGES {
            pages.push(TcpStream::connect(address).await.unwrap());
            let page = pages.last_mut().unwrap();
            page.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            page.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
        }
        assert!(get(address, "/events", "localhost").await.starts_with("HTTP/1.1 503"));
        assert!(get(address, "/live", "localhost").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn only_a_loopback_name_is_answered() {
        let (_stopper, address) = serve().await;
        for host in ["localhost", "LOCALHOST:9273", "127.0.0.1", "127.0.0.1:9273", "[::1]", "[::1]:9273"] {
            assert!(get(address, "/live", host).await.starts_with("HTTP/1.1 200"), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", ""] {
            assert!(get(address, "/live", host).await.starts_with("HTTP/1.1 421"), "{host}");
        }
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(stream, "GET /live HTTP/1.0\r\n\r\n").await.contains(" 421 "));
    }

    #[tokio::test]
    async fn nothing_but_reading_is_possible() {
        let (_stopper, address) = serve().await;
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let stream = TcpStream::connect(address).await.unwrap();
            let answer = ask(stream, &format!("{method} /status HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let head = ask(stream, "HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[tokio::test]
    async fn a_request_without_end_is_cut_by_its_bytes() {
        let (_stopper, address) = serve().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(4 * REQUEST_BYTES));
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_replaces_a_stale_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("health.sock");
        for _ in 0..2 {
            let health = Health::bind(&HealthListen::Unix(path.clone())).await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
            drop(health);
        }
        let health = Health::bind(&HealthListen::Unix(path.clone())).await.unwrap();
        let (_stopper, told) = stop();
        tokio::spawn(health.serve(view(), told));
        let stream = UnixStream::connect(&path).await.unwrap();
        assert!(ask(stream, "GET /live HTTP/1.1\r\nHost: any\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn every_metric_has_help_prefix_and_the_same_count_as_the_status() {
        let page = crate::metrics::page(&Report::of(&view())).unwrap();
        assert!(page.ends_with("# EOF\n"));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("lingate_"), "{line}");
            let name = line.split(['{', ' ']).next().unwrap();
            let family = name.strip_suffix("_total").unwrap_or(name);
            assert!(page.contains(&format!("# HELP {family} ")), "{name} has no HELP");
        }
        assert!(page.contains("lingate_lost_readings_total{cause=\"overflow\"} 9"));
        assert!(page.contains("\nlingate_contexts_too_long_total 3\n"));
        assert!(page.contains("\nlingate_unassigned_readings_total 0\n") && !page.contains("{}"), "{page}");
    }
}
