//! Sections and instructions against the text, and both ends against each other.

mod interleaving;

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

fn fields_of(decoded: Result<Decoded, DecodeError>) -> Vec<Field> {
    match decoded {
        Ok(Decoded::Fields(fields)) => fields,
        other => panic!("{other:?}"),
    }
}

/// RFC 9204 §B.2 to §B.5, from the decoder's side
#[test]
fn examples_of_the_dynamic_table() {
    let mut decoder = Decoder::new(220, 1);
    let authority = field(":authority", "www.example.com");
    let path = field(":path", "/sample/path");
    decoder.encoder_stream(b"\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path").unwrap();
    let section = b"\x03\x81\x10\x11";
    assert_eq!(fields_of(decoder.decode(StreamId(4), section, 1000)), [authority.clone(), path]);
    assert_eq!(decoder.take_instructions()[..], [0x84]);

    decoder.encoder_stream(b"\x4acustom-key\x0ccustom-value").unwrap();
    assert_eq!(decoder.take_instructions()[..], [0x01]);

    let section = b"\x05\x00\x80\xc1\x81";
    assert_eq!(decoder.decode(StreamId(8), section, 1000), Ok(Decoded::Blocked));
    decoder.cancel(StreamId(8));
    assert_eq!(decoder.take_instructions()[..], [0x48]);
    assert_eq!(decoder.unblocked(), None);

    assert_eq!(decoder.decode(StreamId(12), section, 1000), Ok(Decoded::Blocked));
    decoder.encoder_stream(&[0x02]).unwrap();
    assert_eq!(decoder.unblocked(), Some(StreamId(12)));
    let fields = [authority, field(":path", "/"), field("custom-key", "custom-value")];
    assert_eq!(fields_of(decoder.decode(StreamId(12), section, 1000)), fields);

    decoder.encoder_stream(b"\x81\x0dcustom-value2").unwrap();
    // The newest is the insertion; the first entry is evicted
    assert_eq!(
        fields_of(decoder.decode(StreamId(16), b"\x06\x00\x80", 1000)),
        [field("custom-key", "custom-value2")]
    );
    let evicted = decoder.decode(StreamId(16), b"\x06\x00\x84", 1000);
    assert!(matches!(evicted, Err(DecodeError::Failed(_))), "{evicted:?}");
}

/// RFC 9204 §3.1, §3.2.2, §4.3: QPACK_ENCODER_STREAM_ERROR
#[test]
fn impossible_encoder_instructions() {
    let entry =
        |size: usize| [&[0x41, b'n', 0x7f][..], &[(size - 33 - 127) as u8], &vec![b'v'; size - 33]].concat();
    let with_entry = [&[0x3f, 0xa9, 0x01][..], &entry(200)].concat();
    let cases: [(&str, &[u8]); 8] = [
        ("capacity above the maximum", &[0x3f, 0xaa, 0x01]),
        ("an entry with capacity 0", &[0x41, b'n', 0x00]),
        ("a static name beyond the table", &[0x3f, 0xa9, 0x01, 0xff, 0x24, 0x00]),
        ("duplicate of nothing", &[0x3f, 0xa9, 0x01, 0x00]),
        ("duplicate of an entry before the first", &[&with_entry[..], &[0x01]].concat()),
        ("name of nothing", &[0x3f, 0xa9, 0x01, 0x80, 0x00]),
        ("an entry that is evicted", &[&with_entry[..], &[0x20, 0x00]].concat()),
        ("an entry above the capacity", &[&[0x3f, 0xa8, 0x01][..], &entry(200)].concat()),
    ];
    for (what, bytes) in cases {
        assert!(Decoder::new(200, 0).encoder_stream(bytes).is_err(), "{what}");
    }
    assert!(Decoder::new(200, 0).encoder_stream(&with_entry).is_ok());
    assert!(Decoder::new(0, 0).encoder_stream(&[0x20]).is_ok(), "0 is always allowed");
}

/// A string that could not be in the table is refused before it has come (RFC 9204 §7.4).
#[test]
fn long_strings_are_not_waited_for() {
    let mut decoder = Decoder::new(100, 0);
    assert!(
        decoder.encoder_stream(&[0x3f, 0x45, 0xc0, 0x7f, 0x91, 0x02]).is_ok(),
        "400 bytes of Huffman codes"
    );
    assert!(Decoder::new(100, 0).encoder_stream(&[0x3f, 0x45, 0xc0, 0x7f, 0x92, 0x02]).is_err());
}

