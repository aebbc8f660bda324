use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::LinkError;

/// Waits for work that goes through the protocol library. A panic there is a defect that a server found (a token lifetime
/// of 2^31 ms overflows in its arithmetic): it ends this connection and nothing else, and what panicked is not polled
/// again.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, LinkError> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => {
            let what = "an answer that the protocol library stumbled over".to_owned();
            Poll::Ready(Err(LinkError::Protocol { what }))
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stumble_is_an_error_of_the_connection() {
        assert!(matches!(caught(async { 7 }).await, Ok(7)));
        let stumbles = async {
            tokio::task::yield_now().await;
            let mut numbers: Vec<u32> = Vec::new();
            numbers.remove(usize::MAX)
        };
        assert!(matches!(caught(stumbles).await, Err(LinkError::Protocol { .. })));
    }
}
