//! Revisions of a git repository, read by the `git` that is installed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Failure;
use super::diff::is_within;
use crate::source::Limits;

/// Files of a revision, unpacked into a folder that goes when this does.
pub(super) struct Revision {
    /// As it was named.
    pub name: String,
    /// What was asked for, within the folder.
    pub path: PathBuf,
    /// What stands before paths of the repository.
    pub prefix: String,
    _folder: tempfile::TempDir,
}

/// The two revisions of `BASE..HEAD` (an empty one is HEAD), as far as they lie below `path`.
pub(super) fn both(range: &str, path: &Path) -> Result<[Revision; 2], Failure> {
    let (old, new) = range.split_once("..").ok_or_else(|| Failure::usage(format!("--git {range}: write BASE..HEAD")))?;
    if !is_within(path) {
        return Err(Failure::usage(format!("{}: with --git a path below the current folder is needed", path.display())));
    }
    let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
    Ok([unpack(&or_head(old), path)?, unpack(&or_head(new.trim_start_matches('.')), path)?])
}

/// A revision, as far as it lies below `path`.
pub(super) fn one(name: &str, path: &Path) -> Result<Revision, Failure> {
    if !is_within(path) {
        return Err(Failure::usage(format!("{}: with a revision of git a path below the current folder is needed", path.display())));
    }
    unpack(name, path)
}

fn git(args: &[&str]) -> Command {
    let mut command = Command::new("git");
    // Nothing that a repository configures is run: no pager, no hooks, no filters.
    command.args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]).args(args);
    command.env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn failed(what: &str, stderr: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(stderr);
    let said = said.lines().next().unwrap_or("").trim_start_matches("fatal: ");
    Failure::usage(format!("{what}: git says: {}", crate::report::Untrusted(said)))
}

fn unpack(name: &str, path: &Path) -> Result<Revision, Failure> {
    let trouble = |e: std::io::Error| Failure::usage(format!("--git: {e}"));
    if name.starts_with('-') {
        return Err(Failure::usage(format!("--git {name}: that is no revision")));
    }
    let text = path.to_string_lossy();
    let text = if text == "." { "" } else { text.trim_end_matches('/').trim_start_matches("./") };
    let listed = git(&["ls-tree", "-r", "-z", "--long", name, "--"])
        .args((!text.is_empty()).then_some(text))
        .output()
        .map_err(|e| Failure::usage(format!("--git needs the program git: {e}")))?;
    if !listed.status.success() {
        return Err(failed(name, &listed.stderr));
    }
    let limits = Limits::default();
    let mut wanted: Vec<(String, PathBuf, u64)> = Vec::new();
    for entry in listed.stdout.split(|b| *b == 0).filter(|e| !e.is_empty()) {
        let entry = String::from_utf8_lossy(entry);
        let Some((head, file)) = entry.split_once('\t') else { continue };
        let head: Vec<&str> = head.split_ascii_whitespace().collect();
        // Links and submodules are not followed.
        let [mode, "blob", object, size] = head.as_slice() else { continue };
        let file = PathBuf::from(file);
        if *mode != "120000" && is_within(&file) {
            wanted.push(((*object).to_owned(), file, size.parse().unwrap_or(u64::MAX)));
        }
    }
    if wanted.is_empty() {
        return Err(Failure::usage(format!("{name}: has nothing at {}", path.display())));
    }
    if wanted.len() > limits.files || wanted.iter().map(|w| w.2).fold(0, u64::saturating_add) > limits.total_bytes {
        return Err(Failure::Incomplete(vec![format!("{name}: is larger than what is read (files or bytes); name a path within it")]));
    }
    let folder = tempfile::tempdir().map_err(trouble)?;
    // Devices are named by their folder: that of the repository keeps its name.
    let here = std::env::current_dir().ok().and_then(|d| d.file_name().map(PathBuf::from)).unwrap_or_else(|| "repository".into());
    let root = folder.path().join(here);
    let mut child = git(&["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(trouble)?;
    let (Some(mut ask), Some(answer)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::usage("--git: git has no pipes"));
    };
    let mut answer = BufReader::new(answer);
    for (object, file, _) in &wanted {
        writeln!(ask, "{object}").map_err(trouble)?;
        let mut head = String::new();
        answer.read_line(&mut head).map_err(trouble)?;
        let size: u64 = head.split_ascii_whitespace().nth(2).and_then(|n| n.parse().ok()).ok_or_else(|| failed(name, head.as_bytes()))?;
        let mut bytes = Vec::new();
        answer.by_ref().take(size).read_to_end(&mut bytes).map_err(trouble)?;
        answer.read_line(&mut String::new()).map_err(trouble)?;
        let to = root.join(file);
        fs::create_dir_all(to.parent().unwrap_or(&root)).map_err(trouble)?;
        fs::write(&to, bytes).map_err(trouble)?;
    }
    drop(ask);
    let _ = child.wait();
    let prefix = format!("{}/", root.display());
    Ok(Revision { name: name.to_owned(), path: if text.is_empty() { root } else { root.join(text) }, prefix, _folder: folder })
}
