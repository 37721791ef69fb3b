//! Names of peers in comments. WireGuard has no names, so people and tools write them beside the section:
//! `# alice` above `[Peer]`, `# Name = alice` in it, `### Client alice`, `# BEGIN_PEER alice`, `[Peer] # alice`.

use super::keys;

/// Comments seen so far, sorted by where they stand around a section.
#[derive(Default)]
pub(super) struct Comments<'a> {
    /// Comment lines directly above the line to come.
    pending: Vec<&'a str>,
    /// Comment lines directly above the open section's header.
    above: Vec<&'a str>,
    /// Comments of the open section before its first entry, its header line included.
    top: Vec<&'a str>,
    /// The other comment lines of the open section.
    below: Vec<&'a str>,
    /// Comments behind its entries.
    behind: Vec<&'a str>,
    entries: bool,
}

impl<'a> Comments<'a> {
    /// A line without entry or header: a comment, or (`None`) a blank one.
    pub fn line(&mut self, comment: Option<&'a str>) {
        match comment {
            Some(text) => self.pending.push(text),
            None => self.settle(),
        }
    }

    /// A header, with the comment behind it.
    pub fn open(&mut self, comment: Option<&'a str>) {
        *self = Comments { above: std::mem::take(&mut self.pending), top: comment.into_iter().collect(), ..Comments::default() };
    }

    /// An entry, with the comment behind it.
    pub fn entry(&mut self, comment: Option<&'a str>) {
        self.settle();
        self.entries = true;
        self.behind.extend(comment);
    }

    /// The name of the open section: one that says that it is a name, else the nearest that can be one. What stands directly above the
    /// next header is left for the next section.
    pub fn close(&mut self) -> Option<String> {
        let near = || self.above.iter().rev().chain(&self.top);
        let named = near().chain(&self.below).chain(&self.behind).find_map(|c| said(c));
        named.or_else(|| near().chain(&self.behind).find_map(|c| plain(c)))
    }

    fn settle(&mut self) {
        let to = if self.entries { &mut self.below } else { &mut self.top };
        to.append(&mut self.pending);
    }
}

/// Longest name in bytes, most words: a longer comment is prose.
const LONGEST: usize = 64;
const MOST_WORDS: usize = 4;

/// Words before a name, in lower case; a `=`, `:` or blank follows.
const WORDS: &[&str] = &["name", "friendly_name", "client", "begin_peer", "user", "username", "peer", "owner", "device"];

fn bare(comment: &str) -> &str {
    comment.trim_matches(|c: char| c.is_whitespace() || matches!(c, '#' | '!' | '-' | '=' | '*'))
}

/// The name of a comment that says that it is one.
fn said(comment: &str) -> Option<String> {
    let comment = bare(comment);
    let end = comment.find(|c: char| c.is_whitespace() || matches!(c, '=' | ':'))?;
    let (word, rest) = comment.split_at(end);
    if !WORDS.iter().any(|w| w.eq_ignore_ascii_case(word)) {
        return None;
    }
    fit(rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, '=' | ':' | '"')))
}

/// The name of a comment that can be nothing else.
fn plain(comment: &str) -> Option<String> {
    let name = bare(comment);
    let ends = name.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("end_"));
    let header = name.starts_with('[');
    let pair = name.contains(['=', ':']);
    if ends || header || pair { None } else { fit(name) }
}

fn fit(name: &str) -> Option<String> {
    let good = !name.is_empty()
        && name.len() <= LONGEST
        && name.split_whitespace().count() <= MOST_WORDS
        && !name.chars().any(char::is_control)
        && !name.split_whitespace().any(keys::looks_like_key);
    good.then(|| name.to_owned())
}
