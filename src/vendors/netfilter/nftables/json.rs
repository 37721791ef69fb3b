//! The JSON of `nft -j list ruleset`, and of commands in the same shape (libnftables-json(5)).
//!
//! The objects of the list are found first and read one by one, so that a file that is cut off or damaged in one place
//! costs one note and not the whole.

use jsonc_parser::ParseOptions;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::ast::{Base, Elem, Expr, KeyType, Kind, Rule, SetDecl, Stmt, TableFamily, Text};
use super::ruleset::{At, Ruleset};
use super::{COVERS, LEAVES, LOOK, defaults, lower};
use crate::diag::LineState;
use crate::model::PolicyAction;
use crate::source::{SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

/// The JSON form.
pub static NFTABLES_JSON: Format = Format {
    id: "nftables-json",
    title: "nftables ruleset as JSON",
    export: "nft -j list ruleset",
    covers: COVERS,
    leaves: LEAVES,
    role: Role::Firewall,
    detect,
    read,
    includes: None,
};

fn detect(file: &SourceFile) -> Option<Detection> {
    let bytes = file.text.as_bytes();
    let head = std::str::from_utf8(bytes.get(..bytes.len().min(LOOK))?).unwrap_or_else(|e| {
        let upto = e.valid_up_to();
        file.text.get(..upto).unwrap_or("")
    });
    let start = head.trim_start().strip_prefix('{')?.trim_start();
    let confidence = if start.starts_with("\"nftables\"") {
        Confidence::Certain
    } else if head.contains("\"nftables\"") {
        Confidence::Strong
    } else {
        return None;
    };
    Some(Detection { confidence, why: "is an object \"nftables\"" })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    reader.mark(file.whole(), LineState::Irrelevant);
    let mut json = Json { file, base: 0, ruleset: Ruleset::default(), nesting: reader.limits.nesting };
    let (items, whole) = items(&file.text);
    if !whole {
        let end = Span::new(file.id, file.text.len().saturating_sub(1), file.text.len());
        reader.incomplete(end, LineState::Unsupported, "the JSON is not whole: the file may be cut off");
    }
    for (start, end) in items {
        let span = Span::new(file.id, start, end);
        json.base = start;
        let strict = ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let parsed = jsonc_parser::parse_to_ast(file.text.get(start..end).unwrap_or(""), &Default::default(), &strict);
        let object = match parsed {
            Ok(result) => match result.value {
                Some(Value::Object(o)) => o,
                _ => {
                    reader.note(span, LineState::Unrecognised, "an object is expected here");
                    continue;
                }
            },
            Err(_) => {
                reader.note(span, LineState::Unrecognised, "this is not JSON");
                continue;
            }
        };
        if json.command(reader, &object).is_none() {
            let name = object.properties.first().map_or(String::new(), |p| p.name.clone().into_string());
            reader.note(
                span,
                LineState::Unrecognised,
                format!("object \"{}\" is not understood", name.chars().take(40).collect::<String>()),
            );
        }
    }
    lower::lower(reader, &json.ruleset);
}

/// The byte ranges of the elements of the list `"nftables": […]`, and whether it ends.
fn items(text: &str) -> (Vec<(usize, usize)>, bool) {
    let bytes = text.as_bytes();
    let Some(key) = text.find("\"nftables\"") else { return (vec![], false) };
    let Some(open) = text.get(key..).and_then(|t| t.find('[')).map(|i| key + i) else { return (vec![], false) };
    let mut out = Vec::new();
    let (mut depth, mut start, mut quoted, mut i) = (0usize, None, false, open + 1);
    while let Some(b) = bytes.get(i) {
        match b {
            b'\\' if quoted => i += 1,
            b'"' => {
                quoted = !quoted;
                if start.is_none() {
                    start = Some(i);
                }
            }
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                if start.is_none() {
                    start = Some(i);
                }
            }
            b']' | b',' if depth == 0 => {
                if let Some(s) = start.take() {
                    out.push((s, i));
                }
                if *b == b']' {
                    return (out, true);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b if b.is_ascii_whitespace() => {}
            _ if start.is_none() => start = Some(i),
            _ => {}
        }
        i += 1;
    }
    if let Some(s) = start {
        out.push((s, text.len()));
    }
    (out, false)
}

/// The reader of one file's objects.
pub(super) struct Json<'a> {
    file: &'a SourceFile,
    /// Where the object at hand begins: places in it are relative to that.
    base: usize,
    ruleset: Ruleset<'a>,
    pub(super) nesting: usize,
}

/// The only property of an object.
pub(super) fn single<'v, 'a>(o: &'v Object<'a>) -> Option<(&'v str, &'v Value<'a>)> {
    o.properties.first().map(|p| {
        let name = match &p.name {
            jsonc_parser::ast::ObjectPropName::String(s) => s.value.as_ref(),
            jsonc_parser::ast::ObjectPropName::Word(w) => w.value,
        };
        (name, &p.value)
    })
}

/// A property.
pub(super) fn get<'v, 'a>(o: &'v Object<'a>, name: &str) -> Option<&'v Value<'a>> {
    o.properties.iter().find(|p| matches!(&p.name, jsonc_parser::ast::ObjectPropName::String(s) if s.value == name)).map(|p| &p.value)
}

/// A property that is text.
pub(super) fn string<'a>(o: &Object<'a>, name: &str) -> Option<Text<'a>> {
    match get(o, name)? {
        Value::StringLit(s) => Some(s.value.clone()),
        _ => None,
    }
}

