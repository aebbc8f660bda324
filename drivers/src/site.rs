use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lingate_model::{Clock, ClockState, GatewayId, Now};
use zeroize::Zeroizing;

use crate::settings::Credential;

/// The bytes of a secret, or in words why they cannot be had and what to do.
type Secrets = Arc<dyn Fn(&Credential) -> Result<Zeroizing<Vec<u8>>, String> + Send + Sync>;

/// What the gateway lends to its devices. A copy is the same site.
#[derive(Clone)]
pub struct Site {
    pub gateway: GatewayId,
    /// `{state_dir}/devices`. A driver keeps here, in folders of its own, what must survive a restart: trusted
    /// certificates, cursors. It may not exist yet; the driver creates what it needs with mode 0700.
    pub folder: PathBuf,
    pub secret: Secrets,
    pub lines: Lines,
    /// For what is decided before a session has its sink: whether a certificate is valid, whether an exception is over.
    pub clock: Arc<dyn Clock>,
}

impl Site {
    /// Without secrets and without a clock: for tools that ask a device, and for tests.
    pub fn bare(folder: PathBuf) -> Site {
        Site {
            gateway: "lingate".parse().expect("it is a name"),
            folder,
            secret: Arc::new(|_| Err("no secret is at hand here".to_owned())),
            lines: Lines::default(),
            clock: Arc::new(Unset),
        }
    }
}

/// A clock that nobody has set.
struct Unset;

impl Clock for Unset {
    fn now(&self) -> Now {
        Now { monotonic: Default::default(), utc: Default::default(), clock: ClockState::Unsynced }
    }
}

/// Transports that several devices share, by name: a serial port, or the address of a converter. A line lives as long
/// as one of its devices holds it.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<BTreeMap<String, Weak<dyn Any + Send + Sync>>>>);

impl Lines {
    /// The line of this name, made if nobody holds one. All users of a name use one type.
    pub fn join<L: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> L) -> Arc<L> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = lines.get(name).and_then(Weak::upgrade).and_then(|line| line.downcast::<L>().ok());
        held.unwrap_or_else(|| {
            let line = Arc::new(make());
            let shared: Arc<dyn Any + Send + Sync> = line.clone();
            lines.insert(name.to_owned(), Arc::downgrade(&shared));
            lines.retain(|_, line| line.strong_count() > 0);
            line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_on_one_line_share_it_until_the_last_of_them_lets_go() {
        let lines = Lines::default();
        let first = lines.join("10.0.4.17:502", || 1);
        assert_eq!(*lines.join("10.0.4.17:502", || 2), 1);
        assert_eq!(*lines.join("10.0.4.18:502", || 3), 3);
        drop(first);
        assert_eq!(*lines.join("10.0.4.17:502", || 4), 4);
    }
}
