//! Answers packets of a JSON-lines file for one ruleset file: `oracle_trace FORMAT RULESET [IPSET] < packets`.
#![allow(clippy::print_stdout, missing_docs)]
use std::io::BufRead;

use fwproof::eval::{Analysis, trace, walk};
use fwproof::source::Limits;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let read = |id: &str, path: &str| {
        let text = std::fs::read(path).unwrap();
        let file = fwproof::source::SourceFile::new(fwproof::source::FileId(0), path, &text);
        let reading = fwproof::vendors::format(id).unwrap().read_file(&file);
        (file, reading)
    };
    let (file, reading) = read(&args[0], &args[1]);
    let mut device = reading.device;
    if let Some(sets) = args.get(2) {
        device.absorb(read("ipset", sets).1.device);
    }
    let analysis = Analysis::new(&device, &[], &Limits::default());
    for line in std::io::stdin().lock().lines() {
        let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        match trace::read_packet(&value, &analysis.space) {
            Err(e) => println!("{}", serde_json::json!({"verdict": "error", "because": e.to_string()})),
            Ok((way, family, packet)) => {
                let walked = walk::walk(&analysis, way, family, &packet, None, None, false);
                println!("{}", trace::answer(&analysis, &walked, |s| (String::new(), file.place(s.start).line)));
            }
        }
    }
}
