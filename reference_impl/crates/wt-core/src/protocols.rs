//! WT-Available-Protocols and WT-Protocol (-16 §3.3): Structured Fields of Strings only.

use bytes::Bytes;
use sfv::{BareItem, Item, ItemSerializer, List, ListEntry, ListSerializer, Parser, StringRef};

use crate::Field;

/// Name of the request field
pub const AVAILABLE: &str = "wt-available-protocols";
/// Name of the response field
pub const CHOSEN: &str = "wt-protocol";

/// The lines of a field as one value (RFC 9651 §4.2).
fn joined(headers: &[Field], name: &str) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers
        .iter()
        .filter(|(other, _)| &other[..] == name.as_bytes())
        .map(|(_, value)| &value[..])
        .collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

fn string(item: Item) -> Option<String> {
    match item.bare_item {
        BareItem::String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Members of the request field; none if it is absent or anything in it is not a String.
pub fn available(headers: &[Field]) -> Vec<String> {
    let parse = || {
        let list = Parser::new(&joined(headers, AVAILABLE)?).parse::<List>().ok()?;
        let strings = list.into_iter().map(|entry| match entry {
            ListEntry::Item(item) => string(item),
            ListEntry::InnerList(_) => None,
        });
        strings.collect::<Option<Vec<String>>>()
    };
    parse().unwrap_or_default()
}

/// The String of the response field; `None` if it is absent or not one.
pub fn chosen(headers: &[Field]) -> Option<String> {
    string(Parser::new(&joined(headers, CHOSEN)?).parse::<Item>().ok()?)
}

/// The request field; `None` if a name is not printable ASCII.
pub fn encode_available(names: &[String]) -> Option<Bytes> {
    let mut list = ListSerializer::new();
    for name in names {
        let _ = list.bare_item(StringRef::from_str(name).ok()?);
    }
    list.finish().map(Bytes::from)
}

/// The response field; `None` if the name is not printable ASCII.
pub fn encode_chosen(name: &str) -> Option<Bytes> {
    Some(ItemSerializer::new().bare_item(StringRef::from_str(name).ok()?).finish().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &'static str, values: &[&'static str]) -> Vec<Field> {
        let field = |value: &&'static str| {
            (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
        };
        values.iter().map(field).collect()
    }

    /// -16 §3.3
    #[test]
    fn only_strings_count() {
        for (values, expected) in [
            (&["\"a\", \"b\""][..], &["a", "b"][..]),
            (&["\"a\"", "\"b\""], &["a", "b"]),
            (&["\"a\";q=0.1;x, \"b\""], &["a", "b"]),
            (&[r#""a\"b\\""#], &["a\"b\\"]),
            (&["\"a\"\t,\t\"b\" \t"], &["a", "b"]),
            (&["\"a\", b"], &[]),
            (&["\"a\", (\"b\")"], &[]),
            (&["\"a\", 1"], &[]),
            (&["\"a\", ?1"], &[]),
            (&["\"a\", :YQ==:"], &[]),
            (&["\"a\", @1"], &[]),
            (&["\"a\","], &[]),
            (&["\"a"], &[]),
            (&["\"a\" \"b\""], &[]),
            (&["\"\u{e9}\""], &[]),
            (&[""], &[]),
            (&[], &[]),
        ] {
            assert_eq!(available(&lines(AVAILABLE, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn one_string_is_chosen() {
        for (values, expected) in [
            (&["\"a\""][..], Some("a")),
            (&["\"a\";v=1"], Some("a")),
            (&["a"], None),
            (&["1"], None),
            (&["\"a\"", "\"a\""], None),
            (&[], None),
        ] {
            assert_eq!(chosen(&lines(CHOSEN, values)).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn quoted_on_the_wire() {
        assert_eq!(encode_available(&["a".into(), "b\"".into()]).as_deref(), Some(&br#""a", "b\"""#[..]));
        assert_eq!(encode_chosen("a").as_deref(), Some(&b"\"a\""[..]));
        assert_eq!(encode_chosen("\u{e9}"), None);
    }
}
