//! The roster: a table of all devices, the worst first, and a part for each worker with what to do.

use super::{Page, open_table};
use crate::report::counted;
use crate::report::scorecard::{Card, PLACES, Thing, cards};

/// Workers who have a part of their own; all stand in the table. Those left out are the best.
const PARTS: usize = 500;

pub(super) fn write(page: &mut Page<'_>) {
    if page.view.report.workers.is_empty() {
        return;
    }
    let cards = cards(page.view);
    page.out.raw("<section id=\"workers\" aria-labelledby=\"h-workers\">\n<h2 id=\"h-workers\">Remote workers</h2>\n");
    open_table(&mut page.out, "Devices on the roster, the worst first", "");
    page.out.raw("<thead><tr><th scope=\"col\">Worker</th><th scope=\"col\">Device</th><th scope=\"col\">Platform</th>");
    page.out.raw("<th scope=\"col\">Exported</th><th scope=\"col\">State</th><th scope=\"col\">Wrong</th>");
    page.out.raw("<th scope=\"col\">Not known</th><th scope=\"col\">In order</th></tr></thead>\n<tbody>\n");
    for (i, card) in cards.iter().enumerate() {
        row(page, i, card);
    }
    page.out.raw("</tbody></table></div>\n");
    for (i, card) in cards.iter().take(PARTS).enumerate() {
        part(page, i, card);
    }
    if cards.len() > PARTS {
        let rest = counted(cards.len() - PARTS, "more worker stands", "more workers stand");
        page.out.raw("<p>").text(&rest).raw(" in the table only; the format scorecard has a part for each.</p>\n");
    }
    page.out.raw("</section>\n");
}

fn row(page: &mut Page<'_>, i: usize, card: &Card<'_>) {
    let worker = card.worker;
    let out = &mut page.out;
    out.raw("<tr><th scope=\"row\">");
    if i < PARTS {
        out.raw("<a").attr("href", &format!("#w{i}")).raw(">").text(&worker.name).raw("</a>");
    } else {
        out.text(&worker.name);
    }
    out.raw("</th><td>").text(&worker.device).raw("</td><td>").text(card.platform_words()).raw("</td><td>");
    out.text(worker.exported.as_deref().unwrap_or(if worker.read { "not known" } else { "never" })).raw("</td><td>");
    out.text(card.word()).raw(if card.wrong.is_empty() { "</td><td class=\"n\">" } else { "</td><td class=\"n bad\">" });
    out.number(card.wrong.len() as u64).raw(if card.unknown.is_empty() { "</td><td class=\"n\">" } else { "</td><td class=\"n warn\">" });
    out.number(card.unknown.len() as u64).raw("</td><td class=\"n\">").number(card.holds.len() as u64).raw("</td></tr>\n");
}

fn part(page: &mut Page<'_>, i: usize, card: &Card<'_>) {
    let worker = card.worker;
    page.out.raw("<article class=\"device\"><h3").attr("id", &format!("w{i}")).raw(">").text(&worker.name).raw(": ").text(card.word());
    page.out.raw("</h3>\n<p>Device <b>").text(&worker.device).raw("</b> (").text(card.platform_words()).raw(")");
    if let Some(left) = &worker.left {
        page.out.raw(", leaving on ").text(left);
    }
    page.out.raw(".</p>\n");
    for (heading, list) in [("What to do", card.to_do()), ("What could not be told", card.untold())] {
        if !list.is_empty() {
            page.out.raw("<h4>").text(heading).raw("</h4>\n<ol>\n");
            list.iter().for_each(|t| thing(page, t));
            page.out.raw("</ol>\n");
        }
    }
    if card.wrong.is_empty() && card.unknown.is_empty() && worker.read {
        page.out.raw("<p>There is nothing to do.</p>\n");
    }
    if card.waived > 0 {
        page.out.raw("<p>").text(&counted(card.waived, "finding was", "findings were")).raw(" accepted for a time.</p>\n");
    }
    page.out.raw("</article>\n");
}

fn thing(page: &mut Page<'_>, thing: &Thing<'_>) {
    page.out.raw(match (thing.unknown, thing.says) {
        (true, _) => "<li>It is not known whether this holds: <b>",
        (false, None) => "<li>This must hold, and does not: <b>",
        (false, Some(_)) => "<li><b>",
    });
    page.out.prose(thing.says.unwrap_or(&thing.check.title)).raw("</b> (").text(thing.check.severity.name()).raw(")\n<ul>\n");
    for finding in thing.findings.iter().take(PLACES) {
        page.out.raw("<li>Seen: ").prose(&finding.message).raw(" ");
        page.place(finding.primary.span);
        page.out.raw("</li>\n");
    }
    if thing.findings.len() > PLACES {
        page.out.raw("<li>and ").number((thing.findings.len() - PLACES) as u64).raw(" more</li>\n");
    }
    for step in thing.steps {
        page.out.raw("<li>Do: ").prose(step).raw("</li>\n");
    }
    if thing.steps.is_empty() && !thing.unknown && !thing.check.fix.is_empty() {
        page.out.raw("<li>For IT: ").prose(&thing.check.fix).raw("</li>\n");
    }
    page.out.raw("</ul></li>\n");
}
