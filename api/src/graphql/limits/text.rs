//! Bracket nesting of a text, measured before anything recursive reads it.
//!
//! The GraphQL parser, its validation rules and even dropping a parsed value recurse once per level, and a stack overflow aborts the
//! process: no handler can catch it. One pass over the bytes is enough to know the depth beforehand.

/// The deepest nesting of brackets in a GraphQL document. Strings and comments do not count.
#[must_use]
pub fn document_nesting(text: &str) -> usize {
    let mut scan = Scan::new(text);
    while let Some(byte) = scan.next() {
        match byte {
            b'#' => scan.skip_comment(),
            b'"' if scan.skip(b"\"\"") => scan.skip_block_string(),
            b'"' => scan.skip_string(),
            other => scan.count(other),
        }
    }
    scan.deepest
}

/// The deepest nesting of brackets in a JSON text. Strings do not count.
#[must_use]
pub fn json_nesting(text: &[u8]) -> usize {
    let mut scan = Scan { rest: text, open: 0, deepest: 0 };
    while let Some(byte) = scan.next() {
        match byte {
            b'"' => scan.skip_string(),
            other => scan.count(other),
        }
    }
    scan.deepest
}

struct Scan<'a> {
    rest: &'a [u8],
    open: usize,
    deepest: usize,
}

impl<'a> Scan<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), open: 0, deepest: 0 }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Skips these bytes if they come next.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(bytes) else { return false };
        self.rest = rest;
        true
    }

    fn count(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => {
                self.open += 1;
                self.deepest = self.deepest.max(self.open);
            }
            // A closing bracket without an opening one is an error that the parser reports.
            b')' | b']' | b'}' => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }

    fn skip_comment(&mut self) {
        while self.next().is_some_and(|byte| byte != b'\n' && byte != b'\r') {}
    }

    /// Skips to the end of a string. A line break ends it too: the grammars allow none in there, and what follows is then counted
    /// rather than overlooked.
    fn skip_string(&mut self) {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => drop(self.next()),
                b'"' | b'\n' | b'\r' => return,
                _ => {}
            }
        }
    }

    fn skip_block_string(&mut self) {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' if self.skip(b"\"\"\"") => {}
                b'"' if self.skip(b"\"\"") => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::{Selection, SelectionSet};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        for (text, depth) in [
            ("{ a }", 1),
            ("{ a(b: [[1]]) { c } }", 4),
            ("{ a(b: \"[[[[\") }", 2),
            ("{ a(b: \"\\\"[[[[\") }", 2),
            ("{ a(b: \"\\\\\", c: [[1]]) }", 4),
            ("{ a(b: \"\"\" [[ \\\"\"\" [[ \" [[ \"\"\") }", 2),
            ("{ a(b: \"\", c: [1]) }", 3),
            ("# [[[[\n{ a # {{{{\r b }", 1),
            ("{ a(b: \"[[[\n[[[", 5),
            (")]}{", 1),
            ("", 0),
        ] {
            assert_eq!(document_nesting(text), depth, "{text}");
        }
        assert_eq!(json_nesting(br#"{"a":["[[[\"[[", {"b":1}]}"#), 3);
    }

    #[test]
    fn what_is_allowed_is_read_quickly_and_what_is_deeper_is_seen() {
        for (open, close) in [("[", "]"), ("{a:", "}")] {
            let text = |depth: usize| format!("{{a(b:{}1{})}}", open.repeat(depth), close.repeat(depth));
            assert_eq!(document_nesting(&text(100_000)), 100_002);
            assert!(parse_query(text(super::super::MAX_NESTING - 2)).is_ok());
        }
    }

    fn selection_depth(set: &SelectionSet) -> usize {
        let inner = |item: &Selection| match item {
            Selection::Field(field) => selection_depth(&field.node.selection_set.node),
            Selection::InlineFragment(fragment) => selection_depth(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        };
        usize::from(!set.items.is_empty()) + set.items.iter().map(|item| inner(&item.node)).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn nothing_nests_deeper_than_its_text(pieces in proptest::collection::vec(
            prop_oneof![Just("{"), Just("}"), Just(" a "), Just("\""), Just("\"\"\""), Just("#"), Just("\n"), Just("\\"),
                Just("(b:"), Just("["), Just("]"), Just(")"), Just("1"), Just("... on A "), Just("@c")], 0..40)) {
            let text = format!("{{ a {}", pieces.concat());
            if let Ok(document) = parse_query(&text) {
                let depth = document.operations.iter().map(|(_, operation)| selection_depth(&operation.node.selection_set.node));
                prop_assert!(depth.max().unwrap_or(0) <= document_nesting(&text));
            }
        }

        #[test]
        fn nesting_of_json_is_that_of_its_values(value in json(), depth in 0_usize..20) {
            let nested = (0..depth).fold(value, |value, _| serde_json::json!([value]));
            prop_assert_eq!(json_nesting(nested.to_string().as_bytes()), json_depth(&nested));
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Into::into), ".*".prop_map(serde_json::Value::String)];
        leaf.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map(".*", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn json_depth(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(items) => 1 + items.iter().map(json_depth).max().unwrap_or(0),
            serde_json::Value::Object(fields) => 1 + fields.values().map(json_depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}
