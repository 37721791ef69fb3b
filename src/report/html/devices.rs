//! A part for each device with its configuration, line by line, and the summary of what was not understood.

use std::collections::{BTreeMap, BTreeSet};

use super::{Page, open_table};
use crate::diag::{FileReport, LineState};
use crate::report::annotate::States;
use crate::report::{View, counted};
use crate::source::FileId;

/// Lines of a file that are shown whole; of a longer one those with something to say and their neighbours.
const WHOLE: usize = 3000;
/// Lines that are shown of all files at most.
const LINES: usize = 60_000;
/// Neighbours of a line that has something to say.
const AROUND: usize = 3;

/// Whether a line is part of the page.
pub(super) fn is_shown(view: &View<'_>, file: FileId, line: u32) -> bool {
    // Longer files are shown in pieces around what is said of them, and every place that is linked to is said something of.
    let report = view.report.files.binary_search_by_key(&file, |f| f.file).ok().and_then(|i| view.report.files.get(i));
    report.is_some_and(|f| f.format.is_some() && (line as usize) <= f.lines.len().min(WHOLE))
}

pub(super) fn write(page: &mut Page<'_>) {
    let report = page.view.report;
    page.out.raw("<section id=\"devices\" aria-labelledby=\"h-devices\">\n<h2 id=\"h-devices\">Devices</h2>\n");
    if report.devices.is_empty() {
        page.out.raw("<p>No device was read.</p>\n");
    }
    let mut remarks: BTreeMap<(FileId, u32), Vec<(&'static str, String)>> = BTreeMap::new();
    for entry in page.found {
        let key = (entry.finding.primary.span.file, entry.at.line);
        let waived = entry.finding.aside().map_or_else(String::new, |(word, _)| format!("{word}, "));
        let text = format!("{waived}{}: {}", entry.level_words(), page.lines.sentence(entry.finding));
        remarks.entry(key).or_default().push(("finding: ", text));
    }
    for file in &report.files {
        let source = page.lines.file(file.file);
        for note in &file.notes {
            let line = source.place(source.text.floor_char_boundary(note.span.start as usize) as u32).line;
            let text = format!("{}: {}", note.state.name().replace('_', " "), note.text);
            remarks.entry((file.file, line)).or_default().push(("", text));
        }
    }
    let mut left = LINES;
    for (i, device) in report.devices.iter().enumerate() {
        let found = page.found.iter().filter(|e| e.finding.device.as_deref() == Some(device)).count();
        page.out.raw("<article class=\"device\"><h3").attr("id", &format!("d{i}")).raw(">").text(device).raw("</h3>\n<p>");
        page.out.text(&counted(found, "finding", "findings")).raw(".</p>\n");
        for file in report.files.iter().filter(|f| f.device.as_deref() == Some(device)) {
            one(page, file, &remarks, &mut left);
        }
        page.out.raw("</article>\n");
    }
    // Files that belong to no device, or to all.
    let alone: Vec<&FileReport> = report.files.iter().filter(|f| f.format.is_some() && f.device.is_none()).collect();
    if !alone.is_empty() {
        page.out.raw("<article class=\"device\"><h3>Files of no single device</h3>\n");
        for file in alone {
            one(page, file, &remarks, &mut left);
        }
        page.out.raw("</article>\n");
    }
    page.out.raw("</section>\n");
    not_understood(page);
}

type Remarks = BTreeMap<(FileId, u32), Vec<(&'static str, String)>>;

fn one(page: &mut Page<'_>, file: &FileReport, remarks: &Remarks, left: &mut usize) {
    let source = page.lines.file(file.file);
    let total = file.lines.len();
    let said: BTreeSet<usize> = remarks
        .range((file.file, 0)..=(file.file, u32::MAX))
        .map(|((_, line), _)| (*line as usize).saturating_sub(1))
        .filter(|line| *line < total)
        .collect();
    let shown: Vec<usize> = if total <= WHOLE {
        (0..total).collect()
    } else {
        let near = said.iter().flat_map(|l| l.saturating_sub(AROUND)..(l + AROUND + 1).min(total));
        near.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let format = file.format.unwrap_or("not recognised");
    page.out.raw("<details><summary><code>").text(&source.path).raw("</code> (").text(format).raw("): ");
    page.out
        .text(&counted(total, "line", "lines"))
        .raw(", ")
        .text(&counted(said.len(), "with a remark", "with remarks"))
        .raw("</summary>\n");
    let most = shown.len().min(*left);
    *left -= most;
    if most < total {
        page.out.raw("<p>").text(&format!("{} shown, those around remarks first", counted(most, "line is", "lines are"))).raw("</p>\n");
    }
    page.out.raw("<pre class=\"code\">");
    let mut next = 0;
    for &index in shown.iter().take(most) {
        if index != next {
            page.out.raw("<span class=\"say soft\">…</span>");
        }
        next = index + 1;
        line(page, file, index, remarks);
    }
    page.out.raw("</pre>\n</details>\n");
}

fn line(page: &mut Page<'_>, file: &FileReport, index: usize, remarks: &Remarks) {
    let state = file.lines.get(index).copied().unwrap_or(LineState::Unrecognised);
    page.out.raw(match state {
        LineState::Irrelevant => "<span class=\"l irrelevant\"",
        LineState::Understood => "<span class=\"l\"",
        LineState::NotModelled | LineState::Unsupported => "<span class=\"l warn\"",
        LineState::Unrecognised => "<span class=\"l bad\"",
    });
    let number = index + 1;
    page.out.attr("id", &anchor(page.view, file.file, number)).raw("><span class=\"no\">").number(number as u64).raw("</span>");
    let text = page.lines.whole_line(file.file, index);
    page.out.shown(&text).raw("\n</span>");
    for (what, text) in remarks.get(&(file.file, number as u32)).into_iter().flatten() {
        page.out.raw(if what.is_empty() { "<span class=\"say warn\">" } else { "<span class=\"say bad\">" });
        page.out.text(&format!("^ {what}{text}")).raw("\n</span>");
    }
}

fn not_understood(page: &mut Page<'_>) {
    let report = page.view.report;
    let out = &mut page.out;
    out.raw(
        "<section id=\"not-understood\" aria-labelledby=\"h-not-understood\">\n<h2 id=\"h-not-understood\">What was not understood</h2>\n",
    );
    out.raw("<p>A check that could turn on one of these lines is unknown, never green.</p>\n");
    let open: Vec<(&FileReport, States)> =
        report.files.iter().filter(|f| f.format.is_some()).map(|f| (f, States::of(f))).filter(|(_, s)| s.open() > 0).collect();
    let unknown: Vec<&FileReport> = report.files.iter().filter(|f| f.format.is_none()).collect();
    if open.is_empty() {
        out.raw("<p>Every line of every configuration was understood, or is irrelevant to any check.</p>\n");
    } else {
        open_table(out, "Lines that were not fully understood, by file", "");
        out.raw("<thead><tr><th scope=\"col\">File</th><th scope=\"col\">not modelled</th><th scope=\"col\">not in this combination</th>");
        out.raw("<th scope=\"col\">not recognised</th><th scope=\"col\">of lines</th></tr></thead>\n<tbody>\n");
        for (file, states) in open {
            out.raw("<tr><th scope=\"row\"><code>").text(&page.lines.file(file.file).path).raw("</code></th>");
            for n in [states.not_modelled, states.unsupported, states.unrecognised, file.lines.len()] {
                out.raw("<td class=\"n\">").number(n as u64).raw("</td>");
            }
            out.raw("</tr>\n");
        }
        out.raw("</tbody></table></div>\n");
    }
    if !unknown.is_empty() {
        out.raw("<p>Files whose format was not recognised:</p>\n<ul>\n");
        for file in unknown {
            out.raw("<li><code>").text(&page.lines.file(file.file).path).raw("</code></li>\n");
        }
        out.raw("</ul>\n");
    }
    out.raw("</section>\n");
}

/// The name of a line within the page: files are numbered as the report lists them.
pub(super) fn anchor(view: &View<'_>, file: FileId, line: usize) -> String {
    let number = view.report.files.binary_search_by_key(&file, |f| f.file).unwrap_or(usize::MAX);
    format!("f{number}L{line}")
}
