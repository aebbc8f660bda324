//! The files of a configuration: `lingate.toml` and what lies beside it in `lingate.d`, and the copy of the last that ran.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lingate_config::{FILE_BYTES_MAX, SourceFile};

use crate::files;

const FILES_MAX: usize = 1_000;

/// The file, and `*.toml` of the folder beside it that is named like it (`lingate.d` for `lingate.toml`), in the order of
/// their names.
pub(crate) fn read(config: &Path) -> io::Result<Vec<SourceFile>> {
    let mut read = vec![source(config)?];
    for path in beside(config)? {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        read.push(source(&path).map_err(named)?);
    }
    Ok(read)
}

fn source(path: &Path) -> io::Result<SourceFile> {
    let bytes = files::read_up_to(path, FILE_BYTES_MAX as u64)?;
    Ok(SourceFile { name: path.display().to_string(), bytes })
}

fn beside(config: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = config.with_extension("d");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // Editors leave hidden copies behind.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_hidden {
            found.push(path);
        }
    }
    found.sort();
    match found.len() <= FILES_MAX {
        true => Ok(found),
        false => Err(io::Error::other(format!("{}: more than {FILES_MAX} files", folder.display()))),
    }
}

/// The copy in the state directory: the file, and its folder beside it.
/// Who may change what the gateway does, if that is everybody: the file, or its folder, which allows to replace it.
pub(crate) fn open_to_everybody(files: &[SourceFile]) -> Vec<String> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let mut told = BTreeSet::new();
    for path in files.iter().map(|file| Path::new(&file.name)) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for place in [path, folder] {
            let mode = fs::metadata(place).map_or(0, |entry| entry.mode());
            if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
                told.insert(format!(
                    "every user of this computer may change {}, and with it what leaves: chmod o-w it",
                    place.display()
                ));
            }
        }
    }
    told.into_iter().collect()
}

pub(crate) fn copy_path(state_dir: &Path) -> PathBuf {
    state_dir.join("configuration").join("running.toml")
}

/// Keeps what runs, for a start with a file that is wrong.
fn keep(state_dir: &Path, running: &[SourceFile]) -> io::Result<()> {
    let main = copy_path(state_dir);
    let folder = main.with_extension("d");
    let mut copies: Vec<(PathBuf, &[u8])> = Vec::new();
    for (number, SourceFile { name, bytes }) in running.iter().enumerate() {
        let path = match (number, Path::new(name).file_name()) {
            (0, _) => main.clone(),
            (_, Some(name)) => folder.join(name),
            (_, None) => continue,
        };
        copies.push((path, bytes));
    }
    if read(&main).is_ok_and(|kept| contents(&kept) == contents(running)) {
        return Ok(());
    }
    files::directory(&folder)?;
    for old in beside(&main)?.iter().filter(|old| !copies.iter().any(|(path, _)| path == *old)) {
        files::remove(old)?;
    }
    // Last, so that the copy is not complete before its parts are.
    copies.rotate_left(1);
    files::replace_all(&copies)
}

/// The copy names points, which nothing else in the state directory does: there is none unless `reload.last_good` asks for it.
pub(crate) fn keep_or_warn(state_dir: &Path, last_good: bool, running: &[SourceFile]) {
    let kept = if last_good { keep(state_dir, running) } else { forget(state_dir) };
    if let Err(error) = kept {
        tracing::warn!(%error, "the configuration that is in force cannot be kept as the last good one");
    }
}

fn forget(state_dir: &Path) -> io::Result<()> {
    let main = copy_path(state_dir);
    for path in beside(&main)?.iter().chain([&main]) {
        match files::remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn contents(files: &[SourceFile]) -> Vec<&[u8]> {
    files.iter().map(|file| file.bytes.as_slice()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn names(config: &Path) -> Vec<String> {
        let name = |file: SourceFile| Path::new(&file.name).file_name().unwrap().to_string_lossy().into_owned();
        read(config).unwrap().into_iter().map(name).collect()
    }

    #[test]
    fn what_lies_beside_a_file_is_read_in_the_order_of_names() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("lingate.toml");
        assert!(read(&config).is_err(), "there is no file");
        fs::write(&config, "a").unwrap();
        assert_eq!(names(&config), ["lingate.toml"]);
        fs::create_dir(home.path().join("lingate.d")).unwrap();
        for name in ["20.toml", "10-x.toml", "3.toml", ".20.toml", "20.toml~", "notes.md"] {
            fs::write(home.path().join("lingate.d").join(name), name).unwrap();
        }
        assert_eq!(names(&config), ["lingate.toml", "10-x.toml", "20.toml", "3.toml"]);
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_refused_and_waits_for_nobody() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("lingate.toml");
        assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
        assert_eq!(read(&config).unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn a_folder_or_a_file_that_everybody_may_write_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("etc");
        fs::create_dir(&folder).unwrap();
        let config = folder.join("lingate.toml");
        fs::write(&config, "a").unwrap();
        let set = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let told = || open_to_everybody(&read(&config).unwrap());
        set(&folder, 0o755);
        assert_eq!(told(), Vec::<String>::new());
        set(&config, 0o666);
        set(&folder, 0o777);
        assert!(told().len() == 2 && told()[0].contains("etc, and with it"), "{:?}", told());
        // In such a folder nobody replaces what belongs to another.
        set(&folder, 0o1777);
        assert!(told().len() == 1 && told()[0].contains("lingate.toml"), "{:?}", told());
    }

    #[test]
    fn the_copy_of_what_runs_has_its_files_and_no_older_ones() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), bytes: text.as_bytes().to_owned() };
        for running in [
            vec![
                file("/etc/lingate.toml", "one"),
                file("/etc/lingate.d/a.toml", "two"),
                file("/etc/lingate.d/b.toml", "3"),
            ],
            vec![file("/etc/lingate.toml", "one"), file("/etc/lingate.d/b.toml", "four")],
            vec![file("/etc/lingate.toml", "five")],
        ] {
            keep(home.path(), &running).unwrap();
            assert_eq!(contents(&read(&copy_path(home.path())).unwrap()), contents(&running));
        }
        forget(home.path()).unwrap();
        assert!(read(&copy_path(home.path())).is_err() && beside(&copy_path(home.path())).unwrap().is_empty());
    }
}
