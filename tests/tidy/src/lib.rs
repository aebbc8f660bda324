//! Reads the source tree as text, so that a broken invariant of ARCHITECTURE.md fails with a sentence and a place.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/tidy lies two levels below the top").to_path_buf()
}

/// A text file, with its path from the top.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// Lines with their number from 1, without comments, and without the test module that ends a file. A test module in a
    /// file of its own (`mod tests;`) ends nothing.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens_tests = |at: &usize| {
            let opens = lines[*at..].iter().take(4).find(|line| line.trim_start().starts_with("mod "));
            lines[*at].trim() == "#[cfg(test)]" && opens.is_some_and(|line| line.trim_end().ends_with('{'))
        };
        let end = (0..lines.len()).find(opens_tests).unwrap_or(lines.len());
        let code = lines.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line));
        code.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Every file below `folders` with one of these endings, in order of path. Build output is passed over.
pub fn sources(folders: &[&str], endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for folder in folders {
        collect(&root, &root.join(folder), endings, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing to read below {folders:?}: did a folder move?");
    found
}

fn collect(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a listed entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "vendor" {
                collect(root, &path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let shown = path.strip_prefix(root).expect("below the top").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{shown}: {error}"));
            found.push(Source { path: shown, text });
        }
    }
}

/// Fails with every place at which one of `words` stands, and `rule`.
pub fn forbid(sources: &[Source], words: &[&str], rule: &str) {
    let mut places = Vec::new();
    for source in sources {
        for (number, line) in source.code() {
            if let Some(word) = words.iter().find(|word| stands_in(line, word)) {
                places.push(format!("{}:{number}: `{word}`", source.path));
            }
        }
    }
    assert!(places.is_empty(), "{rule}\n  {}", places.join("\n  "));
}

/// `.await` stands in `it.await?`, and not in `self.awaiting`: a word that ends with a letter ends there.
fn stands_in(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let follows = line[at + word.len()..].chars().next();
        !(word.ends_with(is_letter) && follows.is_some_and(is_letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_found_in_a_longer_one() {
        assert!(stands_in("it.await?;", ".await") && stands_in("it.await", ".await"));
        assert!(!stands_in("self.awaiting.clear();", ".await"));
        assert!(stands_in("tokio::time", "tokio::") && stands_in("a.awaiting; b.await;", ".await"));
    }

    fn code(text: &str) -> Vec<usize> {
        let source = Source { path: String::new(), text: text.to_owned() };
        source.code().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_test_module_of_its_own_file_hides_nothing_behind_it() {
        assert_eq!(code("#[cfg(test)]\nmod tests;\nuse a;\n"), [1, 2, 3]);
        assert_eq!(code("use a;\n// why\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}\n"), [1]);
    }
}
