use proptest::prelude::*;

use super::*;

fn field(name: &str, value: &str) -> Field {
    (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

/// RFC 9204 §B.1: a literal with a reference to the static table
#[test]
fn example_of_the_text() {
    let section = b"\x00\x00\x51\x0b/index.html";
    assert_eq!(decode(section, 1000), Ok(vec![field(":path", "/index.html")]));
    assert_eq!(encode(&[field(":path", "/index.html")])[..], section[..]);
}

#[test]
fn static_references_and_literals() {
    let fields =
        [field(":method", "CONNECT"), field(":protocol", "webtransport-h3"), field("x-long-name", "")];
    let section = encode(&fields);
    assert_eq!(section[..3], [0, 0, 0xc0 | 15]);
    assert_eq!(decode(&section, 1000), Ok(fields.to_vec()));
    // Literal name, Huffman: "custom-key" of RFC 7541 §C.4.3
    let huffman = [0, 0, 0x2f, 1, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x01, b'v'];
    assert_eq!(decode(&huffman, 1000), Ok(vec![field("custom-key", "v")]));
}

/// RFC 9204 §3.1, §4.5.1: all of these are connection errors
#[test]
fn impossible_sections() {
    let cases: [&[u8]; 12] = [
        &[],
        &[0],
        &[1, 0],
        &[0, 0x80],
        &[0, 0, 0xff, 0x24],
        &[0, 0, 0x80],
        &[0, 0, 0x40],
        &[0, 0, 0x10],
        &[0, 0, 0x00],
        &[0, 0, 0x51, 5, b'a'],
        &[0, 0, 0x51, 0x81, 0x00],
        &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    for section in cases {
        assert!(matches!(decode(section, 1000), Err(DecodeError::Failed(_))), "{section:x?}");
    }
    assert!(decode(&[0, 0, 0xff, 0x23], 1000).is_ok(), "the last entry");
}

#[test]
fn the_size_is_bounded() {
    let section = encode(&[field("a", "b"), field("c", "d")]);
    assert_eq!(section_size(&decode(&section, 68).unwrap()), 68);
    assert_eq!(decode(&section, 67), Err(DecodeError::TooLarge));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        let fields: Vec<Field> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        prop_assert_eq!(decode(&encode(&fields), u64::MAX), Ok(fields));
    }

    #[test]
    fn takes_anything(section: Vec<u8>) {
        let _ = decode(&section, 4096);
    }
}
