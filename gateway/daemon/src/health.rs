//! The health endpoint: reads only, on loopback or a unix socket.
//!
//! Promises: GET and HEAD only; over TCP the Host header must be a loopback name, so that no web page can reach it by
//! DNS rebinding; at most 16 connections, 16 KiB and 10 s each, one request per connection; no process value.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use lingate_config::HealthListen;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::report::Report;
use crate::supervise::Stop;
use crate::view::View;

const CONNECTIONS: usize = 16;
const LONGEST: Duration = Duration::from_secs(10);
const REQUEST_BYTES: usize = 16 * 1024;

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
    let router = Router::new()
        .route("/", get(page))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(view)
        .layer(middleware::map_response(closing));
    match over_tcp {
        true => router.layer(middleware::from_fn(loopback_name_only)),
        false => router,
    }
}

async fn live(State(view): State<View>) -> (StatusCode, &'static str) {
    match view.is_alive() {
        true => (StatusCode::OK, "alive\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n"),
    }
}

async fn ready(State(view): State<View>) -> (StatusCode, String) {
    let reasons = view.unready();
    match reasons.is_empty() {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
    }
}

async fn status(State(view): State<View>) -> axum::Json<Report> {
    axum::Json(Report::of(&view))
}

async fn metrics(State(view): State<View>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match crate::metrics::page(&Report::of(&view)) {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn page(State(view): State<View>) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(crate::page::page(&Report::of(&view)))).into_response()
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
                    let end = Box::pin(tokio::time::sleep(LONGEST));
                    return (Visit { stream, end, bytes_left: REQUEST_BYTES, _seat: seat }, ());
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

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection with its seat, its time and its bytes.
pub(crate) struct Visit {
    stream: Box<dyn Stream>,
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
    _seat: OwnedSemaphorePermit,
}

impl Visit {
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.bytes_left == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let mut chunk = [0; 4096];
        let room = chunk.len().min(self.bytes_left).min(buffer.remaining());
        let mut limited = ReadBuf::new(&mut chunk[..room]);
        let polled = Pin::new(&mut self.stream).poll_read(context, &mut limited);
        buffer.put_slice(limited.filled());
        self.bytes_left -= limited.filled().len();
        polled
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
