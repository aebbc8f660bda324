//! The plant's veto: files in `veto/` of the state directory, so that it works without network, sandbox and tool.
//!
//! ```text
//! veto/dataset:ds-extr-07             nothing is sealed for this dataset
//! veto/recipient:role:oem-quality     nothing is sealed for this role, party (urn:...) or key (16 hex digits)
//! veto/everything                     nothing is sealed at all
//! veto/purge:ds-extr-07               destroy what was read so far; the daemon removes the file when it is done
//! ```
//!
//! `/` is written as `%2F` and `%` as `%25`. Files that begin with a point are not looked at. What a veto forbids is
//! destroyed where it waits; then the daemon writes [`CARRIED_OUT`] into its file. A file that means none of this, or a
//! folder that cannot be read, holds everything back: a veto that was misspelt must not be none, so nothing is sealed and
//! nothing is sent, and what to destroy nobody said, so nothing is destroyed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_engine::Input;
use lingate_model::DatasetId;
use lingate_seal::Veto;
use tokio::sync::{Mutex, mpsc};

use crate::files;
use crate::heart::Message;
use crate::supervise::Stop;

const LOOK_EVERY: Duration = Duration::from_secs(1);
pub(crate) const CARRIED_OUT: &str = "carried out\n";
const EVERYTHING: &str = "everything";
/// Files of one folder at most; more hold everything back.
const FILES_MAX: usize = 10_000;

/// What the engine has destroyed.
pub(crate) struct Destroyed {
    pub(crate) datasets: Vec<DatasetId>,
    pub(crate) veto: Option<Veto>,
}

/// What the folder says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) veto: Veto,
    /// The part of it that has destroyed what it forbids.
    pub(crate) carried_out: Veto,
    pub(crate) purges: Vec<DatasetId>,
    /// Why everything is held back.
    pub(crate) misunderstood: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Everything,
    Dataset(DatasetId),
    Recipient(String),
    Purge(DatasetId),
}

impl Order {
    pub(crate) fn file_name(&self) -> String {
        match self {
            Order::Everything => EVERYTHING.to_owned(),
            Order::Dataset(id) => format!("dataset:{}", escape(id.as_str())),
            Order::Recipient(name) => format!("recipient:{}", escape(name)),
            Order::Purge(id) => format!("purge:{}", escape(id.as_str())),
        }
    }

    pub(crate) fn parse(file_name: &str) -> Option<Order> {
        if file_name == EVERYTHING {
            return Some(Order::Everything);
        }
        let (kind, name) = file_name.split_once(':')?;
        let name = name.replace("%2F", "/").replace("%25", "%");
        match kind {
            "dataset" => name.parse().ok().map(Order::Dataset),
            "purge" => name.parse().ok().map(Order::Purge),
            "recipient" if !name.is_empty() && name.len() <= 256 => Some(Order::Recipient(name)),
            _ => None,
        }
    }
}

fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("veto")
}

/// Durable when it returns.
pub(crate) fn write(state_dir: &Path, order: &Order, content: &str) -> io::Result<()> {
    files::directory(&folder(state_dir))?;
    files::replace_all(&[(folder(state_dir).join(order.file_name()), content.as_bytes())])
}

/// `false`: it was not there.
pub(crate) fn remove(state_dir: &Path, order: &Order) -> io::Result<bool> {
    match fs::remove_file(folder(state_dir).join(order.file_name())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

pub(crate) fn read(state_dir: &Path) -> Said {
    let mut said = Said::default();
    let names = match names(&folder(state_dir)) {
        Ok(names) => names,
        Err(why) => {
            said.misunderstood.push(why);
            Vec::new()
        }
    };
    for name in names {
        let Some(order) = Order::parse(&name) else {
            said.misunderstood.push(format!("veto/{} is no veto", name.escape_debug()));
            continue;
        };
        let content = files::read(&folder(state_dir).join(&name)).unwrap_or_default();
        if content == CARRIED_OUT.as_bytes() {
            add(&mut said.carried_out, &order);
        }
        match order {
            Order::Purge(dataset) => said.purges.push(dataset),
            order => add(&mut said.veto, &order),
        }
    }
    said.veto.unclear = !said.misunderstood.is_empty();
    said
}

fn add(veto: &mut Veto, order: &Order) {
    match order {
        Order::Everything => veto.everything = true,
        Order::Dataset(id) => drop(veto.datasets.insert(id.clone())),
        Order::Recipient(name) => drop(veto.recipients.insert(name.clone())),
        Order::Purge(_) => {}
    }
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        // A draft is a file that is being written.
        if !name.starts_with('.') && !name.ends_with(".draft") {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(format!("{} holds more than {FILES_MAX} files", folder.display()));
        }
    }
    names.sort();
    Ok(names)
}

/// Keeps the engine told of the folder, and the folder of what the engine destroyed.
pub(crate) struct Vetoes {
    state_dir: PathBuf,
    told: Said,
    asked: Vec<DatasetId>,
    destroyed: mpsc::Receiver<Destroyed>,
}

impl Vetoes {
    /// `told`: what the engine started with.
    pub(crate) fn new(state_dir: &Path, told: Said, destroyed: mpsc::Receiver<Destroyed>) -> Vetoes {
        Vetoes { state_dir: state_dir.to_owned(), told, asked: Vec::new(), destroyed }
    }

    /// Inputs for the engine.
    fn look(&mut self) -> Vec<Input> {
        let said = read(&self.state_dir);
        let mut inputs = Vec::new();
        if said.veto != self.told.veto {
            tracing::warn!("the plant's veto has changed: {}", in_words(&said.veto));
            inputs.push(Input::Veto(Box::new(said.veto.clone())));
        }
        for why in said.misunderstood.iter().filter(|why| !self.told.misunderstood.contains(why)) {
            tracing::error!(
                "{why}, so nothing is sealed or sent until it is corrected or removed; see `lingate veto list`"
            );
        }
        self.asked.retain(|dataset| said.purges.contains(dataset));
        for dataset in said.purges.iter().filter(|dataset| !self.asked.contains(dataset)) {
            inputs.push(Input::Purge(dataset.clone()));
        }
        self.asked.clone_from(&said.purges);
        self.told = said;
        inputs
    }

    fn mark(&mut self) {
        while let Ok(Destroyed { datasets, veto }) = self.destroyed.try_recv() {
            for dataset in datasets.into_iter().filter(|dataset| self.asked.contains(dataset)) {
                tell(remove(&self.state_dir, &Order::Purge(dataset)).map(drop));
            }
            let Some(veto) = veto else { continue };
            let datasets = veto.datasets.difference(&self.told.carried_out.datasets).cloned().map(Order::Dataset);
            let recipients =
                veto.recipients.difference(&self.told.carried_out.recipients).cloned().map(Order::Recipient);
            let everything = (veto.everything && !self.told.carried_out.everything).then_some(Order::Everything);
            for order in datasets.chain(recipients).chain(everything) {
                // One that was lifted meanwhile must not come back.
                if folder(&self.state_dir).join(order.file_name()).exists() {
                    tell(write(&self.state_dir, &order, CARRIED_OUT));
                }
            }
        }
    }
}

fn tell(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::error!(%error, "what a veto destroyed could not be noted in its file; it is done again at the next start");
    }
}