/// RFC 9204 §2.1.2, §2.2.1, §2.2.3, §4.5.1
#[test]
fn impossible_references() {
    let filled = || {
        let mut decoder = Decoder::new(100, 1);
        decoder.encoder_stream(b"\x3f\x45\x41a\x01b\x41c\x01d").unwrap();
        decoder
    };
    // Two entries, MaxEntries = 3
    assert_eq!(
        fields_of(filled().decode(StreamId(0), &[3, 0, 0x80, 0x81], 1000)),
        [field("c", "d"), field("a", "b")]
    );
    assert_eq!(fields_of(filled().decode(StreamId(0), &[3, 0, 0x40, 0], 1000)), [field("c", "")]);
    assert_eq!(fields_of(filled().decode(StreamId(0), &[2, 0x80, 0x00, 0], 1000)), [field("a", "")]);
    let cases: [(&str, &[u8]); 9] = [
        ("beyond FullRange", &[7, 0]),
        ("a Required Insert Count of 0 written as another", &[1, 0]),
        ("negative base", &[3, 0x82]),
        ("before the Base there is nothing", &[3, 0, 0x82]),
        ("at the Required Insert Count", &[2, 0, 0x10]),
        ("the same, behind the Base", &[2, 1, 0x80]),
        ("name at the Required Insert Count", &[2, 0, 0x00, 0]),
        ("dynamic reference without Required Insert Count", &[0, 2, 0x80]),
        (
            "a Base beyond all integers",
            &[3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x80],
        ),
    ];
    for (what, section) in cases {
        let decoded = filled().decode(StreamId(0), section, 1000);
        assert!(matches!(decoded, Err(DecodeError::Failed(_))), "{what}: {decoded:?}");
    }
    let mut decoder = filled();
    assert_eq!(decoder.decode(StreamId(0), &[4, 0, 0x80], 1000), Ok(Decoded::Blocked));
    let second = decoder.decode(StreamId(4), &[4, 0, 0x80], 1000);
    assert!(matches!(second, Err(DecodeError::Failed(_))), "more blocked than allowed: {second:?}");
}

/// RFC 9204 §2.2.2: what is too large is not needed any more either
#[test]
fn large_sections_are_acknowledged() {
    let mut decoder = Decoder::new(100, 1);
    decoder.encoder_stream(b"\x3f\x45\x41a\x01b").unwrap();
    assert_eq!(decoder.decode(StreamId(0), &[2, 0, 0x80, 0x80], 67), Err(DecodeError::TooLarge));
    assert_eq!(decoder.take_instructions()[..], [0x80]);
    assert_eq!(decoder.decode(StreamId(4), &[0, 0, 0xc1], 10), Err(DecodeError::TooLarge));
    assert!(decoder.take_instructions().is_empty());
}

/// RFC 9204 §4.4: QPACK_DECODER_STREAM_ERROR
#[test]
fn impossible_decoder_instructions() {
    let mut encoder = Encoder::default();
    assert!(encoder.decoder_stream(&[0x44, 0x7f, 0xff, 0x01]).is_ok(), "cancellation of anything");
    for bytes in [&[0x00][..], &[0x05], &[0x80], &[&[0x7f][..], &[0xff; 10]].concat()] {
        assert!(Encoder::default().decoder_stream(bytes).is_err(), "{bytes:x?}");
    }
    encoder.allow(1000, 1000, 1);
    let fields = [field("a", "b")];
    encoder.encode(StreamId(0), &fields);
    assert!(encoder.take_instructions().is_empty(), "not what is sent once");
    assert_eq!(encoder.encode(StreamId(4), &fields)[..], [2, 0, 0x80]);
    assert_eq!(encoder.take_instructions()[..], *b"\x3f\xc9\x07\x41a\x01b");
    assert!(encoder.decoder_stream(&[0x80]).is_err(), "stream 0 has no references");
    encoder.decoder_stream(&[0x84]).unwrap();
    assert!(encoder.decoder_stream(&[0x84]).is_err(), "acknowledged twice");
    assert!(encoder.decoder_stream(&[0x01]).is_err(), "more than was inserted");
}

