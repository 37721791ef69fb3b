//! What tells a rule from others, whatever moves around it: its whole text without places, numbers and counters.

use super::World;
use super::place::line_subject;
use crate::eval::{Analysis, Line};

/// Bytes of a rule's text; of longer ones only the line that is shown is taken.
const MOST: usize = 4000;

/// What a finding about a line is told from others by ([`crate::diag::Finding::identity`]). A rule keeps it when other rules come, go or are
/// renumbered, and when its own number, handle, counters or dates of editing change; not when what it says does.
pub fn line_identity(world: &World<'_>, analysis: &Analysis<'_>, line: Line) -> String {
    let chain = analysis.device.chains.get(line.chain.0 as usize);
    let rule = line.rule.and_then(|r| chain?.rules.get(r as usize));
    let Some(rule) = rule else { return line_subject(world, analysis, line) };
    let long = (rule.whole.end - rule.whole.start) as usize > MOST;
    let span = if long || rule.implied.is_some() { rule.span } else { rule.whole };
    let text = world.redactor.show(world.sources.get(span.file), span);
    let mut out = without_what_moves(&text);
    if let Some(what) = rule.implied {
        out.push(' ');
        out.push_str(what);
    }
    // Where several rules were made of one written one, each is what it is in its chain.
    format!("{} {out}", chain.map_or("", |c| c.name.as_str()))
}

/// Words after which a number is one that moves: of a rule (FortiOS, VyOS), a handle or counters (nftables, as text and as JSON).
const BEFORE_NUMBERS: [&str; 10] =
    ["edit", "rule", "handle", "packets", "bytes", "\"handle\":", "\"packets\":", "\"bytes\":", "\"index\":", "\"position\":"];

/// Elements of OPNsense and pfSense that say when a rule was edited, or number it.
const MOVING_ELEMENTS: [&str; 4] = ["created", "updated", "tracker", "sequence"];

fn without_what_moves(text: &str) -> String {
    let text = if text.trim_start().starts_with('<') { without_elements(text) } else { text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    for (i, word) in text.split_ascii_whitespace().enumerate() {
        let moves = match i {
            // `[12:345] -A …` of iptables-save, `@3 pass …` of pfctl, `[ 7]` of ufw, `3  ACCEPT …` of iptables -L.
            0 => is_counter(word) || word == "[" || is_number(word.trim_start_matches('@')),
            1 if before == "[" => word.strip_suffix(']').is_some_and(is_number),
            _ => BEFORE_NUMBERS.contains(&before.trim_start_matches(['{', '['])) && is_number(word.trim_end_matches([',', '}', '"'])),
        };
        before = word;
        // Attributes of XML that number a rule.
        if moves || (text.starts_with('<') && word.starts_with("uuid=\"")) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// `[12:345]`, or `[7]`.
fn is_counter(word: &str) -> bool {
    word.strip_prefix('[')
        .and_then(|w| w.strip_suffix(']'))
        .is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit() || b == b':'))
}

fn without_elements(text: &str) -> String {
    let mut out = text.to_owned();
    for name in MOVING_ELEMENTS {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let mut kept = String::with_capacity(out.len());
        let mut rest = out.as_str();
        while let Some((before, after)) = rest.split_once(&open) {
            kept.push_str(before);
            match after.split_once(&close) {
                Some((_, after)) => rest = after,
                None => {
                    rest = after;
                    break;
                }
            }
        }
        kept.push_str(rest);
        out = kept;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_move_are_left_out_and_others_are_not() {
        for (a, b) in [
            ("[1:60] -A INPUT -j ACCEPT", "-A INPUT  -j ACCEPT"),
            ("@3 pass in from any", "@17 pass in from any"),
            ("[ 7] OpenSSH  ALLOW IN", "[12] OpenSSH ALLOW IN"),
            ("edit 4\n set action accept", "edit 5\n  set action accept"),
            ("set firewall name X rule 10 action accept", "set firewall name X rule 20 action accept"),
            ("tcp dport 22 counter packets 1 bytes 2 accept", "tcp dport 22 counter packets 9 bytes 8 accept"),
            ("{\"handle\": 3, \"expr\": 1}", "{\"handle\": 4, \"expr\": 1}"),
            ("<rule uuid=\"a\">\n<created><time>1</time></created><type>pass</type></rule>", "<rule uuid=\"b\">\n<type>pass</type></rule>"),
        ] {
            assert_eq!(without_what_moves(a), without_what_moves(b));
        }
        for (a, b) in [
            ("tcp dport 22 accept", "tcp dport 23 accept"),
            ("-A INPUT -p tcp --dport 22", "-A INPUT -p tcp --dport 2"),
            ("edit \"a\"\nset port 1", "edit \"a\"\nset port 2"),
            ("<rule><port>1</port></rule>", "<rule><port>2</port></rule>"),
        ] {
            assert_ne!(without_what_moves(a), without_what_moves(b));
        }
    }
}
