//! Findings by check, the worst first; then those that are waived.

use super::{Page, level};
use crate::diag::{Finding, Label};
use crate::report::counted;
use crate::report::entries::{Entry, level_words};

/// Findings that are shown; the other formats have all.
const MOST: usize = 2000;
/// Findings of a check that are open; the rest unfolds.
const OPEN: usize = 6;
/// Places that are named at most.
const NAMED: usize = 20;

pub(super) fn write(page: &mut Page<'_>) {
    page.out.raw("<section id=\"findings\" aria-labelledby=\"h-findings\">\n<h2 id=\"h-findings\">Findings</h2>\n");
    let found = page.found;
    let open: Vec<&Entry<'_>> = found.iter().filter(|e| !e.finding.is_aside()).collect();
    let waived: Vec<&Entry<'_>> = found.iter().filter(|e| e.finding.waived.is_some()).collect();
    if open.is_empty() {
        page.out.raw("<p>There is none.</p>\n");
    }
    let shown = &open[..open.len().min(MOST)];
    let mut done: Vec<&str> = Vec::new();
    for (i, entry) in shown.iter().enumerate() {
        let id = entry.check.id.as_str();
        // Findings of a check stand together, where the worst of them is.
        if !done.contains(&id) {
            done.push(id);
            let of_check: Vec<&Entry<'_>> = shown[i..].iter().copied().filter(|e| e.check.id == id).collect();
            check(page, &of_check);
        }
    }
    if open.len() > MOST {
        let more = counted(open.len() - MOST, "more finding is", "more findings are");
        page.out.raw("<p>").text(&more).raw(" not shown on this page, none of them worse; the format json has them all.</p>\n");
    }
    let known: Vec<&Entry<'_>> = found.iter().filter(|e| e.finding.waived.is_none() && e.finding.is_known()).collect();
    if !known.is_empty() {
        page.out.raw("<h3 id=\"known\">Known</h3>\n<p>These do not hold either, and were there before.</p>\n");
        for entry in known.iter().take(MOST) {
            finding(page, entry);
        }
    }
    let gone = crate::report::entries::gone(page.view, page.lines);
    if !gone.is_empty() {
        page.out.raw("<h3 id=\"gone\">Gone</h3>\n<p>These were there before and are not there now.</p>\n<ul>\n");
        for text in gone.iter().take(MOST) {
            page.out.raw("<li>").text(text).raw("</li>\n");
        }
        page.out.raw("</ul>\n");
    }
    if !waived.is_empty() {
        page.out.raw("<h3 id=\"waived\">Waived</h3>\n<p>These do not hold either, and were accepted.</p>\n");
        for entry in waived.iter().take(MOST) {
            finding(page, entry);
        }
    }
    page.out.raw("</section>\n");
}

fn check(page: &mut Page<'_>, entries: &[&Entry<'_>]) {
    let Some(first) = entries.first() else { return };
    let check = first.check;
    page.out.raw("<article>\n<h3>");
    level(&mut page.out, &level_words(first.finding.verdict, check.severity), first.finding.verdict, check.severity);
    page.out.raw(" ").prose(&check.title).raw("</h3>\n<dl>\n<dt>check</dt><dd><code>").text(&check.id).raw("</code>");
    if let Some(ruleset) = &check.ruleset {
        page.out.raw(" of ").text(ruleset);
    }
    page.out.raw("</dd>\n");
    for (name, text) in [("why", &check.why), ("fix", &check.fix), ("references", &check.refs.join(", "))] {
        if !text.trim().is_empty() {
            page.out.raw("<dt>").text(name).raw("</dt><dd>").prose(text).raw("</dd>\n");
        }
    }
    page.out.raw("</dl>\n");
    for entry in entries.iter().take(OPEN) {
        finding(page, entry);
    }
    if entries.len() > OPEN {
        let more = counted(entries.len() - OPEN, "more finding", "more findings");
        page.out.raw("<details><summary>").text(&format!("{more} of this check")).raw("</summary>\n");
        for entry in &entries[OPEN..] {
            finding(page, entry);
        }
        page.out.raw("</details>\n");
    }
    page.out.raw("</article>\n");
}

fn finding(page: &mut Page<'_>, entry: &Entry<'_>) {
    let finding = entry.finding;
    page.out.raw("<div class=\"finding\"><p>");
    // The heading says how bad the check is; what is not certain says so itself.
    if finding.verdict != crate::diag::Verdict::Violated || finding.waived.is_some() {
        level(&mut page.out, &entry.level_words(), finding.verdict, finding.severity);
        page.out.raw(" ");
    }
    let sentence = page.lines.sentence(finding);
    page.out.shown(&sentence).raw("</p>\n<p>");
    page.place(finding.primary.span);
    if !finding.primary.text.is_empty() {
        page.out.raw(" ").text(&finding.primary.text);
    }
    page.out.raw("</p>\n");
    source(page, &finding.primary);
    details(page, finding);
    page.out.raw("</div>\n");
}

/// The line with its part marked.
fn source(page: &mut Page<'_>, label: &Label) {
    let (line, range) = page.lines.line(label.span);
    if line.trim().is_empty() {
        return;
    }
    let part = |r: std::ops::Range<usize>| line.get(r).unwrap_or("");
    page.out.raw("<pre><code>").shown(part(0..range.start).trim_start()).raw("<mark>").shown(part(range.clone())).raw("</mark>");
    page.out.shown(part(range.end..line.len())).raw("</code></pre>\n");
}

fn details(page: &mut Page<'_>, finding: &Finding) {
    let mut open = false;
    let mut row = |page: &mut Page<'_>, name: &'static str| {
        page.out.raw(if open { "" } else { "<dl>\n" }).raw("<dt>").raw(name).raw("</dt><dd>");
        open = true;
    };
    if finding.count > 1 {
        row(page, "stands for");
        page.out.number(finding.count).raw(" places of the same kind</dd>\n");
    }
    if let Some(witness) = &finding.witness {
        row(page, "packet");
        page.out.text(&witness.words).raw("</dd>\n");
        if !witness.conditions.is_empty() {
            row(page, "if");
            page.out.text(&witness.conditions.join(" and ")).raw("</dd>\n");
        }
        if !witness.path.is_empty() {
            row(page, "passed");
            labels(page, &witness.path);
        }
    }
    for (name, list) in [("see also", &finding.related), ("unknown because", &finding.causes)] {
        if !list.is_empty() {
            row(page, name);
            labels(page, list);
        }
    }
    for (name, text) in [("fix here", &finding.fix), ("waived", &finding.waived)] {
        if let Some(text) = text {
            row(page, name);
            page.out.prose(text).raw("</dd>\n");
        }
    }
    if let (Some((word @ "known", why)), _) | (None, Some((word, why))) =
        (finding.aside(), finding.standing.map(|s| ("compared", s.name())))
    {
        row(page, word);
        page.out.text(why).raw("</dd>\n");
    }
    row(page, "fingerprint");
    page.out.raw("<code>").text(&finding.fingerprint()).raw("</code></dd>\n</dl>\n");
}

fn labels(page: &mut Page<'_>, list: &[Label]) {
    for (i, label) in list.iter().take(NAMED).enumerate() {
        if i > 0 {
            page.out.raw("; ");
        }
        page.out.text(&label.text).raw(" ");
        page.place(label.span);
    }
    if list.len() > NAMED {
        page.out.text(&format!(" and {} more", list.len() - NAMED));
    }
    page.out.raw("</dd>\n");
}
