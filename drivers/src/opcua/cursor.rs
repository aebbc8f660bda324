use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Up to which source time each point was delivered, kept over restarts: where reading the server's history begins.
///
/// One line for each point: ticks of 100 ns since 1601, a space, where the point is read. A line that cannot be read is
/// a point without cursor.
#[derive(Clone, Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
}

impl CursorFile {
    /// `folder`: of the site.
    pub(crate) fn of(folder: &Path, device: &str) -> CursorFile {
        CursorFile { path: folder.join("opcua").join("cursors").join(device) }
    }

    /// Without a file: none.
    pub(crate) fn load(&self) -> BTreeMap<String, i64> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let line = |line: &str| {
            let (ticks, source) = line.split_once(' ')?;
            Some((source.to_owned(), ticks.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// On the disk when it returns, whole or not at all.
    pub(crate) fn save(&self, cursors: &BTreeMap<String, i64>) -> io::Result<()> {
        let folder = self.path.parent().expect("it has two folders above it");
        create_private(folder)?;
        let draft = self.path.with_extension("draft");
        let mut file = File::create(&draft)?;
        let text: String = cursors.iter().map(|(source, ticks)| format!("{ticks} {source}\n")).collect();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_a_broken_line_costs_its_point_only() {
        let folder = std::env::temp_dir().join(format!("lingate-cursors-{}", std::process::id()));
        let file = CursorFile::of(&folder, "etch-3");
        assert_eq!(file.load(), BTreeMap::new());
        let cursors = BTreeMap::from([("nsu=urn:x;s=a b".to_owned(), 7), ("i=1".to_owned(), i64::MAX)]);
        file.save(&cursors).unwrap();
        file.save(&cursors).unwrap();
        assert_eq!(file.load(), cursors);
        fs::write(folder.join("opcua/cursors/etch-3"), "7 nsu=urn:x;s=a b\nx i=1\n9").unwrap();
        assert_eq!(file.load(), BTreeMap::from([("nsu=urn:x;s=a b".to_owned(), 7)]));
        fs::remove_dir_all(folder).unwrap();
    }
}
