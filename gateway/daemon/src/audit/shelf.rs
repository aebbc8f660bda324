use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lingate_audit::LINE_MAX;

use crate::files::directory;

/// Where the files of a log lie. One of them grows.
pub(super) trait Shelf: Send {
    /// Number and bytes of each, ascending.
    fn list(&self) -> io::Result<Vec<(u64, u64)>>;
    /// Hands on every complete line without its LF, until told `false`. Gives the bytes of what it handed on.
    fn read(&self, number: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<u64>;
    /// A file that did not exist; it grows from here on.
    fn create(&mut self, number: u64) -> io::Result<()>;
    /// An existing file; it grows from `bytes` on, and what stands behind is cut.
    fn open(&mut self, number: u64, bytes: u64) -> io::Result<()>;
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
    /// The growing file still has its name.
    fn is_there(&self) -> bool;
    fn remove(&mut self, number: u64) -> io::Result<()>;
}

/// A folder.
pub(super) struct Folder {
    path: PathBuf,
    growing: Option<(File, PathBuf)>,
}

/// `00000001.jsonl` and so on, ascending, with their numbers.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
        if let Some(number) = name.filter(|name| name.len() >= 8).and_then(|name| name.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Folder {
        Folder { path, growing: None }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:08}.jsonl"))
    }

    fn growing(&mut self) -> io::Result<&mut File> {
        self.growing.as_mut().map(|(file, _)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Shelf for Folder {
    fn list(&self) -> io::Result<Vec<(u64, u64)>> {
        let files = match files(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        files.into_iter().map(|(number, path)| Ok((number, fs::metadata(path)?.len()))).collect()
    }

    fn read(&self, number: u64, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<u64> {
        let mut file = BufReader::new(File::open(self.file(number))?);
        let (mut line, mut bytes) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = file.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                return Ok(bytes);
            }
            bytes += read as u64;
            if !each(&line) {
                return Ok(bytes);
            }
        }
    }

    fn create(&mut self, number: u64) -> io::Result<()> {
        self.growing = None;
        directory(&self.path)?;
        let path = self.file(number);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o640).open(&path)?;
        File::open(&self.path)?.sync_all()?;
        self.growing = Some((file, path));
        Ok(())
    }

    fn open(&mut self, number: u64, bytes: u64) -> io::Result<()> {
        let path = self.file(number);
        let file = OpenOptions::new().append(true).open(&path)?;
        if file.metadata()?.len() > bytes {
            file.set_len(bytes)?;
        }
        self.growing = Some((file, path));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.growing()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.growing()?.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.growing()?.set_len(bytes)
    }

    fn is_there(&self) -> bool {
        let Some((file, path)) = &self.growing else { return false };
        match (file.metadata(), fs::metadata(path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.file(number)) {
            // Somebody was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = fs::remove_file(self.file(number).with_extension("cosigned"));
        File::open(&self.path)?.sync_all()
    }
}
