//! The items of every menu after all commands, with what selectors name.

use std::collections::{BTreeMap, HashMap};

use super::parse::{Arg, Command};
use crate::source::Span;

/// A property with its place.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub text: String,
    /// The whole `name=value`.
    pub span: Span,
    /// The value without quotes.
    pub at: Span,
    /// Comes of a variable or a command: the text is not the value.
    pub computed: bool,
}

/// An item of a menu, or the only one of a menu of settings.
#[derive(Clone, Debug)]
pub(super) struct Item {
    values: BTreeMap<String, Value>,
    /// Flags that stand on their own (`blackhole`).
    pub flags: Vec<String>,
    /// The first command about it.
    pub span: Span,
    /// Made by `add`.
    pub added: bool,
}

impl Item {
    fn new(span: Span, added: bool) -> Item {
        Item { values: BTreeMap::new(), flags: vec![], span, added }
    }

    /// The value of a property; `None` where it is not written or not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|v| v.text.as_str())
    }

    /// As [`Item::get`], an empty text left out.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.is_empty())
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// All properties by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(n, v)| (n.as_str(), v))
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// `yes` and `true` mean the same.
    pub fn on(&self, name: &str) -> bool {
        matches!(self.get(name), Some("yes" | "true"))
    }

    /// Off where the property says so.
    pub fn off(&self, name: &str) -> bool {
        matches!(self.get(name), Some("no" | "false"))
    }

    pub fn disabled(&self) -> bool {
        self.on("disabled")
    }

    /// Where a property is written, or the item.
    pub fn at(&self, name: &str) -> Span {
        self.values.get(name).map_or(self.span, |v| v.span)
    }

    /// The parts of a list.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|v| v.split(',').map(str::trim).filter(|p| !p.is_empty()).collect()).unwrap_or_default()
    }
}

/// All menus.
#[derive(Default)]
pub(super) struct Tables {
    menus: HashMap<String, Menu>,
    /// Menus of which a command changes what cannot be told, with its place.
    pub unsure: BTreeMap<String, Span>,
    /// Menus that a script changes, or may change while the router runs, with the place of the script.
    pub scripted: BTreeMap<String, Span>,
}

/// Menus whose items are rules: the device comes with none, and a number is the place of one.
pub(super) fn holds_rules(menu: &str) -> bool {
    let table = menu.strip_prefix("ip firewall ").or(menu.strip_prefix("ipv6 firewall "));
    menu == "interface bridge filter" || table.is_some_and(|t| ["address-list", "filter", "mangle", "nat", "raw"].contains(&t))
}

#[derive(Default)]
struct Menu {
    items: Vec<Option<Item>>,
    by_key: HashMap<(String, String), usize>,
    span: Option<Span>,
}

/// Items that selectors may look at, over the whole file.
const SEARCHED: usize = 5_000_000;

enum Selector {
    /// All of these properties have these values.
    Where(Vec<(String, String)>),
    Unknown,
}

impl Tables {
    /// `whole`: what the commands do not add is not there.
    pub fn new(commands: &[Command], whole: bool) -> Tables {
        let mut out = Tables::default();
        let mut budget = SEARCHED;
        for command in commands.iter().filter(|c| !c.script && !c.menu.is_empty()) {
            out.run(command, &mut budget, whole);
        }
        out
    }

