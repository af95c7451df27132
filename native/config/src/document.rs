//! A file read against its schema: checked values with their places, and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::FILE_BYTES_MAX;
use crate::fault::{ConfigErrors, Fault, FaultKind, line_column};
use crate::nearest::nearest;
use crate::schema::{Key, Kind, Presence};
use crate::values::{Value, check, default_value, describe};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: usize,
    column: usize,
}

/// One or more layers of a file, read against a schema.
#[derive(Debug)]
pub(crate) struct Document {
    keys: &'static [Key],
    values: BTreeMap<String, (Value, Place)>,
    /// Every key that stands in the file, also one whose value is refused.
    seen: BTreeSet<String>,
    /// Tables and their headers; an element of a list under `name[i]`.
    tables: BTreeMap<String, Place>,
    lists: BTreeMap<String, usize>,
    /// Whether the file could be read to its end; if not, what is missing is not known.
    whole: bool,
    start: Place,
    /// Names of the layers, lowest first.
    files: Vec<String>,
    faults: Vec<Fault>,
}

impl Document {
    /// Reads one file.
    pub(crate) fn read(keys: &'static [Key], file: &str, text: &str) -> Self {
        let mut document = Self::empty(keys, file);
        if text.len() > FILE_BYTES_MAX {
            document.whole = false;
            let found = format!("{} bytes", text.len());
            document.fault(
                "",
                FaultKind::Syntax,
                found,
                format!("at most {FILE_BYTES_MAX} bytes"),
            );
            return document;
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut layer = Layer {
            document: &mut document,
            file,
            text,
        };
        for error in &errors {
            layer.syntax(error);
        }
        layer.table(root.get_ref(), "", "");
        document
    }

    fn empty(keys: &'static [Key], file: &str) -> Self {
        let start = Place {
            file: file.to_owned(),
            line: 1,
            column: 1,
        };
        Self {
            keys,
            values: BTreeMap::new(),
            seen: BTreeSet::new(),
            tables: BTreeMap::new(),
            lists: BTreeMap::new(),
            whole: true,
            start,
            files: vec![file.to_owned()],
            faults: Vec::new(),
        }
    }

    /// Lays `upper` over this file: its keys win, a list of tables replaces the one below.
    pub(crate) fn overlay(mut self, upper: Self) -> Self {
        let replaced = |path: &str| {
            upper
                .lists
                .keys()
                .any(|list| path.starts_with(&format!("{list}[")))
        };
        self.values.retain(|path, _| !replaced(path));
        self.seen.retain(|path| !replaced(path));
        self.tables.retain(|path, _| !replaced(path));
        self.values.extend(upper.values);
        self.seen.extend(upper.seen);
        self.tables.extend(upper.tables);
        self.lists.extend(upper.lists);
        self.whole &= upper.whole;
        self.faults.extend(upper.faults);
        self.files.extend(upper.files);
        self.start = upper.start;
        self
    }

    /// Reports every required key that is not there. Called once, before values are taken.
    pub(crate) fn require_all(&mut self) {
        if !self.whole {
            return;
        }
        for key in self.keys {
            match key.path.split_once("[].") {
                None => self.require(key, key.path),
                Some((list, rest)) => {
                    for at in 0..self.length(list) {
                        self.require(key, &format!("{list}[{at}].{rest}"));
                    }
                }
            }
        }
    }

    fn require(&mut self, key: &Key, path: &str) {
        let demanded = match key.kind {
            Kind::Tables { min, .. } => min > 0,
            _ => key.presence == Presence::Required,
        };
        if demanded && !self.seen.contains(path) {
            self.fault(path, FaultKind::MissingKey, String::new(), key.kind.to_string());
        }
    }

    /// How many tables a list has.
    pub(crate) fn length(&self, list: &str) -> usize {
        self.lists.get(list).copied().unwrap_or(0)
    }

    /// Notes a fault at a key, or where the key would stand.
    pub(crate) fn fault(&mut self, path: &str, kind: FaultKind, found: String, allowed: String) {
        let place = self.place(path);
        self.faults.push(Fault {
            file: place.file,
            line: place.line,
            column: place.column,
            key: path.to_owned(),
            kind,
            found,
            allowed,
            nearest: None,
        });
    }

    fn place(&self, path: &str) -> Place {
        if let Some((_, place)) = self.values.get(path) {
            return place.clone();
        }
        let mut table = path;
        while let Some((parent, _)) = table.rsplit_once('.') {
            if let Some(place) = self.tables.get(parent) {
                return place.clone();
            }
            table = parent;
        }
        self.tables.get(path).unwrap_or(&self.start).clone()
    }

    /// The document without faults, or all of them.
    pub(crate) fn finish(mut self) -> Result<Self, ConfigErrors> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        // Stable: faults of one place keep their order. A lower layer's come before an upper's.
        let layer = |file: &str| self.files.iter().position(|name| name == file);
        self.faults
            .sort_by_key(|fault| (layer(&fault.file), fault.line, fault.column));
        Err(ConfigErrors(self.faults))
    }

