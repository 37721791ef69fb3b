//! The only place that sees readers and checks together: paths are read into an [`Inventory`] of devices, which is judged
//! against a baseline into a [`crate::diag::Report`].

mod collected;
mod dates;
mod detect;
pub mod fleet;
mod group;
mod includes;
mod judge;
mod load;
mod read;
mod resemble;
mod secrets;
pub mod shard;
mod walk;

pub use judge::{check, exposure, report};
pub use read::{read, read_with_estate};

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use jiff::civil::Date;

use crate::diag::{FileReport, Incomplete};
use crate::model::Device;
use crate::source::{Limits, Redactor, Sources, Span};

/// What to read and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Formats that the user named, by path as shown: they are not detected.
    pub format_of: BTreeMap<String, String>,
    /// Files that belong to the baseline (the baseline itself, its roster): known not to be configurations.
    pub beside: Vec<PathBuf>,
    /// Number of threads; 0 for one per processor.
    pub threads: usize,
    /// Judge only this share of the workers.
    pub shard: Option<shard::Shard>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The texts, in the order of their paths.
    pub sources: Sources,
    /// Devices in the order of their names.
    pub devices: Vec<Device>,
    /// Files in the order of their paths: recognised ones with the state of each line, and others with format `None`.
    pub files: Vec<FileReport>,
    /// On which day the export of a device was made, by its name.
    pub exported: BTreeMap<String, Date>,
    /// What keeps the analysis from being complete.
    pub incomplete: Vec<Incomplete>,
    /// What the user should know without it being an error: text about a path.
    pub remarks: Vec<(String, String)>,
    /// Number of files that are known not to be configurations (documents, tables, pictures).
    pub passed_over: usize,
    /// Where secrets stand.
    pub secrets: Vec<Span>,
    /// Where secrets seem to stand, whether or not a reader knows of them.
    pub probable: Vec<Span>,
}

impl Inventory {
    /// Hides every secret that was read, and what seems to be one though no reader took it for one.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(&self.sources, self.hidden())
    }

    /// Where secrets stand, and where they seem to.
    fn hidden(&self) -> impl Iterator<Item = Span> + '_ {
        let known: BTreeSet<Span> = self.secrets.iter().copied().collect();
        let is_known = move |s: &Span| {
            let before = Span { start: s.start + 1, end: 0, ..*s };
            known.range(..before).next_back().is_some_and(|k| k.file == s.file && k.end > s.start)
        };
        let probable = self.probable.iter().copied().filter(move |s| !is_known(s));
        self.secrets.iter().copied().chain(probable)
    }
}

/// Runs `f` on a pool of `threads` threads whose stacks bear deep (bounded) recursion; on the calling thread if there can be no pool.
pub(crate) fn in_pool<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(8 << 20).build() {
        Ok(pool) => pool.install(f),
        Err(_) => f(),
    }
}

/// Runs `f`; a panic in it becomes `None`. Whoever prints panics must not print their message, which may quote a configuration.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}
