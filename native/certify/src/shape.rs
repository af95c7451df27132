//! What a venue's messages look like: which fields there are, of which types, and which of them may be absent.
//!
//! A catalogue is a text. `[place, place]` begins the messages of these places; a line `path: types` below it names a
//! field. In a path `?` follows what may be absent, `[]` stands for every item of a list, and `*` for every key of an
//! object whose keys are data. Of `text`, `integer`, `number`, `bool`, `null`, `list` and `object` several may stand, with `|` between them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Everything that this build knows of one venue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    root: Node,
    /// Whether its values are never written down.
    is_secret: bool,
}

/// What stands at one path.
#[derive(Debug, Clone, Default)]
struct Node {
    types: Types,
    is_optional: bool,
    fields: BTreeMap<String, Node>,
    /// Of an object whose keys are data.
    any_key: Option<Box<Node>>,
    items: Option<Box<Node>>,
}

/// Types that may stand in one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Types(u8);

const NAMES: [&str; 7] = ["text", "integer", "number", "bool", "null", "list", "object"];
const INTEGER: Types = Types(1 << 1);
const NUMBER: Types = Types(1 << 2);
const LIST: Types = Types(1 << 5);
const OBJECT: Types = Types(1 << 6);

impl Types {
    fn of(value: &Value) -> Self {
        let name = match value {
            Value::String(_) => "text",
            Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Null => "null",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        Self::named(name).unwrap_or_default()
    }

    fn named(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|known| *known == name)?;
        Some(Self(1 << at))
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn takes(self, found: Self) -> bool {
        self.0 & found.0 != 0 || (found == INTEGER && self.0 & NUMBER.0 != 0)
    }

    fn text(self) -> String {
        let names = NAMES.iter().enumerate();
        let held = names.filter(|(at, _)| self.0 & (1 << at) != 0);
        held.map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

/// How a message is not what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: String,
    /// What stands there, or where something is missing.
    pub(crate) text: String,
    /// Whether it is only something more, which a reader may pass over.
    pub(crate) is_addition: bool,
}

/// Stands for values that are not written down.
const HIDDEN: &str = "[not written down]";

impl Catalogue {
    /// Reads a catalogue; an error names its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let mut open: Vec<&str> = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((names, mark)) = heading(line) {
                open = names.split(", ").collect();
                for name in &open {
                    let place = places.entry((*name).to_owned()).or_default();
                    place.is_secret = mark == "secret";
                }
                continue;
            }
            let wrong = |what: &str| format!("line {number}: {what}: {line}");
            let (path, words) = line.rsplit_once(": ").ok_or_else(|| wrong("no types"))?;
            let mut types = Types::default();
            for word in words.split('|') {
                types.add(Types::named(word).ok_or_else(|| wrong("unknown type"))?);
            }
            if open.is_empty() {
                return Err(wrong("of no place"));
            }
            for name in &open {
                let place = places.entry((*name).to_owned()).or_default();
                place.root.at(path).types.add(types);
            }
        }
        Ok(Self { places })
    }

    /// Whether messages of a place are known at all.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.places.contains_key(place)
    }

    /// How a message differs from what is known of its place.
    pub(crate) fn findings(&self, place: &str, message: &Value) -> Vec<Finding> {
        let mut found = Vec::new();
        let Some(known) = self.places.get(place) else {
            return vec![Finding {
                what: "a kind of message that this build does not know".to_owned(),
                text: message.to_string(),
                is_addition: false,
            }];
        };
        known.root.check("", message, &mut found);
        if known.is_secret {
            for finding in &mut found {
                HIDDEN.clone_into(&mut finding.text);
            }
        }
        found
    }
}

/// The places that a line begins, and what is said of them beside. A path may begin with a bracket too, but names nothing
/// in it.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (names, mark) = line.strip_prefix('[')?.split_once(']')?;
    (!names.is_empty()).then(|| (names, mark.trim()))
}

impl Node {
    /// The node of a path, with all on the way to it.
    fn at(&mut self, path: &str) -> &mut Self {
        let mut node = self;
        for (depth, part) in path.split('.').enumerate() {
            let name = part.trim_end_matches("[]");
            let lists = (part.len() - name.len()) / 2;
            let is_optional = name.ends_with('?');
            let name = name.trim_end_matches('?');
            // A path may begin with the items of the message itself.
            if !(depth == 0 && name.is_empty()) {
                node.types.add(OBJECT);
                node = match name {
                    "*" => node.any_key.get_or_insert_default(),
                    name => node.fields.entry(name.to_owned()).or_default(),
                };
                node.is_optional |= is_optional;
            }
            for _ in 0..lists {
                node.types.add(LIST);
                node = node.items.get_or_insert_default();
            }
        }
        node
    }

    fn check(&self, path: &str, value: &Value, found: &mut Vec<Finding>) {
        let is = Types::of(value);
        if !self.types.takes(is) {
            found.push(Finding {
                what: format!("{}: {}, not {}", named(path), is.text(), self.types.text()),
                text: value.to_string(),
                is_addition: false,
            });
            return;
        }
        match value {
            Value::Array(items) => {
                if let Some(known) = &self.items {
                    let path = format!("{path}[]");
                    for item in items {
                        known.check(&path, item, found);
                    }
                }
            }
            Value::Object(fields) => self.check_fields(path, fields, value, found),
            _ => {}
        }
    }

