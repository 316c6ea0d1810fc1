//! An encoder and a decoder whose streams arrive in any order, as QUIC allows.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*};

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A section is sent on a stream.
    Send { stream: u8, fields: Vec<u8> },
    /// Bytes of the encoder stream arrive.
    Encoder(usize),
    /// Bytes of the decoder stream arrive.
    Decoder(usize),
    /// The next section of a stream arrives.
    Section { stream: u8 },
    /// The receiver gives a stream up.
    Cancel { stream: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || 0u8..6;
    prop_oneof![
        4 => (stream(), vec(0u8..12, 0..5)).prop_map(|(stream, fields)| Step::Send { stream, fields }),
        3 => (1usize..60).prop_map(Step::Encoder),
        3 => (1usize..10).prop_map(Step::Decoder),
        4 => stream().prop_map(|stream| Step::Section { stream }),
        1 => stream().prop_map(|stream| Step::Cancel { stream }),
    ]
}

/// Both ends, and what is on its way between them.
struct Link {
    encoder: Encoder,
    decoder: Decoder,
    max_blocked: u64,
    to_decoder: BytesMut,
    to_encoder: BytesMut,
    sections: BTreeMap<StreamId, VecDeque<(Bytes, Vec<Field>)>>,
    blocked: BTreeMap<StreamId, (Bytes, Vec<Field>)>,
    /// Streams that were given up: nothing more is sent or read there
    over: Vec<StreamId>,
    delivered: usize,
}

impl Link {
    fn new(capacity: u64, max_blocked: u64) -> Self {
        let mut encoder = Encoder::default();
        encoder.allow(capacity, capacity, max_blocked);
        Self {
            encoder,
            decoder: Decoder::new(capacity, max_blocked),
            max_blocked,
            to_decoder: BytesMut::new(),
            to_encoder: BytesMut::new(),
            sections: BTreeMap::new(),
            blocked: BTreeMap::new(),
            over: Vec::new(),
            delivered: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { stream, fields } => {
                let stream = StreamId(4 * u64::from(stream));
                if self.over.contains(&stream) {
                    return;
                }
                // Names repeat more than values; one is in the static table, one is long, one is a secret
                let names = ["x-name", ":authority", "a", "cookie", "a-name-that-fills-the-table", "origin"];
                let fields: Vec<Field> = fields
                    .iter()
                    .map(|n| field(names[usize::from(n % 6)], ["value", "another value"][usize::from(n / 6)]))
                    .collect();
                let section = self.encoder.encode(stream, &fields);
                self.to_decoder.extend_from_slice(&self.encoder.take_instructions());
                self.sections.entry(stream).or_default().push_back((section, fields));
            }
            Step::Encoder(bytes) => {
                let bytes = self.to_decoder.split_to(bytes.min(self.to_decoder.len()));
                self.decoder.encoder_stream(&bytes).unwrap();
                while let Some(stream) = self.decoder.unblocked() {
                    let (section, fields) = self.blocked.remove(&stream).unwrap();
                    self.decode(stream, section, fields);
                }
            }
            Step::Decoder(bytes) => {
                self.to_encoder.extend_from_slice(&self.decoder.take_instructions());
                let bytes = self.to_encoder.split_to(bytes.min(self.to_encoder.len()));
                self.encoder.decoder_stream(&bytes).unwrap();
            }
            Step::Section { stream } => {
                let stream = StreamId(4 * u64::from(stream));
                if self.blocked.contains_key(&stream) || self.over.contains(&stream) {
                    return;
                }
                let next = self.sections.get_mut(&stream).and_then(VecDeque::pop_front);
                if let Some((section, fields)) = next {
                    self.decode(stream, section, fields);
                }
            }
            Step::Cancel { stream } => {
                let stream = StreamId(4 * u64::from(stream));
                if !self.over.contains(&stream) {
                    self.over.push(stream);
                    self.blocked.remove(&stream);
                    self.decoder.cancel(stream);
                }
            }
        }
    }

    fn decode(&mut self, stream: StreamId, section: Bytes, fields: Vec<Field>) {
        match self.decoder.decode(stream, &section, u64::MAX).unwrap() {
            Decoded::Fields(decoded) => {
                assert_eq!(decoded, fields);
                self.delivered += 1;
            }
            Decoded::Blocked => {
                self.blocked.insert(stream, (section, fields));
                assert!(self.blocked.len() as u64 <= self.max_blocked);
            }
        }
    }

    /// All that is on its way arrives.
    fn settle(&mut self) {
        self.step(Step::Encoder(usize::MAX));
        for stream in 0..6 {
            while self.sections.get(&StreamId(4 * stream)).is_some_and(|queue| !queue.is_empty())
                && !self.over.contains(&StreamId(4 * stream))
            {
                self.step(Step::Section { stream: stream as u8 });
            }
        }
        self.step(Step::Decoder(usize::MAX));
        assert!(self.blocked.is_empty());
    }
}

proptest! {
    #[test]
    fn no_order_of_arrival_matters(
        capacity in 0u64..400,
        max_blocked in 0u64..4,
        steps in vec(step(), 0..120),
    ) {
        let mut link = Link::new(capacity, max_blocked);
        steps.into_iter().for_each(|step| link.step(step));
        link.settle();
    }
}

/// What the table is for: the second request of a client costs little, the third next to nothing.
#[test]
fn repeated_fields_shrink() {
    let fields =
        [field(":authority", "host.example"), field(":path", "/a/path"), field("user-agent", "an agent")];
    let mut link = Link::new(4096, 16);
    let mut sizes = Vec::new();
    for stream in 0..3 {
        let section = link.encoder.encode(StreamId(4 * stream), &fields);
        link.to_decoder.extend_from_slice(&link.encoder.take_instructions());
        sizes.push((section.len(), link.to_decoder.len()));
        link.sections.entry(StreamId(4 * stream)).or_default().push_back((section, fields.to_vec()));
        link.settle();
    }
    assert_eq!(sizes, [(36, 0), (5, 37), (5, 0)]);
    assert_eq!(link.delivered, 3);
}
