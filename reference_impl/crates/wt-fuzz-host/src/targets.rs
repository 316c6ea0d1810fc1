//! What is fuzzed, with and without coverage to guide it: one table for `wt-fuzz` and libFuzzer.

use serde_json::{Value, json};

use crate::{codecs, compression, invariants, scenario};

/// Something that takes any bytes.
#[derive(Debug)]
pub struct Target {
    /// Its name on command lines.
    pub name: &'static str,
    /// Panics where an invariant does not hold. The result tells `wt-fuzz` what an input has led to.
    pub run: fn(&[u8]) -> Value,
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// The layouts of inputs are those of the operations in the documentation of the crate.
pub const TARGETS: &[Target] = &[
    // An established server: data on the CONNECT stream, a stream of the session, a datagram, an end
    Target {
        name: "machine",
        run: |x| json!(scenario::run(x)),
        seeds: &[
            b"\x03\x00\x00\x03\x00\x01x\x00\x04\x04\x40\x41\x00x\x0b\x02\x00d\x0f\x00\x00\x07",
            b"\x03\x00\x02\x0a\x04\x08\x99\x0b\x4d\x3d\x01\x00\x00\x00\x12\x00\x01\x13\x01\x00\x10",
            b"\x02\x0e\x00\x00\x00\x05\x01\x03\x00\x00\xd9\x12\x00\x04\x16\x04\x17\x04",
            b"\x01\x00\x02\x04\x00\x04\x00\x00\x0c\x00\x08\x00\x00\x00\x00\x00\x00\x01\x0c",
        ],
    },
    Target {
        name: "capsules",
        run: |x| checked(invariants::capsules, 4, x),
        seeds: &[
            b"\x07\x68\x43\x05\x00\x00\x00\x01x\x80\x00\x78\xae\x00",
            b"\x07\x99\x0b\x4d\x3d\x04\x90\x00\x00\x00\x99\x0b\x4d\x3f\x02\x44\x00",
            b"\x02\x99\x0b\x4d\x42\x01\x05\x17\x03\x01\x02\x03",
        ],
    },
    Target {
        name: "frames",
        run: |x| checked(invariants::frames, 2, x),
        seeds: &[b"\x00\x01x\x01\x03\x00\x00\xd9\x07\x01\x00", b"\x40\x41\x00x", b"\x21\x02ab\x04\x00"],
    },
    Target {
        name: "settings",
        run: |x| checked(invariants::settings, 3, x),
        seeds: &[
            b"\x01\x08\x01\x33\x01\xac\x7c\xf0\x00\x01\x06\x44\x00",
            b"\x00\x08\x01\x33\x01\xc0\x00\x00\x00\xc6\x71\x70\x6a\x01\x2b\x64\x01\x10",
            b"\x01\x2b\x60\x37\x42\x01\x02\x00",
        ],
    },
    Target {
        name: "fields",
        run: |x| checked(invariants::fields, 5, x),
        seeds: &[
            b"\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\xcf\xd7\x50\x01a\xc1\x27\x02:protocol\x0fwebtransport-h3",
            b"\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x5f\x1d\x83\x10\x84\xff",
        ],
    },
    Target {
        name: "compression",
        run: |x| json!(compression::play(x)),
        seeds: &[
            b"\x92\x80abcabcabcabcabc\x84abcabcabcabcabc\x08abcdefabcdefabc",
            b"\xf3\x00\x3f\x45\x41a\x01b\x41c\x01d\x00\x00\x00\x00\x00\x10\x03\x00\x80\x81",
        ],
    },
    Target {
        name: "requests",
        run: |x| codecs::run(6, x),
        seeds: &[b"\x00\x00\xcf\xd7\x50\x01a\xc1\x27\x02:protocol\x0fwebtransport-h3"],
    },
    Target {
        name: "responses",
        run: |x| codecs::run(7, x),
        seeds: &[b"\x00\x00\xd9\x27\x04wt-protocol\x03\"a\"", b"\x00\x00\xdb"],
    },
    Target {
        name: "streams",
        run: |x| codecs::run(9, x),
        seeds: &[
            b"\x01\x00\x00\x00\x00\x00\x00\x00\x04\x00\x40\x41\x00x",
            b"\x01\x00\x00\x00\x00\x00\x00\x00\x02\x01\x00\x04\x04\x08\x01\x33\x01",
            b"\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x40\x54\x00x",
        ],
    },
    Target {
        name: "protocols",
        run: |x| codecs::run(12, x),
        seeds: &[b"\"a\", \"b\";q=1\x00\"c\"", b"(\"a\" b);x, ?1\t"],
    },
    Target {
        name: "protocol",
        run: |x| codecs::run(13, x),
        seeds: &[b"\"a\";v=1"],
    },
];

fn checked(check: fn(&[u8]), op: u8, input: &[u8]) -> Value {
    check(input);
    codecs::run(op, input)
}

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
