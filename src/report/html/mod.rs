//! One HTML page that holds everything: no script, no request, light and dark, printable, usable by keyboard and screen reader.
//!
//! All markup is constant (`Markup`); whatever is not ours goes in as text. Nothing is said by colour alone.

mod devices;
mod findings;
mod matrix;
mod workers;

use super::entries::{Entry, entries};
use super::markup::Markup;
use super::summary::{self, COLUMNS, Fate};
use super::{Lines, View, counted};
use crate::diag::{CheckResult, Conclusion, Severity, Verdict};
use crate::source::Span;

const STYLE: &str = include_str!("style.css");

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let found = entries(view, &lines);
    let mut page = Page { view, lines: &lines, found: &found, out: Markup::new(&lines) };
    page.head();
    page.glance();
    findings::write(&mut page);
    matrix::write(&mut page);
    workers::write(&mut page);
    page.checks();
    devices::write(&mut page);
    page.foot();
    page.out.finish()
}

pub(super) struct Page<'a> {
    view: &'a View<'a>,
    lines: &'a Lines<'a>,
    found: &'a [Entry<'a>],
    out: Markup<'a>,
}

impl Page<'_> {
    fn head(&mut self) {
        let report = self.view.report;
        let conclusion = report.conclusion(self.view.fail_on, self.view.allow_incomplete).name();
        let title = if report.title.is_empty() { "Firewalls and VPNs" } else { report.title.as_str() };
        let out = &mut self.out;
        out.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        out.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        out.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
        out.raw("<meta name=\"referrer\" content=\"no-referrer\">\n<title>").text(&format!("{conclusion}: {title}"));
        out.raw("</title>\n<style>\n")
            .raw(STYLE)
            .raw("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#findings\">To the findings</a>\n");
        out.raw("<header>\n<h1>").text(title).raw("</h1>\n");
        out.raw("<nav aria-label=\"Contents\"><ul>\n<li><a href=\"#glance\">At a glance</a></li>\n<li><a href=\"#findings\">Findings</a></li>\n");
        if report.exposure.is_some() {
            out.raw("<li><a href=\"#matrix\">Who can reach what</a></li>\n");
        }
        if !report.workers.is_empty() {
            out.raw("<li><a href=\"#workers\">Remote workers</a></li>\n");
        }
        out.raw("<li><a href=\"#checks\">All checks</a></li>\n<li><a href=\"#devices\">Devices</a></li>\n");
        out.raw("<li><a href=\"#not-understood\">Not understood</a></li>\n</ul></nav>\n</header>\n<main>\n");
    }

    fn glance(&mut self) {
        let report = self.view.report;
        let tally = report.tally();
        let conclusion = report.conclusion(self.view.fail_on, self.view.allow_incomplete);
        let says = match conclusion {
            Conclusion::Pass => "Everything that is asked holds, is waived or known, or is below the bar.",
            Conclusion::Fail => "Something that is asked does not hold, or is not known.",
            Conclusion::Incomplete => "Not everything could be read or judged, so nothing is certain.",
        };
        let out = &mut self.out;
        out.raw("<section id=\"glance\" aria-labelledby=\"h-glance\">\n<h2 id=\"h-glance\">At a glance</h2>\n");
        out.raw(match conclusion {
            Conclusion::Pass => "<p class=\"verdict PASS\"><strong>",
            Conclusion::Fail => "<p class=\"verdict FAIL\"><strong>",
            Conclusion::Incomplete => "<p class=\"verdict INCOMPLETE\"><strong>",
        });
        out.text(conclusion.name()).raw("</strong> ").text(says).raw("<br>Judged as of ").text(&report.as_of);
        out.raw("; findings from ").text(self.view.fail_on.name()).raw(" upwards count.</p>\n<ul class=\"figures\">\n");
        let mut figure = |n: usize, what: &str| {
            out.raw("<li><b>").number(n as u64).raw("</b> ").text(what).raw("</li>\n");
        };
        for (severity, n) in Severity::ALL.iter().zip(tally.findings) {
            figure(n, severity.name());
        }
        figure(tally.unknown, "unknown");
        figure(tally.waived, "waived");
        if report.comparison.is_some() {
            figure(tally.known, "known");
            figure(tally.gone, "gone");
        }
        figure(tally.unread, "not read");
        figure(tally.files, if tally.files == 1 { "file" } else { "files" });
        figure(report.devices.len(), if report.devices.len() == 1 { "device" } else { "devices" });
        out.raw("</ul>\n");
        self.unread();
        self.table("Checks, by where they come from", "Ruleset", |c| vec![c.ruleset.clone().unwrap_or_else(|| "own checks".into())], true);
        if report.checks.iter().any(|c| !c.zones.is_empty()) {
            self.table("Checks, by the zone that they protect", "Zone", |c| c.zones.clone(), false);
        }
        self.device_table();
        self.out.raw("</section>\n");
    }

    fn unread(&mut self) {
        let report = self.view.report;
        if report.incomplete.is_empty() {
            return;
        }
        self.out.raw("<h3>Not read or not judged</h3>\n<ul>\n");
        for i in &report.incomplete {
            self.out.raw("<li>");
            match i.span {
                Some(span) => self.place(span),
                None => {
                    self.out.raw("<code>").text(&i.path).raw("</code>");
                }
            }
            self.out.raw(": ").prose(&i.text).raw("</li>\n");
        }
        self.out.raw("</ul>\n");
    }

    fn table(&mut self, caption: &'static str, head: &'static str, names: impl Fn(&CheckResult) -> Vec<String>, total: bool) {
        let table = summary::Table::of(&self.view.report.checks, names);
        if table.order.is_empty() {
            return;
        }
        let used = table.used();
        let out = &mut self.out;
        open_table(out, caption, "");
        out.raw("<thead><tr><th scope=\"col\">").raw(head).raw("</th>");
        for &i in &used {
            out.raw("<th scope=\"col\">").raw(COLUMNS[i].0).raw("</th>");
        }
        out.raw("</tr></thead>\n<tbody>\n");
        let mut row = |name: &str, counts: &[usize]| {
            out.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
            for &i in &used {
                let n = counts.get(i).copied().unwrap_or(0);
                out.raw(match COLUMNS[i].1 {
                    _ if n == 0 => "<td class=\"n soft\">",
                    Fate::Fails | Fate::Overdue => "<td class=\"n bad\">",
                    Fate::Unknown => "<td class=\"n warn\">",
                    Fate::Holds => "<td class=\"n good\">",
                    _ => "<td class=\"n\">",
                });
                out.number(n as u64).raw("</td>");
            }
            out.raw("</tr>\n");
        };
        for name in &table.order {
            row(name, &table.rows[name]);
        }
        if total && table.order.len() > 1 {
            row("all", &table.sum);
        }
        out.raw("</tbody></table></div>\n");
    }

    fn device_table(&mut self) {
        let rows = summary::device_rows(self.view);
        if rows.is_empty() {
            return;
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse((rows[i].worst, rows[i].fails, rows[i].unknown)));
        let out = &mut self.out;
        open_table(out, "Devices, the worst first", "");
        out.raw("<thead><tr><th scope=\"col\">Device</th><th scope=\"col\">hold</th><th scope=\"col\">fail</th>");
        out.raw("<th scope=\"col\">unknown</th><th scope=\"col\">worst</th></tr></thead>\n<tbody>\n");
        for i in order {
            let row = rows[i];
            out.raw("<tr><th scope=\"row\"><a")
                .attr("href", &format!("#d{i}"))
                .raw(">")
                .text(&self.view.report.devices[i])
                .raw("</a></th>");
            out.raw("<td class=\"n\">").number((row.checks - row.fails - row.unknown) as u64).raw("</td>");
            out.raw(if row.fails > 0 { "<td class=\"n bad\">" } else { "<td class=\"n\">" }).number(row.fails as u64).raw("</td>");
            out.raw(if row.unknown > 0 { "<td class=\"n warn\">" } else { "<td class=\"n\">" }).number(row.unknown as u64).raw("</td><td>");
            out.text(match row.worst {
                Some(severity) => severity.name(),
                None if row.checks == 0 => "no check looked at it",
                None => "none",
            });
            out.raw("</td></tr>\n");
        }
        out.raw("</tbody></table></div>\n");
    }

    /// Every check that ran, with its verdict, whether or not there is a finding.
    fn checks(&mut self) {
        let report = self.view.report;
        let out = &mut self.out;
        out.raw("<section id=\"checks\" aria-labelledby=\"h-checks\">\n<h2 id=\"h-checks\">All checks</h2>\n");
        if report.checks.is_empty() {
            out.raw("<p>No check was asked for.</p>\n");
        } else {
            open_table(out, "Every check that ran: what it asks, its verdict, and on what it was judged", "");
            out.raw("<thead><tr><th scope=\"col\">Check</th><th scope=\"col\">Verdict</th><th scope=\"col\">Severity</th>");
            out.raw("<th scope=\"col\">Judged on</th><th scope=\"col\">References</th></tr></thead>\n<tbody>\n");
            for check in &report.checks {
                out.raw("<tr><th scope=\"row\">").prose(&check.title).raw("<br><code>").text(&check.id).raw("</code></th><td>");
                verdict(out, check.verdict);
                out.raw("</td><td>").text(check.severity.name()).raw("</td><td>").text(&names(&check.considered));
                if !check.inapplicable.is_empty() {
                    out.raw(" <span class=\"soft\">not shown by any export of ").text(&names(&check.inapplicable)).raw("</span>");
                }
                out.raw("</td><td>").text(&check.refs.join(", ")).raw("</td></tr>\n");
            }
            out.raw("</tbody></table></div>\n");
        }
        out.raw("</section>\n");
    }

    fn foot(&mut self) {
        let version = format!("fwproof {}, {}", env!("CARGO_PKG_VERSION"), counted(self.view.report.checks.len(), "check", "checks"));
        self.out.raw("</main>\n<footer><p>").text(&version);
        self.out.raw(
            ". Secrets are taken out. What is said to hold holds for every packet of the modelled header, IPv4 and IPv6.</p></footer>\n",
        );
        self.out.raw("</body>\n</html>\n");
    }

    /// `edge.nft:12`, as a link to the line where its file is part of the page.
    fn place(&mut self, span: Span) {
        let at = super::entries::at(self.lines, span);
        let shown = format!("{}:{}", at.path, at.line);
        let inside = devices::is_shown(self.view, span.file, at.line);
        if inside {
            self.out.raw("<a").attr("href", &format!("#{}", devices::anchor(self.view, span.file, at.line as usize))).raw(">");
        }
        self.out.raw("<code>").text(&shown).raw("</code>");
        if inside {
            self.out.raw("</a>");
        }
    }
}

