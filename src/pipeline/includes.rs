//! Files that files include: looked for inside the given folder only.
//!
//! A relative path is meant from the folder of the including file. An absolute one is meant as on the machine from which the files come:
//! it is looked for below the including file's folder and each one above it up to the given folder, as if that were `/`; and, if it
//! begins with `/etc/`, also beside the including file, as if that lay in `/etc`.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Options;
use super::detect::Kind;
use super::load::{Loaded, load};
use super::walk::Found;
use crate::diag::Incomplete;

/// What includes lead to, by indices into the loaded files.
#[derive(Default)]
pub(super) struct Includes {
    /// The files that a pattern in a file names.
    pub found: BTreeMap<(usize, String), Vec<usize>>,
    /// Includes that could not be followed, with the index of the including file.
    pub incomplete: Vec<(usize, Incomplete)>,
}

/// Follows every include, loading what the walk did not find.
pub(super) fn follow(files: &mut Vec<Loaded>, options: &Options) -> Includes {
    let mut result = Includes::default();
    let mut by_real: BTreeMap<PathBuf, usize> = BTreeMap::new();
    if files.iter().all(|f| f.includes.is_empty()) {
        return result;
    }
    for (i, file) in files.iter().enumerate() {
        if let Some(real) = file.found.path.as_ref().and_then(|p| fs::canonicalize(p).ok()) {
            by_real.entry(real).or_insert(i);
        }
    }
    let mut queue: VecDeque<(usize, usize)> =
        files.iter().enumerate().filter(|(_, f)| !f.includes.is_empty()).map(|(i, _)| (i, 0)).collect();
    let mut done = vec![false; files.len()];
    while let Some((from, depth)) = queue.pop_front() {
        if done.get(from).copied().unwrap_or(true) {
            continue;
        }
        done[from] = true;
        let (Some(format), found) = (files[from].format(), files[from].found.clone()) else { continue };
        for (pattern, span) in files[from].includes.clone() {
            let mut fail = |text: String| {
                let incomplete = Incomplete { path: found.display.clone(), span: Some(span), text };
                result.incomplete.push((from, incomplete));
            };
            if depth >= options.limits.include_depth {
                fail(format!("includes are nested more than {} deep: this one is not read", options.limits.include_depth));
                continue;
            }
            if found.path.is_none() && span.start == span.end {
                continue;
            }
            if found.path.is_none() {
                fail("standard input has no folder: what it includes is not read; give the file by its path".into());
                continue;
            }
            let paths = match resolve(&found, &pattern, options.limits.files) {
                Ok(paths) => paths,
                // The format implies it: see `IncludesFn`.
                Err(_) if span.start == span.end => Vec::new(),
                Err(text) => {
                    fail(text);
                    continue;
                }
            };
            let mut targets = Vec::with_capacity(paths.len());
            for (real, display) in paths {
                let index = match by_real.get(&real) {
                    Some(&index) => index,
                    None if files.len() >= options.limits.files => {
                        fail(format!("there are more than {} files: the rest is not read", options.limits.files));
                        break;
                    }
                    None => {
                        let index = files.len();
                        let folder = real.parent().map(Path::to_path_buf).unwrap_or_default();
                        let (root, root_display) = (found.root.clone(), found.root_display.clone());
                        let new = Found {
                            display,
                            path: Some(real.clone()),
                            folder,
                            root,
                            root_display,
                            explicit: true,
                            number: u32::MAX,
                            size: 0,
                            within: true,
                        };
                        files.push(load(new, index, options));
                        done.push(false);
                        by_real.insert(real, index);
                        index
                    }
                };
                // What an include names is not passed over for its name.
                if files[index].source.is_none() && matches!(files[index].kind, Kind::PassedOver) {
                    let found = Found { explicit: true, ..files[index].found.clone() };
                    files[index] = load(found, index, options);
                }
                if let (None, Kind::Other { text, .. }) = (&files[index].source, &files[index].kind) {
                    fail(format!("the included file {} {text}", files[index].found.display));
                }
                // A fragment need not be recognisable on its own: it is what includes it.
                if files[index].format().is_none() && files[index].source.is_some() {
                    files[index].look_inside(format);
                }
                if !files[index].includes.is_empty() {
                    queue.push_back((index, depth + 1));
                }
                targets.push(index);
            }
            result.found.insert((from, pattern), targets);
        }
    }
    result
}

/// Canonical and shown paths of the regular files that `pattern` names, in order; or why none can be read.
fn resolve(from: &Found, pattern: &str, most: usize) -> Result<Vec<(PathBuf, String)>, String> {
    let glob = pattern.contains(['*', '?', '[']);
    let shown = quoted(pattern);
    if pattern.is_empty() || pattern.contains('\0') || pattern.starts_with('~') {
        return Err(format!("the include {shown} names no file that can be looked for"));
    }
    let (mut outside, mut looked) = (false, false);
    for base in bases(from, pattern) {
        let found = match base {
            Some((folder, parts)) => {
                let certain: Vec<String> = parts.iter().take_while(|p| !p.contains(['*', '?', '['])).cloned().collect();
                looked |= glob && !expand(&folder, &certain, most).is_empty();
                expand(&folder, &parts, most)
            }
            None => {
                outside = true;
                continue;
            }
        };
        let mut files = Vec::new();
        for path in found {
            let Ok(real) = fs::canonicalize(&path) else { continue };
            if !real.starts_with(&from.root) {
                outside = true;
            } else if real.is_file() {
                files.push((real.clone(), shown_path(from, &real)));
            } else if !real.is_dir() {
                return Err(format!("the include {shown} names what is neither a file nor a folder: it is not opened"));
            }
        }
        if !files.is_empty() {
            files.dedup();
            return Ok(files);
        }
    }
    match (outside, glob) {
        (true, _) => Err(format!("the include {shown} leads out of the given folder, and is not read")),
        // A pattern may match nothing, but only in a folder that is there: else that was not exported.
        (false, true) if looked => Ok(Vec::new()),
        (false, true) => {
            Err(format!("the folder of the include {shown} was not found inside the given folder: what is in it is not known"))
        }
        (false, false) => Err(format!("the included file {shown} was not found inside the given folder: what it holds is not known")),
    }
}