/// RFC 9204 §2.1.2: without leave no reference is ahead of what the peer has
#[test]
fn blocking_needs_leave() {
    let mut encoder = Encoder::default();
    encoder.allow(1000, 1000, 1);
    let (one, two) = ([field("a", "b")], [field("c", "d")]);
    for fields in [&one, &two] {
        encoder.encode(StreamId(0), fields);
    }
    assert_eq!(encoder.encode(StreamId(4), &one)[..], [2, 0, 0x80]);
    assert_eq!(encoder.encode(StreamId(8), &two)[..3], [0, 0, 0x21], "a second stream would be at risk");
    assert_eq!(encoder.encode(StreamId(4), &two)[..], [3, 0, 0x80], "the first is already");
    encoder.decoder_stream(&[0x02]).unwrap();
    assert_eq!(encoder.encode(StreamId(8), &two)[..], [3, 0, 0x80]);

    let mut never = Encoder::default();
    never.allow(1000, 1000, 0);
    for _ in 0..3 {
        assert_eq!(never.encode(StreamId(0), &one)[..3], [0, 0, 0x21]);
    }
    never.decoder_stream(&[0x01]).unwrap();
    assert_eq!(never.encode(StreamId(0), &one)[..], [2, 0, 0x80]);
}

/// RFC 9204 §2.1.1: entries that are referred to or on their way stay
#[test]
fn nothing_that_is_needed_is_evicted() {
    let mut encoder = Encoder::default();
    encoder.allow(110, 110, 9);
    let fields: Vec<[Field; 1]> = ["a", "b", "c", "d", "e"].map(|name| [field(name, "123")]).to_vec();
    for field in &fields {
        encoder.encode(StreamId(0), field);
    }
    for (stream, field) in (1..).zip(&fields[..3]) {
        encoder.encode(StreamId(4 * stream), field);
    }
    let before = encoder.take_instructions();
    assert!(!before.is_empty());
    encoder.encode(StreamId(16), &fields[3]);
    assert!(encoder.take_instructions().is_empty(), "unacknowledged");
    encoder.decoder_stream(&[0x03]).unwrap();
    encoder.encode(StreamId(16), &fields[3]);
    assert!(encoder.take_instructions().is_empty(), "referred to");
    encoder.decoder_stream(&[0x44]).unwrap();
    encoder.encode(StreamId(16), &fields[3]);
    assert!(!encoder.take_instructions().is_empty(), "the oldest is free");
}

/// RFC 9204 §7.1
#[test]
fn secrets_are_never_indexed() {
    let mut encoder = Encoder::default();
    encoder.allow(1000, 1000, 9);
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization"] {
        let fields = [field(name, "secret")];
        for stream in 0..3 {
            let section = encoder.encode(StreamId(4 * stream), &fields);
            let never = section[2] & 0xf0 == 0x70 || section[2] & 0xf0 == 0x30;
            assert!(never, "{name} {:x?}", section);
            assert_eq!(decode(&section, 1000), Ok(fields.to_vec()));
        }
    }
    assert!(encoder.take_instructions().is_empty());
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        let fields: Vec<Field> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        prop_assert_eq!(decode(&encode(&fields), u64::MAX), Ok(fields));
    }

    #[test]
    fn takes_anything(
        section: Vec<u8>,
        instructions in proptest::collection::vec(any::<u8>(), 0..200),
        capacity in 0u64..300,
    ) {
        let _ = decode(&section, 4096);
        let mut decoder = Decoder::new(capacity, 2);
        let _ = decoder.encoder_stream(b"\x3f\x45\x41a\x01b\x41c\x01d");
        let _ = decoder.encoder_stream(&instructions);
        let _ = decoder.decode(StreamId(0), &section, 4096);
        decoder.take_instructions();
        let mut encoder = Encoder::default();
        encoder.allow(capacity, capacity, 2);
        for stream in 0..4 {
            encoder.encode(StreamId(4 * stream), &[field("a", "b"), field("c", "d")]);
        }
        let _ = encoder.decoder_stream(&section);
        encoder.encode(StreamId(16), &[field("a", "b")]);
    }
}