    fn run(&mut self, command: &Command, budget: &mut usize, whole: bool) {
        let rules = holds_rules(&command.menu);
        let menu = self.menus.entry(command.menu.clone()).or_default();
        menu.span.get_or_insert(command.span);
        if command.broken && !command.verb.is_empty() {
            // What it lost may be what makes it narrow.
            self.unsure.entry(command.menu.clone()).or_insert(command.span);
            return;
        }
        let mut sure = true;
        match command.verb.as_str() {
            "add" => {
                let mut item = Item::new(command.span, true);
                apply(&mut item, &command.args, true);
                sure &= item.get("place-before").is_none();
                menu.push(item);
            }
            "set" | "unset" | "remove" | "disable" | "enable" => {
                let first = command.args.first().filter(|a| a.bracket || (a.name.is_empty() && !a.unset));
                let numbers = command.args.iter().find(|a| a.name == "numbers");
                let rest = if first.is_some() { command.args.get(1..).unwrap_or_default() } else { &command.args[..] };
                let chosen = match first.or(numbers) {
                    Some(arg) => menu.select(arg, budget, command.verb == "set" && !rules, rules, command.span),
                    // Settings without items.
                    None if command.verb == "set" && !rules => Some(vec![menu.only(command.span)]),
                    None => None,
                };
                match chosen {
                    // A rule that the file does not show.
                    Some(chosen) if chosen.is_empty() && rules && !whole => sure = false,
                    Some(chosen) => {
                        for i in chosen {
                            menu.change(i, &command.verb, rest, command.span);
                        }
                    }
                    None => sure = false,
                }
            }
            "move" => sure = false,
            _ => sure = true,
        }
        if !sure {
            self.unsure.entry(command.menu.clone()).or_insert(command.span);
        }
    }

    /// The items of a menu, in order.
    pub fn items(&self, menu: &str) -> Vec<&Item> {
        self.menus.get(menu).map(|m| m.items.iter().flatten().collect()).unwrap_or_default()
    }

    /// The settings of a menu that has no items.
    pub fn settings(&self, menu: &str) -> Option<&Item> {
        self.menus.get(menu)?.items.iter().flatten().next()
    }

    /// Where something changes a menu in a way that cannot be told.
    pub fn open(&self, menu: &str) -> Option<Span> {
        self.unsure.get(menu).or(self.scripted.get(menu)).copied()
    }

    /// The first command about a menu.
    pub fn span(&self, menu: &str) -> Option<Span> {
        self.menus.get(menu)?.span
    }

    /// The names of the menus, in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.menus.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

const KEYS: &[&str] = &["name", "default-name", "default", "#"];

impl Menu {
    fn push(&mut self, item: Item) -> usize {
        let i = self.items.len();
        self.index(&item, i);
        self.items.push(Some(item));
        i
    }

    fn index(&mut self, item: &Item, i: usize) {
        for key in KEYS {
            if let Some(value) = item.get(key) {
                self.by_key.entry(((*key).to_owned(), value.to_owned())).or_insert(i);
            }
        }
    }

    /// The one item of a menu of settings.
    fn only(&mut self, span: Span) -> usize {
        if self.items.is_empty() { self.push(Item::new(span, false)) } else { 0 }
    }

    /// The items that a word or a selector names. What an item is that no command made is known from the selector itself: the device
    /// came with it. `None` where it cannot be told.
    fn select(&mut self, arg: &Arg, budget: &mut usize, make: bool, numbered: bool, span: Span) -> Option<Vec<usize>> {
        let conditions = match selector(arg) {
            Selector::Where(c) => c,
            Selector::Unknown => return None,
        };
        if let [(key, value)] = conditions.as_slice()
            && KEYS.contains(&key.as_str())
        {
            if let Some(i) = self.by_key.get(&(key.clone(), value.clone()))
                && self.items.get(*i).is_some_and(Option::is_some)
            {
                return Some(vec![*i]);
            }
            // A number names the items in their order, or as they were printed last. An export writes with it only the items that the device
            // came with, before those that were added.
            if key == "#" && (numbered || !make || self.items.iter().flatten().take(1).any(|i| i.added)) {
                return None;
            }
        } else {
            if *budget < self.items.len() {
                return None;
            }
            *budget -= self.items.len();
            let mut found = Vec::new();
            for (i, item) in self.items.iter().enumerate().filter_map(|(i, item)| Some((i, item.as_ref()?))) {
                let answers: Vec<Option<bool>> = conditions.iter().map(|(k, v)| has(item, k, v)).collect();
                if answers.contains(&Some(false)) {
                    continue;
                }
                if answers.contains(&None) {
                    return None;
                }
                found.push(i);
            }
            if !found.is_empty() || conditions.is_empty() {
                return Some(found);
            }
        }
        if !make {
            return Some(vec![]);
        }
        let mut item = Item::new(span, false);
        for (key, value) in conditions {
            item.values.insert(
                key,
                Value { text: value, span, at: Span::new(span.file, span.start as usize, span.start as usize), computed: false },
            );
        }
        Some(vec![self.push(item)])
    }