    fn check_fields(
        &self,
        path: &str,
        fields: &serde_json::Map<String, Value>,
        whole: &Value,
        found: &mut Vec<Finding>,
    ) {
        // An object of which nothing more is told.
        if self.fields.is_empty() && self.any_key.is_none() {
            return;
        }
        for (name, value) in fields {
            match (self.fields.get(name), &self.any_key) {
                (Some(known), _) => known.check(&below(path, name), value, found),
                (None, Some(known)) => known.check(&below(path, "*"), value, found),
                (None, None) => found.push(Finding {
                    what: format!("{}: a field that this build does not know", below(path, name)),
                    text: value.to_string(),
                    is_addition: true,
                }),
            }
        }
        let is_missing = |(name, known): &(&String, &Self)| !known.is_optional && !fields.contains_key(*name);
        for (name, _) in self.fields.iter().filter(is_missing) {
            found.push(Finding {
                what: format!("{}: missing", below(path, name)),
                text: whole.to_string(),
                is_addition: false,
            });
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the message" } else { path }
}

/// What kind of message came on a stream: each wire names it in a place of its own.
pub(crate) fn kind(message: &Value) -> String {
    let word = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
    if let Some(stream) = word("/stream") {
        return stream.split_once('@').map_or(stream, |(_, kind)| kind).to_owned();
    }
    if let Some(kind) = word("/event/e").or_else(|| word("/e")) {
        return kind.to_owned();
    }
    if let Some(method) = word("/method") {
        return join(method, word("/result/channel"));
    }
    if let Some(channel) = word("/channel") {
        return join(channel, word("/type").or_else(|| word("/events/0/type")));
    }
    word("/type").unwrap_or("answer").to_owned()
}

fn join(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first} {second}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: &str = "
# Orders.
[order]
id: integer
price: text
note?: text|null
fills?[].price: text
free.*.size: number

[bars]
[][]: text|integer

[token] secret
token: text
";

    fn found(place: &str, message: &Value) -> Vec<(String, bool)> {
        let findings = Catalogue::parse(KNOWN).unwrap().findings(place, message);
        let short = |finding: Finding| (finding.what, finding.is_addition);
        findings.into_iter().map(short).collect()
    }

    #[test]
    fn what_is_known_has_no_findings() {
        for order in [
            json!({"id": 1, "price": "2", "free": {}}),
            json!({"id": 1, "price": "2", "note": null, "fills": [], "free": {"BTC": {"size": 1}}}),
            json!({"id": 1, "price": "2", "fills": [{"price": "1"}], "free": {"BTC": {"size": 1.5}}}),
        ] {
            assert_eq!(found("order", &order), [], "{order}");
        }
        assert_eq!(found("bars", &json!([[1, "2"], [3, "4"]])), []);
    }

    #[test]
    fn what_is_more_missing_or_of_another_type_is_told_with_its_path() {
        let order = json!({"price": 2, "fills": [{"price": "1", "fee": 0}], "free": {"BTC": {}}});
        let expected = [
            ("fills[].fee: a field that this build does not know", true),
            ("free.*.size: missing", false),
            ("price: integer, not text", false),
            ("id: missing", false),
        ];
        assert_eq!(
            found("order", &order),
            expected.map(|(what, more)| (what.to_owned(), more))
        );
        assert_eq!(
            found("bars", &json!([[1, 2.5]]))[0].0,
            "[][]: number, not text or integer"
        );
        assert_eq!(found("bars", &json!("none"))[0].0, "the message: text, not list");
        assert_eq!(
            found("news", &json!({}))[0].0,
            "a kind of message that this build does not know"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let catalogue = Catalogue::parse(KNOWN).unwrap();
        let findings = catalogue.findings("token", &json!({"key": "s3cret"}));
        assert_eq!(findings.len(), 2);
        assert!(
            findings.iter().all(|finding| finding.text == HIDDEN),
            "{findings:?}"
        );
    }

    #[test]
    fn a_catalogue_that_cannot_be_read_is_told_by_its_line() {
        for (text, what) in [
            ("id: integer", "line 1: of no place"),
            ("[]: integer", "line 1: of no place"),
            ("[order]\nid", "line 2: no types"),
            ("[order]\nid: word", "line 2: unknown type"),
        ] {
            let error = Catalogue::parse(text).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
    }

    #[test]
    fn each_wire_names_its_kinds_in_a_place_of_its_own() {
        for (message, expected) in [
            (
                json!({"stream": "btcusdt@depth@100ms", "data": {}}),
                "depth@100ms",
            ),
            (
                json!({"subscriptionId": 0, "event": {"e": "executionReport"}}),
                "executionReport",
            ),
            (json!({"channel": "book", "type": "update"}), "book update"),
            (
                json!({"method": "subscribe", "result": {"channel": "book"}}),
                "subscribe book",
            ),
            (
                json!({"channel": "l2_data", "events": [{"type": "snapshot"}]}),
                "l2_data snapshot",
            ),
            (json!({"id": 1, "result": null}), "answer"),
        ] {
            assert_eq!(kind(&message), expected);
        }
    }
}
