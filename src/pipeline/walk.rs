//! Which files there are: folders are walked, links followed only inside, pipes and devices never opened.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;

use crate::diag::Incomplete;
use crate::source::Limits;

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Path for people: as the user gave it, and `/` below it.
    pub display: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// The canonical folder in which it was found (for a link: in which the link lies).
    pub folder: PathBuf,
    /// The folder beyond which nothing is read on its account: canonical.
    pub root: PathBuf,
    /// How `root` is shown.
    pub root_display: String,
    /// Whether the user named the file itself.
    pub explicit: bool,
    /// Its place among all files that were found.
    pub number: u32,
    /// Its size in bytes, when it was found.
    pub size: u64,
    /// It is small enough for what is left of the bound on all files together.
    pub within: bool,
}

/// Numbers the files, and adds up their sizes in the order of their paths, so that which one is too many does not depend on threads.
pub(super) fn measure(files: &mut [Found], limits: &Limits) {
    files.par_iter_mut().for_each(|f| f.size = f.path.as_ref().and_then(|p| p.metadata().ok()).map_or(0, |m| m.len()));
    let mut total = 0u64;
    for (number, file) in files.iter_mut().enumerate() {
        file.number = number as u32;
        file.within = total.saturating_add(file.size) <= limits.total_bytes;
        if file.within && file.size <= limits.file_bytes {
            total += file.size;
        }
    }
}

/// What walking found.
#[derive(Default)]
pub(super) struct Walked {
    pub files: Vec<Found>,
    pub incomplete: Vec<Incomplete>,
}

/// The path under which standard input is shown.
pub(super) const STDIN: &str = "<stdin>";

/// All regular files of `paths`, by the path under which they are shown. A file that is reached twice is found once.
pub(super) fn walk(paths: &[PathBuf], most: usize) -> Walked {
    let mut walked = Walked::default();
    let mut sorted: Vec<&PathBuf> = paths.iter().collect();
    sorted.sort();
    sorted.dedup();
    for path in sorted {
        if path.as_os_str() == "-" {
            walked.files.push(Found {
                display: STDIN.into(),
                path: None,
                folder: PathBuf::new(),
                root: PathBuf::new(),
                root_display: String::new(),
                explicit: true,
                number: 0,
                size: 0,
                within: true,
            });
            continue;
        }
        match fs::metadata(path) {
            Err(e) => walked.fail(&display(path), reason(&e)),
            Ok(m) if m.is_dir() => walked.folder(path, most),
            Ok(m) if m.is_file() => walked.named(path),
            Ok(_) => walked.fail(&display(path), "is neither a file nor a folder, and is not opened; use - to read standard input".into()),
        }
    }
    walked.tidy(most);
    walked
}

impl Walked {
    fn fail(&mut self, path: &str, text: String) {
        self.incomplete.push(Incomplete { path: path.to_owned(), span: None, text });
    }

    /// A file that the user named. A link is followed, because it was asked for.
    fn named(&mut self, path: &Path) {
        let parent = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        match fs::canonicalize(parent) {
            Err(e) => self.fail(&display(path), reason(&e)),
            Ok(root) => self.files.push(Found {
                display: display(path),
                path: Some(path.to_path_buf()),
                folder: root.clone(),
                root,
                root_display: display(parent),
                explicit: true,
                number: 0,
                size: 0,
                within: true,
            }),
        }
    }

