//! What ends a session although the connection lives: everything is built again, once.

use lingate_plant::opcua::{Say, Script};
use opcua::types::{DateTime, StatusCode};

use super::PUBLISH;
use super::bench::{Bench, Row};
use super::published::published;

#[tokio::test]
async fn a_subscription_that_the_server_has_forgotten_is_built_again() {
    let bench = Bench::start().await;
    for forgotten in [StatusCode::BadSubscriptionIdInvalid, StatusCode::BadNoSubscription] {
        let script = Script::always(PUBLISH, Say::Fault(forgotten)).times(1);
        let outcome = bench.plays(&format!("{forgotten}"), Row { tricks: 1, ..Row::new(script) }).await;
        assert_eq!(outcome.seen.connected, 2, "{:?}", outcome.seen.errors);
        assert!(outcome.seen.errors[0].contains(&forgotten.to_string()), "{:?}", outcome.seen.errors);
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_server_that_started_anew_below_a_session_is_asked_for_everything_again() {
    const START_TIME: u32 = u32::MAX - 1;
    let bench = Bench::start().await;
    let anew = published(|values, _| {
        let start = values.iter_mut().find(|value| value.client_handle == START_TIME).unwrap();
        start.value.value = Some(DateTime::now().into());
    });
    let script = Script::always(PUBLISH, anew).times(1);
    let outcome = bench.plays("start time", Row { tricks: 1, ..Row::new(script) }).await;
    assert_eq!(outcome.seen.connected, 2, "{:?}", outcome.seen.errors);
    assert!(outcome.seen.errors[0].contains("started anew"), "{:?}", outcome.seen.errors);
    bench.finish().await;
}
