use std::path::PathBuf;

/// The kernel's limit (PATH_MAX, its terminating zero included).
const BYTES_MAX: usize = 4095;

/// A whole path from `/`, without `..`: what it means does not depend on where the daemon was started.
pub fn parse_path(text: &str) -> Result<PathBuf, (String, Option<String>)> {
    if !text.starts_with('/') {
        let hint = format!("write the whole path, such as \"/etc/lingate/{}\"", file_name(text));
        return Err(("is not a path from /".to_owned(), Some(hint)));
    }
    if text.split('/').any(|part| part == "..") {
        let hint = "write the path that is meant without ..".to_owned();
        return Err(("leads through ..".to_owned(), Some(hint)));
    }
    if text.len() > BYTES_MAX || text.chars().any(char::is_control) {
        return Err((format!("is longer than {BYTES_MAX} bytes or has control characters"), None));
    }
    Ok(PathBuf::from(text))
}

/// A part of the file that is worth repeating in a hint.
fn file_name(text: &str) -> String {
    let name = text.rsplit('/').next().unwrap_or("");
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}