    fn value(&self, path: &str) -> Option<Value> {
        if let Some((value, _)) = self.values.get(path) {
            return Some(value.clone());
        }
        let key = self.keys.iter().find(|key| key.path == schema_path(path))?;
        match key.presence {
            Presence::Default(text) if !self.seen.contains(path) => default_value(key, text),
            _ => None,
        }
    }

    /// Whether the key stands in the file, whatever its value.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.seen.contains(path)
    }

    /// A whole number; `None` when absent or refused.
    pub(crate) fn integer(&self, path: &str) -> Option<i64> {
        match self.value(path)? {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// A decimal number; `None` when absent or refused.
    pub(crate) fn decimal(&self, path: &str) -> Option<Decimal> {
        match self.value(path)? {
            Value::Decimal(value) => Some(value),
            _ => None,
        }
    }

    /// A text, path, address or word; `None` when absent or refused.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.value(path)? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// A list of texts; `None` when absent or refused.
    pub(crate) fn texts(&self, path: &str) -> Option<Vec<String>> {
        match self.value(path)? {
            Value::Texts(value) => Some(value),
            _ => None,
        }
    }
}

/// `slot[3].id` is `slot[].id` in the schema.
fn schema_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            _ if !inside => out.push(letter),
            _ => {}
        }
    }
    out
}

/// One file while it is walked.
struct Layer<'d> {
    document: &'d mut Document,
    file: &'d str,
    text: &'d str,
}

