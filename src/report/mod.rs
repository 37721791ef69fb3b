//! Reports: one file per format. They render a finished [`crate::diag::Report`] and decide nothing.

pub mod annotate;
pub mod concise;
pub mod csv;
mod entries;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod markup;
mod notes;
mod paths;
pub mod sarif;
pub mod scorecard;
pub mod show;
mod snippet;
mod summary;
pub mod text;
mod untrusted;

pub use paths::Workspace;
pub use snippet::Lines;
pub use summary::last_line;
pub use untrusted::Untrusted;

use crate::diag::{Report, Severity};
use crate::source::{Redactor, Sources};

/// What a report is made of.
pub struct View<'a> {
    /// What was found out.
    pub report: &'a Report,
    /// The texts, for quoting.
    pub sources: &'a Sources,
    /// Hides secrets.
    pub redactor: &'a Redactor,
    /// From which severity upwards findings fail the run.
    pub fail_on: Severity,
    /// What could not be read does not fail the run.
    pub allow_incomplete: bool,
    /// Show every finding, waived ones too.
    pub all: bool,
    /// Say in the report itself what could not be read (it is said on standard error anyway).
    pub list_incomplete: bool,
    /// Use colours.
    pub color: bool,
    /// Where the run takes place: formats for build servers name files as the repository does.
    pub workspace: Workspace,
}

/// The names of files, and what is in them.
pub type NamedTexts = Vec<(String, String)>;

/// A format of reports.
pub struct ReportFormat {
    /// The word after `--format`.
    pub id: &'static str,
    /// Renders, with a line end at the end.
    pub render: fn(&View<'_>) -> String,
    /// Shows [`Report::exposure`], which takes time.
    pub exposure: bool,
    /// Renders as several files of a folder: their names, and what is in them.
    pub files: Option<fn(&View<'_>) -> NamedTexts>,
}

/// Every format that this version writes.
pub static FORMATS: &[ReportFormat] = &[
    ReportFormat { id: "concise", render: concise::render, exposure: false, files: None },
    ReportFormat { id: "csv", render: csv::render, exposure: false, files: None },
    ReportFormat { id: "github", render: github::render, exposure: false, files: None },
    ReportFormat { id: "gitlab", render: gitlab::render, exposure: false, files: None },
    ReportFormat { id: "html", render: html::render, exposure: true, files: None },
    ReportFormat { id: "json", render: json::render, exposure: false, files: None },
    ReportFormat { id: "junit", render: junit::render, exposure: false, files: None },
    ReportFormat { id: "markdown", render: markdown::render, exposure: false, files: None },
    ReportFormat { id: "sarif", render: sarif::render, exposure: false, files: None },
    ReportFormat { id: "scorecard", render: scorecard::render, exposure: false, files: Some(scorecard::files) },
    ReportFormat { id: "text", render: text::render, exposure: false, files: None },
];

/// `1 file`, `2 files`.
pub(crate) fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
