use super::*;

fn file(text: &str) -> SourceFile {
    SourceFile::from_text(FileId(0), "t.xml", text)
}

fn read(file: &SourceFile) -> Document<'_> {
    Document::read(file, &Limits::default())
}

fn kinds(document: &Document<'_>) -> Vec<ProblemKind> {
    document.problems().iter().map(|p| p.kind).collect()
}

#[test]
fn every_piece_knows_its_place() {
    let f = file("<?xml version=\"1.0\"?>\n<!-- who -->\n<z a='1 &lt; 2'>\n  <é b=\"ü\">  x &amp; <![CDATA[<y>]]> </é>\n</z>\n");
    let d = read(&f);
    let z = d.root().unwrap();
    assert_eq!(f.slice(z.tag_span()), "<z a='1 &lt; 2'>");
    assert!(f.slice(z.span()).starts_with("<z") && f.slice(z.span()).ends_with("</z>"));
    let a = z.attribute("a").unwrap();
    assert_eq!((a.value().as_ref(), f.slice(a.span()), f.slice(a.whole_span())), ("1 < 2", "1 &lt; 2", "a='1 &lt; 2'"));
    let e = z.child("é").unwrap();
    assert_eq!((f.slice(e.name_span()), e.text().as_ref()), ("é", "x & <y>"));
    assert_eq!(f.slice(e.text_span()), "x &amp; <![CDATA[<y>");
    assert_eq!(d.asides().iter().map(|s| f.slice(*s)).collect::<Vec<_>>(), ["<?xml version=\"1.0\"?>", "<!-- who -->"]);
    assert!(d.problems().is_empty() && e.is_closed());
}

#[test]
fn children_are_those_directly_within_and_descendants_all() {
    let f = file("<a><b><c/></b>t<d/><c/></a>");
    let d = read(&f);
    let a = d.root().unwrap();
    assert_eq!(a.children().map(Element::name).collect::<Vec<_>>(), ["b", "d", "c"]);
    assert_eq!(a.descendants().map(Element::name).collect::<Vec<_>>(), ["b", "c", "d", "c"]);
    assert_eq!(a.text(), "t");
}

#[test]
fn declarations_and_entities_are_refused_where_they_stand() {
    let f = file("<!DOCTYPE a [\n<!ENTITY x \"boom\"> <!ENTITY y SYSTEM \"file:///etc/passwd\">\n]>\n<a b='&y;'>&x;&x;</a>");
    let d = read(&f);
    assert_eq!(kinds(&d), [ProblemKind::Refused; 4]);
    assert_eq!(d.problems().iter().map(|p| f.place(p.span.start).line).collect::<Vec<_>>(), [1, 4, 4, 4]);
    let a = d.root().unwrap();
    assert_eq!((a.text().as_ref(), a.attribute("b").unwrap().value().as_ref()), ("&x;&x;", "&y;"));
    let f = file("<!DOCTYPE plist PUBLIC \"-//X//EN\" \"http://x.invalid/p.dtd\"><plist/>");
    assert_eq!(kinds(&read(&f)), [ProblemKind::Doctype]);
    assert!(!ProblemKind::Doctype.loses());
}

#[test]
fn what_stands_before_damage_is_read() {
    for (text, names, line) in [
        ("<a>\n<b/>\n<c></d>\n</a>", vec!["b", "c"], 3),
        ("<a>\n<b/>\n<c x=\"1", vec!["b"], 3),
        ("<a>\n<b/>\n<c x=1 y=\"2\"/></a>", vec!["b"], 3),
        ("<a>\n<b/>\n<c x='1' x='2'/></a>", vec!["b"], 3),
        ("<a>\n<b/>", vec!["b"], 2),
        ("<a>\n<b/></a>\n<a><c/></a>", vec!["b"], 3),
        ("<a>\n<b/></a>\nmore", vec!["b"], 2),
    ] {
        let f = file(text);
        let d = read(&f);
        let a = d.root().unwrap();
        assert_eq!(a.children().map(Element::name).collect::<Vec<_>>(), names, "{text}");
        assert_eq!(kinds(&d), [ProblemKind::Damaged], "{text}");
        assert_eq!(f.place(d.problems()[0].span.start).line, line, "{text}: {:?}", d.problems());
        assert_eq!(d.problems()[0].span.end as usize, text.len());
    }
    for text in ["", "plain", "<", "</a>", "<a", "<!-- x"] {
        let f = file(text);
        let d = read(&f);
        assert!(d.root().is_none() && kinds(&d) == [ProblemKind::Damaged], "{text}: {:?}", d.problems());
    }
}

#[test]
fn floods_hit_a_bound_and_take_linear_time() {
    let cases = [
        ("<a>".repeat(1_000_000), ProblemKind::Limit),
        (format!("<a {}/>", (0..200_000).map(|i| format!("x{i}='' ")).collect::<String>()), ProblemKind::Limit),
        (format!("<a>{}</a>", "<b/>".repeat(2_100_000)), ProblemKind::Limit),
        (format!("<a>{}", "&x;".repeat(500_000)), ProblemKind::Damaged),
        (format!("<a>{}", "&".repeat(2_000_000)), ProblemKind::Limit),
        (format!("<a x='{}'>", "&".repeat(2_000_000)), ProblemKind::Damaged),
        (format!("<a>{}", "<!--".repeat(500_000)), ProblemKind::Damaged),
        (format!("<!DOCTYPE a {}", "[<!".repeat(500_000)), ProblemKind::Damaged),
    ];
    for (text, kind) in cases {
        let start: String = text.chars().take(20).collect();
        let f = file(&text);
        let d = read(&f);
        assert_eq!(kinds(&d).last(), Some(&kind), "{start}");
        if let Some(root) = d.root() {
            root.text();
            assert!(root.descendants().count() <= MOST_NODES);
        }
    }
}

#[test]
fn every_prefix_and_flipped_byte_is_read_within_the_text() {
    let text = "<?xml version='1.0'?><!DOCTYPE z><z><a b=\"&#x41;\" c='é'>t&lt;<![CDATA[x]]></a><!-- c --><d/></z>";
    let mut texts: Vec<String> = (0..text.len()).filter_map(|i| text.get(..i)).map(str::to_owned).collect();
    for i in 0..text.len() {
        for flip in [1u8, 2, 4, 16, 64, 128] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] ^= flip;
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    for text in texts {
        let f = file(&text);
        let d = read(&f);
        for e in d.root().iter().flat_map(|r| r.descendants().chain([*r])) {
            for span in [e.span(), e.tag_span(), e.text_span(), e.name_span()] {
                assert!(text.get(span.start as usize..span.end as usize).is_some(), "{text}");
            }
            assert!(e.attributes().all(|a| !a.name().is_empty() && text.get(a.whole_span().start as usize..).is_some()), "{text}");
        }
        assert!(d.root().is_some() || !d.problems().is_empty(), "{text}");
    }
}