/// A property that is text or a number, as text.
pub(super) fn scalar<'a>(o: &Object<'a>, name: &str) -> Option<Text<'a>> {
    match get(o, name)? {
        Value::StringLit(s) => Some(s.value.clone()),
        Value::NumberLit(n) => Some(n.value.into()),
        _ => None,
    }
}

/// A property that is true.
pub(super) fn truth(o: &Object<'_>, name: &str) -> bool {
    matches!(get(o, name), Some(Value::BooleanLit(b)) if b.value)
}

/// A property that is one text or a list of them.
pub(super) fn strings<'a>(o: &Object<'a>, name: &str) -> Vec<Text<'a>> {
    match get(o, name) {
        Some(Value::StringLit(s)) => vec![s.value.clone()],
        Some(Value::Array(a)) => a
            .elements
            .iter()
            .filter_map(|v| match v {
                Value::StringLit(s) => Some(s.value.clone()),
                _ => None,
            })
            .collect(),
        _ => vec![],
    }
}

impl<'a> Json<'a> {
    /// The place of a value in the file.
    pub(super) fn span(&self, v: &impl Ranged) -> Span {
        let r = v.range();
        Span::new(self.file.id, self.base + r.start, self.base + r.end)
    }

    /// An object of the list: what it names is there (a listing), or is a command.
    fn command(&mut self, reader: &mut Reader<'_>, object: &Object<'a>) -> Option<()> {
        let (name, value) = single(object)?;
        match name {
            "metainfo" | "list" | "reset" | "monitor" => Some(()),
            "add" | "create" | "insert" | "replace" | "delete" | "destroy" | "flush" | "rename" => {
                let Value::Object(inner) = value else { return None };
                let (what, value) = single(inner)?;
                if what != "ruleset" {
                    let span = self.span(value);
                    self.ruleset.is_part(span, "this is a command that changes what is loaded already");
                }
                self.object(reader, name, what, value)
            }
            _ => self.object(reader, "add", name, value),
        }
    }