    fn folder(&mut self, path: &Path, most: usize) {
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(e) => return self.fail(&display(path), reason(&e)),
        };
        let before = self.files.len();
        let root_display = display(path);
        let walker = ignore::WalkBuilder::new(path)
            .standard_filters(false)
            .follow_links(false)
            .filter_entry(|e| e.file_name() != ".git")
            .sort_by_file_name(|a, b| a.cmp(b))
            .build();
        for entry in walker {
            // One more than may be read, so that `tidy` can say that there are more.
            if self.files.len() - before > most {
                break;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    let text = e.io_error().map_or_else(|| "cannot be read".to_owned(), reason);
                    let at = error_path(&e).map_or_else(|| root_display.clone(), |p| display(&p));
                    self.fail(&at, text);
                    continue;
                }
            };
            let Some(kind) = entry.file_type() else { continue };
            let shown = display(entry.path());
            if kind.is_symlink() && entry.depth() > 0 {
                self.link(entry.path(), shown, &root, &root_display);
            } else if kind.is_file() {
                let folder = folder_of(entry.path(), path, &root);
                self.files.push(Found {
                    display: shown,
                    path: Some(entry.into_path()),
                    folder,
                    root: root.clone(),
                    root_display: root_display.clone(),
                    explicit: false,
                    number: 0,
                    size: 0,
                    within: true,
                });
            } else if !kind.is_dir() && !kind.is_symlink() {
                self.fail(&shown, "is neither a file nor a folder, and is not opened".into());
            }
        }
    }

    /// A link below a given folder is read if it leads to a file inside that folder. One that leads to a folder inside, or to a file in
    /// its own folder, leads to what is read anyway.
    fn link(&mut self, path: &Path, shown: String, root: &Path, root_display: &str) {
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(e) => return self.fail(&shown, format!("is a link whose target {}", reason(&e))),
        };
        if !target.starts_with(root) {
            return self.fail(&shown, "is a link that leads out of the given folder, and is not followed".into());
        }
        if target.is_dir() {
            return;
        }
        if !target.is_file() {
            return self.fail(&shown, "is a link to what is neither a file nor a folder, and is not opened".into());
        }
        let folder = path.parent().and_then(|p| fs::canonicalize(p).ok()).unwrap_or_else(|| root.to_path_buf());
        if target.parent() == Some(folder.as_path()) {
            return;
        }
        self.files.push(Found {
            display: shown,
            path: Some(target),
            folder,
            root: root.to_path_buf(),
            root_display: root_display.to_owned(),
            explicit: false,
            number: 0,
            size: 0,
            within: true,
        });
    }

    /// Order by shown path; one of several paths to the same place; the bound on their number.
    fn tidy(&mut self, most: usize) {
        self.files.sort_by(|a, b| a.display.cmp(&b.display).then(a.root.cmp(&b.root)));
        let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut kept: Vec<Found> = Vec::with_capacity(self.files.len());
        for file in self.files.drain(..) {
            let key = match &file.path {
                Some(path) => file.folder.join(path.file_name().unwrap_or_default()),
                None => PathBuf::from("-"),
            };
            match seen.get(&key) {
                // Named twice: the wider root and the explicit naming count, whatever the order.
                Some(&i) => {
                    let old = &mut kept[i];
                    old.explicit |= file.explicit;
                    if old.root.starts_with(&file.root) {
                        (old.root, old.root_display) = (file.root, file.root_display);
                    }
                }
                None => {
                    seen.insert(key, kept.len());
                    kept.push(file);
                }
            }
        }
        if kept.len() > most {
            kept.truncate(most);
            self.fail("input", format!("there are more than {most} files: the rest is not read; give a narrower folder"));
        }
        self.files = kept;
    }
}

/// The canonical folder of a file found below `given`, whose canonical path is `root`: no link lies between.
fn folder_of(file: &Path, given: &Path, root: &Path) -> PathBuf {
    let parent = file.parent().unwrap_or(given);
    match parent.strip_prefix(given) {
        Ok(below) if below.as_os_str().is_empty() => root.to_path_buf(),
        Ok(below) => root.join(below),
        Err(_) => root.to_path_buf(),
    }
}

fn error_path(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err),
        _ => None,
    }
}

/// A path for people: `/` between its parts, without needless `./`.
pub(super) fn display(path: &Path) -> String {
    let shown = path.to_string_lossy().replace('\\', "/");
    let inner = path.components().any(|c| matches!(c, Component::Normal(_)));
    match shown.strip_prefix("./") {
        Some(rest) if inner => rest.trim_start_matches('/').to_owned(),
        _ => shown,
    }
}

/// Why a file cannot be read, as the end of a sentence that begins with its path.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is not there".into(),
        std::io::ErrorKind::PermissionDenied => "may not be read (permission denied)".into(),
        _ => format!("cannot be read: {error}"),
    }
}
