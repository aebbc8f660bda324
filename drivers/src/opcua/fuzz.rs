//! The way in for programs that make up what servers send. Nothing of the gateway uses it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

use super::guard::{Guarded, Limits, Watch};

/// So much of a connection's bytes as the guard lets pass before it ends the connection.
pub fn passed(bytes: &[u8]) -> usize {
    let limits = Limits {
        chunk: 65_536,
        message: 1 << 20,
        policy_uri: "http://opcfoundation.org/UA/SecurityPolicy#None",
        certificate: None,
    };
    let mut guarded = pin!(Guarded::new(bytes, limits, Watch::default()));
    let (mut context, mut passed) = (Context::from_waker(Waker::noop()), 0);
    loop {
        let mut part = [0; 512];
        let mut part = ReadBuf::new(&mut part);
        match guarded.as_mut().poll_read(&mut context, &mut part) {
            Poll::Ready(Ok(())) if !part.filled().is_empty() => passed += part.filled().len(),
            _ => return passed,
        }
    }
}