/// Where to look: a folder and the parts of the path below it; `None` for what leads out.
fn bases(from: &Found, pattern: &str) -> Vec<Option<(PathBuf, Vec<String>)>> {
    let path = Path::new(pattern);
    if !path.is_absolute() {
        return vec![inside(&from.folder, path, &from.root)];
    }
    let below: PathBuf = path.components().filter(|c| !matches!(c, Component::RootDir | Component::Prefix(_))).collect();
    let mut bases = Vec::new();
    let mut folder = Some(from.folder.as_path());
    while let Some(at) = folder.filter(|f| f.starts_with(&from.root)) {
        bases.push(inside(at, &below, &from.root));
        folder = at.parent();
    }
    if let Ok(rest) = below.strip_prefix("etc") {
        bases.push(inside(&from.folder, rest, &from.root));
    }
    bases
}

/// Resolves `.` and `..` by name, so that nothing outside of `root` is even looked at.
fn inside(folder: &Path, path: &Path, root: &Path) -> Option<(PathBuf, Vec<String>)> {
    let mut base = folder.to_path_buf();
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if parts.pop().is_none() && !(base.pop() && base.starts_with(root)) {
                    return None;
                }
            }
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some((base, parts))
}

/// The paths that match, in the order of their names. Wildcards do not match a leading dot, as in glob(7).
fn expand(folder: &Path, parts: &[String], most: usize) -> Vec<PathBuf> {
    let mut paths = vec![folder.to_path_buf()];
    for part in parts {
        let mut next = Vec::new();
        for path in paths {
            if !part.contains(['*', '?', '[']) {
                let path = path.join(part);
                if path.symlink_metadata().is_ok() {
                    next.push(path);
                }
                continue;
            }
            let pattern: Vec<char> = part.chars().collect();
            let Ok(entries) = fs::read_dir(&path) else { continue };
            let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            let mut names: Vec<String> = names.filter(|n| (part.starts_with('.') || !n.starts_with('.')) && matches(&pattern, n)).collect();
            names.sort();
            next.extend(names.into_iter().take(most).map(|n| path.join(n)));
        }
        next.truncate(most);
        paths = next;
    }
    paths
}

/// Whether a name matches a pattern of `*`, `?` and `[…]`. Takes time of the product of both lengths at most.
fn matches(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('[') => {
                if let Some((len, hit)) = class(&pattern[p..], name[n]) {
                    if hit {
                        (p, n) = (p + len, n + 1);
                        continue;
                    }
                } else if name[n] == '[' {
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
            }
            Some('?') => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            Some(c) if *c == name[n] => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            _ => {}
        }
        let Some((at, from)) = star else { return false };
        star = Some((at, from + 1));
        (p, n) = (at + 1, from + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// A bracket expression at the beginning of `pattern`: its length, and whether `c` is in it.
fn class(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let end = pattern.iter().enumerate().skip(first + 1).find(|(_, c)| **c == ']').map(|(i, _)| i)?;
    let inner = &pattern[first..end];
    let mut hit = false;
    let mut i = 0;
    while i < inner.len() {
        match inner.get(i..i + 3) {
            Some([from, '-', to]) => {
                hit |= (*from..=*to).contains(&c);
                i += 3;
            }
            _ => {
                hit |= inner[i] == c;
                i += 1;
            }
        }
    }
    Some((end + 1, hit != negated))
}

/// A pattern as written, for messages.
fn quoted(pattern: &str) -> String {
    format!("\"{}\"", pattern.chars().take(200).collect::<String>())
}

/// The path for people of a file inside the root.
fn shown_path(from: &Found, real: &Path) -> String {
    let below = real.strip_prefix(&from.root).unwrap_or(real);
    match from.root_display.as_str() {
        "." | "" => super::walk::display(below),
        root => format!("{}/{}", root.trim_end_matches('/'), super::walk::display(below)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, name: &str) -> bool {
        matches(&pattern.chars().collect::<Vec<_>>(), name)
    }

    #[test]
    fn wildcards_match_as_in_a_shell() {
        assert!(matched("*.nft", "a.nft") && matched("a?.nft", "ab.nft") && matched("[0-9]*-x", "10-x") && matched("*", ""));
        assert!(!matched("*.nft", "a.nftx") && !matched("[!0-9]*", "1a") && !matched("a?", "a"));
        assert!(matched("a*b*c*d", &format!("a{}d", "bc".repeat(20))));
        assert!(matched("[", "["));
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        assert!(!matched(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn dots_never_lead_out_of_the_root() {
        let root = Path::new("/r");
        assert_eq!(inside(Path::new("/r/a"), Path::new("../b"), root), Some((PathBuf::from("/r"), vec!["b".to_owned()])));
        assert_eq!(inside(Path::new("/r"), Path::new("../b"), root), None);
        assert_eq!(inside(Path::new("/r"), Path::new("x/../../b"), root), None);
    }
}
