//! Files that a baseline names: beside or below it, regular, and not too large.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Why a file cannot be used, as the end of a sentence that begins with its path.
pub(super) type Refusal = String;

/// The folder of a baseline: nothing outside of it is opened.
pub(super) struct Folder {
    path: PathBuf,
    real: PathBuf,
}

impl Folder {
    /// The folder that holds `file`.
    pub fn of(file: &Path) -> Result<Folder, Refusal> {
        let path = match file.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let real = fs::canonicalize(&path).map_err(|e| format!("cannot be read: {e}"))?;
        Ok(Folder { path, real })
    }

    /// Where `name` leads: a file in the folder or below, also after symbolic links are followed.
    pub fn find(&self, name: &str) -> Result<PathBuf, Refusal> {
        let relative = Path::new(name);
        let inside = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !inside || name.contains('\0') {
            return Err("leads out of the baseline's folder: only files beside or below the baseline are read".into());
        }
        let path = self.path.join(relative);
        let real = fs::canonicalize(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "is not there".to_owned(),
            _ => format!("cannot be read: {e}"),
        })?;
        if !real.starts_with(&self.real) {
            return Err("is a link that leads out of the baseline's folder".into());
        }
        Ok(path)
    }

    /// The path of a file of the folder for people: as the baseline was given, with `/`.
    pub fn display(&self, name: &str) -> String {
        let name = name.trim_start_matches("./");
        if self.path == Path::new(".") { name.to_owned() } else { display(&self.path.join(name)) }
    }
}

/// A path for people.
pub(super) fn display(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// The bytes of a regular file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Refusal> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {e}"),
    };
    // Before it is opened: opening a pipe waits for somebody to write.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err("is not a file".into());
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {most} bytes"));
    }
    Ok(bytes)
}
