//! Opening files: within bounds, regular ones only, decoded, and recognised.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use jiff::civil::Date;

use super::detect::{self, Kind};
use super::walk::{Found, reason};
use super::{Options, collected, dates, guarded};
use crate::source::{FileId, SourceFile, Span};
use crate::vendors::{self, Format};

/// A file in hand.
pub(super) struct Loaded {
    pub found: Found,
    /// Its text; `None` if it was not opened.
    pub source: Option<SourceFile>,
    pub kind: Kind,
    /// Its includes as written.
    pub includes: Vec<(String, Span)>,
    /// The day that its header names.
    pub header: Option<Date>,
    /// The day on which it was last written.
    pub modified: Option<Date>,
    /// SHA-256 of its bytes, where a collecting script left a manifest with it.
    pub digest: Option<String>,
}

impl Loaded {
    /// The format in which it is read.
    pub fn format(&self) -> Option<&'static Format> {
        match self.kind {
            Kind::Format(format) => Some(format),
            _ => None,
        }
    }

    fn unread(found: Found, text: String) -> Loaded {
        let kind = Kind::Other { text, meant: true };
        Loaded { found, source: None, kind, includes: Vec::new(), header: None, modified: None, digest: None }
    }
}

/// Opens and recognises a file; `index` becomes its number for the time being.
pub(super) fn load(found: Found, index: usize, options: &Options) -> Loaded {
    let name = found.display.rsplit('/').next().unwrap_or("");
    let forced = options.format_of.get(&found.display).and_then(|id| vendors::format(id));
    if forced.is_none() && !found.explicit && (detect::is_foreign(name) && !detect::is_table(name) || is_beside(&found, options)) {
        return Loaded { found, source: None, kind: Kind::PassedOver, includes: Vec::new(), header: None, modified: None, digest: None };
    }
    if !found.within {
        let text = format!("is not read: all files together are larger than {} bytes", options.limits.total_bytes);
        return Loaded::unread(found, text);
    }
    let (bytes, modified) = match read(&found, options.limits.file_bytes) {
        Ok(read) => read,
        Err(text) => return Loaded::unread(found, text),
    };
    let digest = collected::has_manifest(&found).then(|| collected::digest(&bytes));
    let source = SourceFile::new(FileId(index as u32), found.display.clone(), &bytes);
    drop(bytes);
    let explicit = found.explicit;
    let Some(kind) = guarded(|| detect::recognise(&source, explicit, forced)) else {
        return Loaded::unread(found, INTERNAL.to_owned());
    };
    let mut loaded = Loaded { found, source: Some(source), kind, includes: Vec::new(), header: None, modified, digest };
    if let Some(format) = loaded.format() {
        loaded.look_inside(format);
    }
    loaded
}

/// What is said of a file whose reading failed for a reason that is our own.
pub(super) const INTERNAL: &str = "could not be analysed because of an error in fwproof itself (please report it); nothing is known of it";

impl Loaded {
    /// Takes it for a file of `format`.
    pub fn look_inside(&mut self, format: &'static Format) {
        self.kind = Kind::Format(format);
        let Some(source) = &self.source else { return };
        self.header = dates::header(&source.text);
        if let Some(list) = format.includes {
            match guarded(|| list(source)) {
                Some(includes) => self.includes = includes,
                None => self.kind = Kind::Other { text: INTERNAL.to_owned(), meant: true },
            }
        }
    }
}

fn is_beside(found: &Found, options: &Options) -> bool {
    found.path.as_ref().is_some_and(|p| options.beside.iter().any(|b| same(b, p)))
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || (a.file_name() == b.file_name() && matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b))
}

/// Bytes and last change of a file, or why not.
fn read(found: &Found, most: u64) -> Result<(Vec<u8>, Option<Date>), String> {
    let over = || format!("is larger than {most} bytes, and is not read");
    let mut bytes = Vec::new();
    let mut modified = None;
    match &found.path {
        None => {
            io::stdin().lock().take(most + 1).read_to_end(&mut bytes).map_err(|e| reason(&e))?;
        }
        Some(path) => {
            // Looked at before it is opened (opening a pipe would wait), and again when it is open (it may have been exchanged).
            let meta = fs::metadata(path).map_err(|e| reason(&e))?;
            if !meta.is_file() {
                return Err("is not a regular file, and is not opened".into());
            }
            if meta.len() > most {
                return Err(over());
            }
            let file = fs::File::open(path).map_err(|e| reason(&e))?;
            let meta = file.metadata().map_err(|e| reason(&e))?;
            if !meta.is_file() {
                return Err("is not a regular file".into());
            }
            modified = meta.modified().ok().and_then(dates::day);
            bytes.reserve_exact(meta.len().min(most) as usize);
            file.take(most + 1).read_to_end(&mut bytes).map_err(|e| reason(&e))?;
        }
    }
    if bytes.len() as u64 > most {
        return Err(over());
    }
    Ok((bytes, modified))
}
