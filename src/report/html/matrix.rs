//! Who can reach what: the matrix of zones, and below it what gets through each cell.

use std::collections::BTreeSet;

use super::{Page, open_table};
use crate::diag::{Answer, Cell};

/// Services that a cell names.
const SERVICES: usize = 3;

pub(super) fn write(page: &mut Page<'_>) {
    let Some(exposure) = &page.view.report.exposure else { return };
    let out = &mut page.out;
    out.raw("<section id=\"matrix\" aria-labelledby=\"h-matrix\">\n<h2 id=\"h-matrix\">Who can reach what</h2>\n");
    out.raw("<p>For each pair of zones: what can open a connection from the one (row) to the other (column) through the firewalls that were read, ");
    out.raw("IPv4 and IPv6 together. Replies are not counted, and computers of remote workers not looked at.</p>\n");
    if let Some(left_out) = &exposure.left_out {
        out.raw("<p><strong>").text(left_out).raw("</strong></p>\n");
    }
    if exposure.cells.is_empty() {
        out.raw("<p>The baseline names no zones, so there is no matrix.</p>\n</section>\n");
        return;
    }
    open_table(out, "From the zone of the row to the zone of the column", "matrix");
    out.raw("<thead><tr><th scope=\"col\">from \\ to</th>");
    for to in &exposure.to {
        out.raw("<th scope=\"col\">").text(to).raw("</th>");
    }
    out.raw("</tr></thead>\n<tbody>\n");
    let width = exposure.to.len().max(1);
    for (r, (from, row)) in exposure.from.iter().zip(exposure.cells.chunks(width)).enumerate() {
        out.raw("<tr><th scope=\"row\">").text(from).raw("</th>");
        for (c, cell) in row.iter().enumerate() {
            out.raw(match cell.answer {
                // Whether it should be open the matrix does not know: no red, no green.
                Answer::Nothing | Answer::Closed => "<td class=\"soft\">",
                Answer::Unknown | Answer::Perhaps => "<td class=\"warn\">",
                Answer::Open => "<td class=\"open\">",
            });
            let linked = has_details(cell);
            if linked {
                out.raw("<a").attr("href", &format!("#x{r}-{c}")).raw(">");
            }
            out.raw(word(cell.answer));
            if linked {
                out.raw("</a>");
            }
            // In the order in which each line tells them; where one lets everything through the others add nothing.
            let told = |certain: bool| cell.passages.iter().filter(move |p| p.certain == certain).flat_map(|p| &p.services);
            let mut services: Vec<String> = told(true).cloned().collect();
            let sure: BTreeSet<&String> = told(true).collect();
            services.extend(told(false).filter(|s| !sure.contains(s)).map(|s| match cell.answer {
                Answer::Open => format!("perhaps {s}"),
                _ => s.clone(),
            }));
            let mut seen = BTreeSet::new();
            services.retain(|s| seen.insert(s.clone()));
            if services.iter().any(|s| s == "anything") {
                services = vec!["anything".into()];
            }
            if !services.is_empty() {
                let named = services.iter().take(SERVICES).cloned().collect::<Vec<_>>().join(", ");
                out.raw("<br>").text(&named);
                if services.len() > SERVICES {
                    out.text(&format!(" and {} more", services.len() - SERVICES));
                }
            }
            out.raw("</td>");
        }
        out.raw("</tr>\n");
    }
    out.raw("</tbody></table></div>\n<p class=\"soft\"><b>closed</b>: nothing gets through; <b>open</b>: the named services do; <b>perhaps</b>: it turns ");
    out.raw("on something that is not modelled; <b>not known</b>: an export lacks it; <b>–</b>: the same zone, or no firewall that was read stands between.</p>\n");
    for (r, (from, row)) in exposure.from.iter().zip(exposure.cells.chunks(width)).enumerate() {
        for (c, (to, cell)) in exposure.to.iter().zip(row).enumerate() {
            if has_details(cell) {
                details(page, (r, c), (from, to), cell);
            }
        }
    }
    page.out.raw("</section>\n");
}

fn has_details(cell: &Cell) -> bool {
    !cell.passages.is_empty() || !cell.unknown.is_empty()
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Nothing => "–",
        Answer::Closed => "closed",
        Answer::Unknown => "not known",
        Answer::Perhaps => "perhaps",
        Answer::Open => "open",
    }
}

fn details(page: &mut Page<'_>, (r, c): (usize, usize), (from, to): (&str, &str), cell: &Cell) {
    page.out
        .raw("<details")
        .attr("id", &format!("x{r}-{c}"))
        .raw("><summary>From <b>")
        .text(from)
        .raw("</b> to <b>")
        .text(to)
        .raw("</b>: ");
    page.out.raw(word(cell.answer)).raw("</summary>\n<ul>\n");
    for passage in &cell.passages {
        page.out.raw("<li>").text(&passage.device).raw(", ").text(passage.family).raw(": ").text(&passage.services.join(", "));
        page.out.raw(if passage.certain { " by " } else { " perhaps, by " }).text(&passage.line.text).raw(" (");
        page.place(passage.line.span);
        page.out.raw(")");
        if !passage.boxes.is_empty() {
            page.out.raw("\n<ul class=\"mono\">");
            for text in &passage.boxes {
                page.out.raw("<li>").text(text).raw("</li>");
            }
            if passage.more > 0 {
                page.out.raw("<li>").text(&format!("and {} more", passage.more)).raw("</li>");
            }
            page.out.raw("</ul>");
        }
        page.out.raw("</li>\n");
    }
    for text in &cell.unknown {
        page.out.raw("<li>not known: ").prose(text).raw("</li>\n");
    }
    page.out.raw("</ul></details>\n");
}
