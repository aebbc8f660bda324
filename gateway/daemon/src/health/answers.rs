//! What programs ask of the health endpoint.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::report::Report;
use crate::view::View;

pub(super) async fn live(State(view): State<View>) -> (StatusCode, &'static str) {
    match view.is_alive() {
        true => (StatusCode::OK, "alive\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the engine does not answer\n"),
    }
}

/// The reasons that it is not ready, one per line, and behind them what is away; the same as JSON for who asks for it.
pub(super) async fn ready(State(view): State<View>, request: Request) -> Response {
    let (reasons, away) = (view.unready(), view.away());
    let code = match reasons.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    if accepted(&request).contains("application/json") {
        let told = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons, "away": away });
        return (code, axum::Json(told)).into_response();
    }
    let ready = reasons.is_empty().then(|| "ready".to_owned());
    let away = away.into_iter().map(|away| format!("away: {away}"));
    let lines = ready.into_iter().chain(reasons).chain(away).map(|line| line + "\n");
    (code, lines.collect::<String>()).into_response()
}

/// What the visitor wants to have.
fn accepted(request: &Request) -> &str {
    request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) async fn status(State(view): State<View>) -> axum::Json<Report> {
    axum::Json(Report::of(&view))
}

/// OpenMetrics for whoever asks for it, as Prometheus does; for others, promtool among them, the older text format.
pub(super) async fn metrics(State(view): State<View>, request: Request) -> Response {
    let is_open = accepted(&request).contains("application/openmetrics-text");
    let kind = match is_open {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    match crate::metrics::page(&Report::of(&view)) {
        Ok(text) if is_open => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Ok(text) => ([(header::CONTENT_TYPE, kind)], crate::metrics::classic(&text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