pub(crate) fn in_words(veto: &Veto) -> String {
    let datasets = veto.datasets.iter().map(|id| format!("dataset {id}"));
    let recipients = veto.recipients.iter().map(|name| format!("recipient {name}"));
    let everything = (veto.everything || veto.unclear).then(|| EVERYTHING.to_owned());
    let all: Vec<String> = everything.into_iter().chain(datasets).chain(recipients).collect();
    if all.is_empty() { "nothing is forbidden".to_owned() } else { format!("forbidden: {}", all.join(", ")) }
}

/// Looks until told to stop.
pub(crate) async fn watch(vetoes: Arc<Mutex<Vetoes>>, heart: mpsc::Sender<Message>, mut stop: Stop) {
    while stop.pause(LOOK_EVERY).await {
        let vetoes = vetoes.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut vetoes = vetoes.blocking_lock();
            let inputs = vetoes.look();
            vetoes.mark();
            inputs
        });
        for input in looked.await.expect("reading the veto folder does not panic") {
            if heart.send(Message::Input(input)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn dataset(id: &str) -> Order {
        Order::Dataset(id.parse().unwrap())
    }

    #[test]
    fn an_order_is_known_by_the_name_of_its_file() {
        let named = |name: &str| Order::Recipient(name.to_owned());
        for order in [
            Order::Everything,
            dataset("ds-1"),
            named("role:a"),
            named("urn:x/%2F/y"),
            Order::Purge("d".parse().unwrap()),
        ] {
            assert_eq!(Order::parse(&order.file_name()), Some(order.clone()), "{order:?}");
            assert!(!order.file_name().contains('/'));
        }
        for bad in ["", "datset:x", "dataset:", "dataset:a b", "recipient:", "all"] {
            assert_eq!(Order::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_veto_that_cannot_be_understood_holds_everything_back_and_destroys_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()), Said::default(), "no folder, no veto");
        write(home.path(), &dataset("ds-1"), "").unwrap();
        assert!(!read(home.path()).veto.unclear);
        fs::write(folder(home.path()).join(".swp"), "").unwrap();
        assert!(!read(home.path()).veto.unclear);
        fs::write(folder(home.path()).join("datset:ds-2"), "").unwrap();
        let said = read(home.path());
        assert!(
            said.veto.unclear && !said.veto.everything && said.misunderstood[0].contains("datset:ds-2"),
            "{said:?}"
        );
        fs::remove_dir_all(folder(home.path())).unwrap();
        fs::write(folder(home.path()), "").unwrap();
        let said = read(home.path());
        assert!(said.veto.unclear && !said.veto.everything, "a folder that is none");
    }

    #[test]
    fn what_was_destroyed_is_noted_and_a_purge_is_asked_for_once() {
        let home = tempfile::tempdir().unwrap();
        let (sender, destroyed) = mpsc::channel(4);
        let mut vetoes = Vetoes::new(home.path(), Said::default(), destroyed);
        assert!(vetoes.look().is_empty());
        write(home.path(), &dataset("ds-1"), "").unwrap();
        write(home.path(), &Order::Purge("ds-2".parse().unwrap()), "").unwrap();
        assert!(matches!(&vetoes.look()[..], [Input::Veto(veto), Input::Purge(_)] if veto.datasets.len() == 1));
        assert!(vetoes.look().is_empty());
        let veto = Some(read(home.path()).veto);
        sender.try_send(Destroyed { datasets: vec!["ds-2".parse().unwrap()], veto }).unwrap();
        vetoes.mark();
        let said = read(home.path());
        assert_eq!((said.purges.len(), &said.carried_out), (0, &said.veto));
        assert!(remove(home.path(), &dataset("ds-1")).unwrap() && !remove(home.path(), &dataset("ds-1")).unwrap());
        assert!(matches!(&vetoes.look()[..], [Input::Veto(veto)] if veto.is_empty()));
    }
}
