//! Standard output, standard error, colours.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;

use crate::report::{Untrusted, Workspace};

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Standard output. When nobody reads it any more, writing stops without ado, and the exit code stays what it would have been.
pub(crate) struct Output {
    /// Whether to use colours.
    pub color: bool,
    closed: bool,
}

impl Output {
    /// Standard output with or without colours.
    pub fn new(when: When) -> Output {
        let color = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => auto(|name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()), io::stdout().is_terminal()),
        };
        colored::control::set_override(color);
        Output { color, closed: false }
    }

    /// With or without colours from now on: what goes to a file or to a program has none.
    pub fn colored(&mut self, color: bool) {
        self.color = color;
        colored::control::set_override(color);
    }

    /// Writes finished text.
    pub fn write(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let mut out = io::stdout().lock();
        self.closed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
    }
}

/// Colours without being asked: forced by the environment, forbidden by it, else on a terminal. An empty variable says nothing.
fn auto(var: impl Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let set = |name: &str| var(name).filter(|v| !v.is_empty());
    let on = |name: &str| set(name).is_some_and(|v| v != "0");
    if on("FORCE_COLOR") || on("CLICOLOR_FORCE") {
        return true;
    }
    set("NO_COLOR").is_none() && terminal && var("TERM").is_none_or(|t| t != "dumb")
}

/// Where the run takes place. Build servers say where the repository is (GITHUB_WORKSPACE, CI_PROJECT_DIR); else it is the current folder.
pub(crate) fn workspace() -> Workspace {
    let folder = std::env::current_dir().map(|p| slashes(&p.to_string_lossy())).unwrap_or_default();
    let named = ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"].into_iter().find_map(|v| std::env::var(v).ok().filter(|v| !v.is_empty()));
    let root = named.map_or_else(|| folder.clone(), |n| std::fs::canonicalize(&n).map_or(n, |p| p.to_string_lossy().into_owned()));
    Workspace { root: slashes(&root), folder }
}

/// With `/`, and without the `\\?\` of whole paths, where the system writes `\`.
fn slashes(path: &str) -> String {
    if cfg!(windows) { path.trim_start_matches(r"\\?\").replace('\\', "/") } else { path.to_owned() }
}

/// A line on standard error.
pub(crate) fn say(line: &str) {
    // Nobody may be there to read it; that is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// `error: …` on standard error; line by line safe to print.
pub(crate) fn error(message: &str) {
    said("error", message);
}

/// `warning: …` on standard error.
pub(crate) fn warning(message: &str) {
    said("warning", message);
}

fn said(what: &str, message: &str) {
    let lines: Vec<String> = message.lines().map(|l| Untrusted(l).to_string()).collect();
    say(&format!("{what}: {}", lines.join("\n")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(vars: &[(&str, &str)], terminal: bool) -> bool {
        auto(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()), terminal)
    }

    #[test]
    fn the_environment_decides_about_colours() {
        assert!(colours(&[], true));
        assert!(!colours(&[], false));
        assert!(!colours(&[("NO_COLOR", "1")], true));
        assert!(colours(&[("NO_COLOR", "")], true));
        assert!(colours(&[("FORCE_COLOR", "1")], false));
        assert!(colours(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!colours(&[("FORCE_COLOR", "0")], false));
        assert!(!colours(&[("TERM", "dumb")], true));
    }
}