impl Layer<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let (line, column) = line_column(self.text, span.start);
        Place {
            file: self.file.to_owned(),
            line,
            column,
        }
    }

    fn push(&mut self, path: &str, kind: FaultKind, span: &Range<usize>, found: String, allowed: String) {
        let Place { file, line, column } = self.place(span);
        let fault = Fault {
            file,
            line,
            column,
            key: path.to_owned(),
            kind,
            found,
            allowed,
            nearest: None,
        };
        self.document.faults.push(fault);
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        if error.message().contains("duplicate key") {
            let name = self.text.get(span.clone()).unwrap_or("").to_owned();
            self.push(
                &name,
                FaultKind::Duplicate,
                &span,
                "the key a second time".to_owned(),
                "once".to_owned(),
            );
        } else {
            self.document.whole = false;
            self.push(
                "",
                FaultKind::Syntax,
                &span,
                error.message().replace('\n', ", "),
                "TOML 1.0".to_owned(),
            );
        }
    }

    /// Walks a table: `pattern` is its path in the schema, `path` its path in the file.
    fn table(&mut self, table: &DeTable<'_>, pattern: &str, path: &str) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let (span, word) = (name.span(), name.get_ref().as_ref());
            let (parent, pattern, here) = (pattern, join(pattern, word), join(path, word));
            let keys = self.document.keys;
            if word.contains(['.', '[', ']']) {
                // A quoted name with a dot is one key, not the path it looks like.
                self.unknown(
                    &span,
                    parent,
                    &format!("{word:?}"),
                    &join(path, &format!("{word:?}")),
                );
            } else if let Some(key) = keys.iter().find(|key| key.path == pattern) {
                self.document.seen.insert(here.clone());
                match key.kind {
                    Kind::Tables { min, max } => self.tables(value, &pattern, &here, min..=max),
                    kind => self.scalar(kind, value, &here),
                }
            } else if keys
                .iter()
                .any(|key| key.path.starts_with(&format!("{pattern}.")))
            {
                let place = self.place(&span);
                self.document.tables.insert(here.clone(), place);
                match value.get_ref() {
                    DeValue::Table(inner) => self.table(inner, &pattern, &here),
                    other => {
                        let found = describe(other, self.source(&value.span()));
                        self.push(
                            &here,
                            FaultKind::WrongType,
                            &value.span(),
                            found,
                            "a table".to_owned(),
                        );
                    }
                }
            } else {
                self.unknown(&span, parent, word, &here);
            }
        }
    }

    fn tables(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        pattern: &str,
        path: &str,
        allowed: std::ops::RangeInclusive<usize>,
    ) {
        let span = value.span();
        let list = match value.get_ref() {
            DeValue::Array(list) => list,
            other => {
                let found = describe(other, self.source(&span));
                self.push(
                    path,
                    FaultKind::WrongType,
                    &span,
                    found,
                    format!("tables [[{path}]]"),
                );
                return;
            }
        };
        // What is beyond the bound is reported as a whole, not element by element.
        let walked = list.len().min(*allowed.end());
        self.document.lists.insert(path.to_owned(), walked);
        if !allowed.contains(&list.len()) {
            let words = format!("{} to {} tables", allowed.start(), allowed.end());
            self.push(
                path,
                FaultKind::OutOfRange,
                &span,
                format!("{} tables", list.len()),
                words,
            );
        }
        for (at, element) in list.iter().enumerate().take(*allowed.end()) {
            let here = format!("{path}[{at}]");
            let place = self.place(&element.span());
            self.document.tables.insert(here.clone(), place);
            if let DeValue::Table(table) = element.get_ref() {
                self.table(table, &format!("{pattern}[]"), &here);
            } else {
                let found = describe(element.get_ref(), self.source(&element.span()));
                self.push(
                    &here,
                    FaultKind::WrongType,
                    &element.span(),
                    found,
                    format!("a table [[{path}]]"),
                );
            }
        }
    }

    fn scalar(&mut self, kind: Kind, value: &Spanned<DeValue<'_>>, path: &str) {
        let span = value.span();
        let source = self.source(&span);
        if source.is_empty() {
            // The parser puts an empty value where a syntax error took the real one, and has reported it.
            return;
        }
        match check(kind, value.get_ref(), source) {
            Ok(checked) => {
                let place = self.place(&span);
                self.document.values.insert(path.to_owned(), (checked, place));
            }
            Err((fault, allowed)) => {
                let found = if matches!(kind, Kind::Url(_)) && source.contains('@') {
                    // A password must not reach a log through its refusal.
                    "an address with a user or password".to_owned()
                } else {
                    describe(value.get_ref(), source)
                };
                self.push(path, fault, &span, found, allowed);
            }
        }
    }

    fn source(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// Notes the key `word` under the table `parent` (its path in the schema).
    fn unknown(&mut self, span: &Range<usize>, parent: &str, word: &str, path: &str) {
        let keys = self.document.keys;
        let mut siblings: Vec<&'static str> = Vec::new();
        for key in keys {
            if let Some(name) = child_of(key.path, parent)
                && !siblings.contains(&name)
            {
                siblings.push(name);
            }
        }
        // A key of this very name in another table tells more than a similar one here.
        let last = |key: &'static Key| key.path.rsplit(['.']).next().unwrap_or(key.path);
        let elsewhere = keys
            .iter()
            .find(|key| last(key) == word)
            .map(|key| key.path.to_owned());
        let table = path.strip_suffix(word).unwrap_or("");
        let near = elsewhere
            .or_else(|| nearest(word, siblings.iter().copied()).map(|name| format!("{table}{name}")));
        self.push(
            path,
            FaultKind::UnknownKey,
            span,
            String::new(),
            siblings.join(", "),
        );
        if let Some(fault) = self.document.faults.last_mut() {
            fault.nearest = near;
        }
    }
}

/// The name under `parent` that leads to `path`, without brackets.
fn child_of<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let rest = if parent.is_empty() {
        path
    } else {
        path.strip_prefix(parent)?.strip_prefix('.')?
    };
    rest.split(['.', '[']).next()
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{FileKind, schema};

    #[test]
    fn every_default_is_allowed_and_every_path_is_unique() {
        for kind in FileKind::ALL {
            let keys = schema(kind);
            for (at, key) in keys.iter().enumerate() {
                assert!(
                    keys[..at].iter().all(|other| other.path != key.path),
                    "{} twice",
                    key.path
                );
                assert!(!key.doc.is_empty(), "{} has no words", key.path);
                if let Presence::Default(text) = key.presence {
                    assert!(
                        default_value(key, text).is_some(),
                        "{}: default {text} is refused",
                        key.path
                    );
                }
            }
        }
    }
}
