mod nftables_support;
#[test]
fn show() {
    for path in std::env::var("SHOW").unwrap_or_default().split(' ').filter(|p| !p.is_empty()) {
        let text = std::fs::read_to_string(path).unwrap();
        let id = if text.trim_start().starts_with('{') { "nftables-json" } else { "nftables" };
        let (file, reading) = fwproof::vendors::format(id).unwrap().read_text(path, &text);
        println!("{}", nftables_support::dump(&reading.device).join("\n"));
        for n in &reading.notes {
            println!("{:?} {} {}", n.state, file.place(n.span.start).line, n.text);
        }
        for (id, lines) in &reading.lines {
            for (i, s) in lines.iter().enumerate() {
                if *s >= fwproof::diag::LineState::Unsupported {
                    println!("{id:?} {s:?}: {}", file.line(i));
                }
            }
        }
    }
}
