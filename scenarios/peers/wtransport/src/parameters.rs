//! Query parameters of the endpoints, with the bounds of `docs/endpoints.md`.

use std::collections::HashMap;
use std::time::Duration;

use url::form_urlencoded;

const MAX_MILLISECONDS: u64 = 60_000;
const MAX_COUNT: u64 = 1000;
pub const MAX_BYTES: u64 = 1 << 20;
const MAX_CODE: u64 = u32::MAX as u64;

/// A known parameter has an impossible value, or one that the library has no means for.
#[derive(Debug)]
pub struct Impossible;

pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Parses the part behind the question mark. Of a repeated parameter the first value counts.
    pub fn parse(query: &str) -> Self {
        let mut values = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            values
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        Self(values)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str, otherwise: u64, most: u64) -> Result<u64, Impossible> {
        match self.text(name) {
            None => Ok(otherwise),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text
                .parse()
                .ok()
                .filter(|value| *value <= most)
                .ok_or(Impossible),
            Some(_) => Err(Impossible),
        }
    }

    pub fn count(&self, name: &str) -> Result<u64, Impossible> {
        self.number(name, 0, MAX_COUNT)
    }

    pub fn bytes(&self, name: &str) -> Result<usize, Impossible> {
        Ok(self.number(name, 16, MAX_BYTES)? as usize)
    }

    pub fn code(&self) -> Result<u32, Impossible> {
        Ok(self.number("code", 0, MAX_CODE)? as u32)
    }

    pub fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Impossible> {
        Ok(self.number(name, u64::from(otherwise), 1)? == 1)
    }

    pub fn milliseconds(&self, name: &str) -> Result<Duration, Impossible> {
        self.number(name, 0, MAX_MILLISECONDS)
            .map(Duration::from_millis)
    }

    /// Refuses a parameter that the library has no means for.
    pub fn absent(&self, name: &str) -> Result<(), Impossible> {
        match self.text(name) {
            None | Some("0") => Ok(()),
            Some(_) => Err(Impossible),
        }
    }
}