    fn change(&mut self, i: usize, verb: &str, args: &[Arg], span: Span) {
        let Some(slot) = self.items.get_mut(i) else { return };
        if verb == "remove" {
            *slot = None;
            return;
        }
        let Some(item) = slot else { return };
        match verb {
            "set" => apply(item, args, false),
            "unset" => {
                for arg in args {
                    item.values.remove(if arg.name.is_empty() { &arg.value } else { &arg.name });
                }
            }
            _ => {
                let text = if verb == "disable" { "yes" } else { "no" }.to_owned();
                item.values.insert("disabled".into(), Value { text, span, at: span, computed: false });
            }
        }
        if args.iter().any(|a| KEYS.contains(&a.name.as_str())) {
            for key in KEYS {
                if let Some(value) = item.values.get(*key) {
                    self.by_key.entry(((*key).to_owned(), value.text.clone())).or_insert(i);
                }
            }
        }
    }
}

/// Whether a property of an item has a value; `None` where it is not written, and its default is not known.
fn has(item: &Item, name: &str, value: &str) -> Option<bool> {
    let same = |text: &str| match text {
        "yes" | "true" => matches!(value, "yes" | "true"),
        "no" | "false" => matches!(value, "no" | "false"),
        _ => text == value,
    };
    match item.value(name) {
        Some(v) if v.computed => None,
        Some(v) => Some(same(&v.text)),
        None => match name {
            // What is in a file is not dynamic.
            "disabled" | "dynamic" | "log" => Some(same("no")),
            "action" => Some(value == "accept"),
            _ if matches!(value, "yes" | "no" | "true" | "false") => None,
            _ => Some(value.is_empty()),
        },
    }
}

fn apply(item: &mut Item, args: &[Arg], add: bool) {
    for arg in args {
        if arg.unset {
            item.values.remove(&arg.name);
        } else if !arg.name.is_empty() {
            let value = Value { text: arg.value.clone(), span: arg.span, at: arg.at, computed: arg.computed };
            item.values.insert(arg.name.clone(), value);
        } else if add && !arg.bracket {
            item.flags.push(arg.value.clone());
        }
    }
}

/// What a word or brackets select.
fn selector(arg: &Arg) -> Selector {
    if arg.computed {
        return Selector::Unknown;
    }
    if !arg.bracket {
        let word = arg.value.as_str();
        if word.contains(',') {
            return Selector::Unknown;
        }
        let key = if !word.is_empty() && (word.bytes().all(|c| c.is_ascii_digit()) || word.starts_with('*')) { "#" } else { "name" };
        return Selector::Where(vec![(key.to_owned(), word.to_owned())]);
    }
    let text = arg.value.as_str();
    let Some(rest) = text.strip_prefix("find") else { return Selector::Unknown };
    let rest = rest.trim().strip_prefix("where ").unwrap_or(rest).trim();
    let mut out = Vec::new();
    let mut at = rest;
    while !at.is_empty() {
        let Some((key, after)) = at.split_once('=') else { return Selector::Unknown };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.')) {
            return Selector::Unknown;
        }
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some((v, n)) if !v.contains('\\') => (v, n),
                _ => return Selector::Unknown,
            },
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        if value.contains(['$', '[', '(', '!', '~']) || value.starts_with('=') {
            return Selector::Unknown;
        }
        out.push((key.to_owned(), value.to_owned()));
        at = next.trim_start();
        for and in ["and ", "&& "] {
            at = at.strip_prefix(and).unwrap_or(at).trim_start();
        }
        if out.len() > 32 {
            return Selector::Unknown;
        }
    }
    Selector::Where(out)
}