/// A table that scrolls by itself where the page is narrow, by keyboard too.
fn open_table(out: &mut Markup<'_>, caption: &'static str, class: &'static str) {
    out.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"").raw(caption).raw("\"><table class=\"").raw(class);
    out.raw("\"><caption>").raw(caption).raw("</caption>\n");
}

fn verdict(out: &mut Markup<'_>, verdict: Verdict) {
    out.raw(match verdict {
        Verdict::Holds => "<span class=\"badge good\">",
        Verdict::Violated | Verdict::Overdue => "<span class=\"badge bad\">",
        Verdict::Unknown => "<span class=\"badge warn\">",
        Verdict::Attested | Verdict::NotApplicable => "<span class=\"badge\">",
    });
    out.text(verdict.name()).raw("</span>");
}

fn level(out: &mut Markup<'_>, words: &str, verdict: Verdict, severity: Severity) {
    out.raw(match (verdict, severity) {
        (Verdict::Unknown, _) | (_, Severity::Medium) => "<span class=\"badge warn\">",
        (_, Severity::Critical | Severity::High) => "<span class=\"badge bad\">",
        _ => "<span class=\"badge\">",
    });
    out.text(words).raw("</span>");
}

/// The first of many names.
fn names(list: &[String]) -> String {
    const MOST: usize = 12;
    let mut text = list.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if list.len() > MOST {
        text += &format!(" and {} more", list.len() - MOST);
    }
    text
}
