//! Inputs made of other inputs, for fuzzing without instrumentation: what a result looks like, its numbers and
//! bytes left out, tells whether an input is worth keeping.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::Value;

/// Inputs that are kept at most; later ones replace others
const MAX_INPUTS: usize = 4096;
/// Bytes of the largest input
const MAX_LENGTH: usize = 1024;
/// Numbers at the borders of the variable-length integers (RFC 9000 §16), and one of each width beyond
const BORDERS: [u8; 10] = [0, 1, 0x3f, 0x40, 0x54, 0x7f, 0x80, 0xbf, 0xc0, 0xff];

/// Inputs of one target, and a generator that is determined by its seed.
#[derive(Debug)]
pub struct Corpus {
    random: SmallRng,
    inputs: Vec<Vec<u8>>,
    shapes: HashSet<u64>,
}

impl Corpus {
    /// Begins with the given inputs.
    pub fn new(seed: u64, inputs: Vec<Vec<u8>>) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), inputs, shapes: HashSet::new() }
    }

    /// The next input to try.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.inputs.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..6) {
            self.change(&mut input);
        }
        input.truncate(MAX_LENGTH);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len());
        match random.random_range(0..8) {
            0 => input.insert(at, random.random()),
            1 => drop(input.drain(at..end)),
            2 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            3 if at < input.len() => input[at] = BORDERS[random.random_range(0..BORDERS.len())],
            4 if at < input.len() => input[at] = input[at].wrapping_add(random.random_range(1..=u8::MAX)),
            5 => input.truncate(at),
            6 => {
                // A piece twice
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                // The end of another
                let other = self.inputs.choose(&mut self.random).cloned().unwrap_or_default();
                input.truncate(at);
                let from = self.random.random_range(0..=other.len());
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    /// Keeps an input whose result looks new. `true`: it was kept.
    pub fn learn(&mut self, input: Vec<u8>, result: &Value) -> bool {
        let mut hasher = DefaultHasher::new();
        shape(result, &mut hasher);
        if !self.shapes.insert(hasher.finish()) {
            return false;
        }
        if self.inputs.len() < MAX_INPUTS {
            self.inputs.push(input);
        } else {
            let index = self.random.random_range(0..MAX_INPUTS);
            self.inputs[index] = input;
        }
        true
    }

    /// Results that looked different.
    pub fn shapes(&self) -> usize {
        self.shapes.len()
    }
}

/// Structure and names, but neither bytes nor numbers.
fn shape(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Bool(value) => (1u8, value).hash(hasher),
        Value::Number(value) => (2u8, value.as_u64().map_or(0, u64::leading_zeros) / 16).hash(hasher),
        Value::String(text) => {
            let is_name = text.bytes().all(|x| x.is_ascii_alphanumeric() || x == b'_')
                && text.len() > 7
                && !text.bytes().all(|x| x.is_ascii_hexdigit())
                || text.starts_with("CloseConnection");
            (3u8, if is_name { text.as_str() } else { "" }).hash(hasher);
        }
        Value::Array(items) => {
            (4u8, items.len().min(8)).hash(hasher);
            items.iter().for_each(|item| shape(item, hasher));
        }
        Value::Object(items) => {
            5u8.hash(hasher);
            for (name, item) in items {
                name.hash(hasher);
                shape(item, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_seed_decides() {
        let inputs = |seed| {
            let mut corpus = Corpus::new(seed, vec![b"one".to_vec(), b"another".to_vec()]);
            (0..50).map(|_| corpus.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().all(|input| input.len() <= MAX_LENGTH));
    }

    #[test]
    fn what_looks_new_is_kept() {
        let mut corpus = Corpus::new(1, Vec::new());
        assert!(corpus.learn(vec![1], &json!({ "ok": [{ "type": 1, "payload": "00ff" }] })));
        assert!(!corpus.learn(vec![2], &json!({ "ok": [{ "type": 2, "payload": "" }] })));
        assert!(corpus.learn(vec![3], &json!({ "error": "H3_FRAME_ERROR" })));
        assert!(corpus.learn(vec![4], &json!({ "error": "H3_ID_ERROR" })));
        assert_eq!((corpus.shapes(), corpus.inputs.len()), (3, 3));
    }
}