    fn object(&mut self, reader: &mut Reader<'_>, verb: &str, what: &str, value: &Value<'a>) -> Option<()> {
        let adds = matches!(verb, "add" | "create" | "insert" | "replace");
        if what == "ruleset" && verb == "flush" {
            let family = value.as_object().and_then(|o| string(o, "family")).and_then(|f| TableFamily::parse(&f));
            self.ruleset.flush(family);
            return Some(());
        }
        let Value::Object(o) = value else { return None };
        let span = self.span(value);
        let family = TableFamily::parse(&string(o, "family")?)?;
        if what == "table" {
            let name = string(o, "name")?;
            match verb {
                "flush" => self.ruleset.table(family, &name).chains.iter_mut().for_each(|c| c.rules.clear()),
                _ if adds => {
                    self.ruleset.table(family, &name).dormant |= strings(o, "flags").iter().any(|f| f == "dormant");
                }
                _ => self.ruleset.delete(family, &name),
            }
            reader.mark(span, LineState::Understood);
            return Some(());
        }
        let table = string(o, "table")?;
        match what {
            "chain" => {
                let name = string(o, "name")?;
                let table = self.ruleset.table(family, &table);
                match verb {
                    "flush" => table.chain(&name, span).rules.clear(),
                    "rename" => table.rename_chain(&name, &string(o, "newname")?),
                    _ if adds => {
                        let chain = table.chain(&name, span);
                        if let (Some(kind), Some(hook)) = (string(o, "type"), string(o, "hook")) {
                            let priority = scalar(o, "prio").and_then(|p| defaults::priority(family, &p));
                            chain.hook(Base { kind, hook, priority, devices: strings(o, "dev"), span });
                        }
                        match string(o, "policy").as_deref() {
                            Some("drop") => chain.set_policy(PolicyAction::Drop, span),
                            Some("accept") => chain.set_policy(PolicyAction::Accept, span),
                            _ => {}
                        }
                    }
                    _ => table.delete_chain(&name),
                }
            }
            "rule" => {
                let chain = string(o, "chain")?;
                let handle = scalar(o, "handle").and_then(|h| h.parse().ok());
                if !adds {
                    let rules = &mut self.ruleset.table(family, &table).chain(&chain, span).rules;
                    rules.retain(|r| r.handle.is_none() || r.handle != handle);
                    return Some(());
                }
                let index = scalar(o, "index").and_then(|i| i.parse().ok());
                let at = match (verb, index, handle) {
                    ("insert", Some(i), _) => At::BeforeIndex(i),
                    ("insert", None, _) => At::Front,
                    ("replace", _, Some(h)) => At::Replace(h),
                    (_, Some(i), _) => At::AfterIndex(i),
                    _ => At::End,
                };
                let mut stmts: Vec<(Stmt<'a>, Span)> = Vec::new();
                if let Some(Value::Array(list)) = get(o, "expr") {
                    for v in &list.elements {
                        let span = self.span(v);
                        match self.statement(v) {
                            Some(stmt) => stmts.push((stmt, span)),
                            None => stmts.push((Stmt::Unknown(self.raw(v)), span)),
                        }
                    }
                }
                let comment = string(o, "comment").map(Text::into_owned);
                let rule = Rule { stmts, comment, span, handle };
                if !self.ruleset.add_rule((family, &table), &chain, rule, at) {
                    reader.note(span, LineState::Unsupported, "the place of this rule is not known: it is read as the last");
                }
                return Some(());
            }
            "set" | "map" => {
                let name = string(o, "name")?;
                let holder = self.ruleset.table(family, &table);
                match verb {
                    "flush" => holder.flush_set(&name),
                    _ if adds => {
                        let set = self.set(o, name.into_owned(), span)?;
                        self.ruleset.table(family, &table).define_set(set);
                    }
                    _ => holder.delete_set(&name),
                }
            }
            "element" => {
                let name = string(o, "name")?;
                let elements = self.elements(get(o, "elem")?)?;
                let table = self.ruleset.table(family, &table);
                if !adds {
                    table.delete_elements(&name, &elements);
                } else if !table.add_elements(&name, elements) {
                    reader.note(span, LineState::Unsupported, format!("set {name} is not defined"));
                }
            }
            "flowtable" | "counter" | "quota" | "limit" | "synproxy" | "secmark" | "ct helper" | "ct timeout" | "ct expectation"
            | "tunnel" => {
                return Some(());
            }
            _ => return None,
        }
        reader.mark(span, LineState::Understood);
        Some(())
    }

    fn set(&mut self, o: &Object<'a>, name: String, span: Span) -> Option<SetDecl<'a>> {
        let key = match get(o, "type") {
            Some(Value::StringLit(s)) => s.value.split(" . ").map(|t| KeyType::Name(Text::Owned(t.trim().to_owned()))).collect(),
            Some(Value::Array(_)) => strings(o, "type").into_iter().map(KeyType::Name).collect(),
            Some(Value::Object(of)) => {
                let e = self.expr(get(of, "typeof")?)?;
                match e.kind {
                    Kind::Concat(parts) => parts.into_iter().map(KeyType::Of).collect(),
                    _ => vec![KeyType::Of(e)],
                }
            }
            _ => vec![],
        };
        let elements = match get(o, "elem") {
            Some(v) => self.elements(v)?,
            None => vec![],
        };
        let flags = strings(o, "flags");
        let dynamic = flags.iter().any(|f| f == "dynamic" || f == "timeout") || get(o, "timeout").is_some();
        Some(SetDecl { name, span, key, is_map: get(o, "map").is_some(), dynamic, elements })
    }

    /// The elements of a set or map: values, `[key, data]`, or either within `{"elem": …}`.
    pub(super) fn elements(&mut self, v: &Value<'a>) -> Option<Vec<Elem<'a>>> {
        let Value::Array(list) = v else {
            let key = self.expr(v)?;
            return Some(vec![Elem { span: key.span, key, data: None }]);
        };
        list.elements
            .iter()
            .map(|v| {
                let span = self.span(v);
                match v {
                    Value::Array(pair) if pair.elements.len() == 2 => {
                        let mut parts = pair.elements.iter();
                        let key = self.expr(parts.next()?)?;
                        let data = self.expr(parts.next()?)?;
                        Some(Elem { key, data: Some(data), span })
                    }
                    _ => Some(Elem { key: self.expr(v)?, data: None, span }),
                }
            })
            .collect()
    }

    /// The text of a value, for what is not understood.
    pub(super) fn raw(&self, v: &Value<'a>) -> String {
        self.file.slice(self.span(v)).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// An expression of words.
    pub(super) fn symbol(&self, text: impl Into<Text<'a>>, v: &Value<'a>) -> Expr<'a> {
        Expr::new(Kind::Word(text.into()), self.span(v))
    }
}
