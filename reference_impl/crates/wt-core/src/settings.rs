//! SETTINGS: what is sent, and what a peer may send (RFC 9114 §7.2.4, -16 §9.2).

use bytes::BytesMut;

use crate::{Config, Draft, FlowSwitch, RememberedSettings, Role, code, frame, varint};

/// SETTINGS_QPACK_MAX_TABLE_CAPACITY (RFC 9204 §5)
pub const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
/// SETTINGS_QPACK_BLOCKED_STREAMS (RFC 9204 §5)
pub const QPACK_BLOCKED_STREAMS: u64 = 0x07;
/// SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §7.2.4.1)
pub const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
/// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 9220)
pub const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
/// SETTINGS_H3_DATAGRAM (RFC 9297 §2.1.1)
pub const H3_DATAGRAM: u64 = 0x33;
/// The same in the draft of HTTP datagrams that draft-02 goes with
pub const H3_DATAGRAM_DRAFT: u64 = 0xff_d277;
/// SETTINGS_WT_INITIAL_MAX_DATA
pub const WT_INITIAL_MAX_DATA: u64 = 0x2b61;
/// SETTINGS_WT_INITIAL_MAX_STREAMS_UNI
pub const WT_INITIAL_MAX_STREAMS_UNI: u64 = 0x2b64;
/// SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI
pub const WT_INITIAL_MAX_STREAMS_BIDI: u64 = 0x2b65;

/// Largest table capacity that is offered: beyond it nothing is gained and 32-bit peers stumble
const MAX_TABLE_CAPACITY: u64 = (1 << 30) - 1;

/// Identifiers that HTTP/2 used and HTTP/3 forbids (RFC 9114 §11.2.2)
const FORBIDDEN: [u64; 5] = [0x00, 0x02, 0x03, 0x04, 0x05];

/// Initial limits of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Body bytes
    pub data: u64,
    /// Bidirectional streams
    pub bidi: u64,
    /// Unidirectional streams
    pub uni: u64,
}

impl Limits {
    fn any(self) -> bool {
        self != Self::default()
    }
}

/// What one side said in SETTINGS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY, in bytes
    pub qpack_max_table_capacity: u64,
    /// SETTINGS_QPACK_BLOCKED_STREAMS
    pub qpack_blocked_streams: u64,
    /// SETTINGS_MAX_FIELD_SECTION_SIZE, `u64::MAX` without
    pub max_field_section_size: u64,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL
    pub connect_protocol: bool,
    /// SETTINGS_H3_DATAGRAM
    pub h3_datagram: bool,
    /// Its draft version
    pub h3_datagram_draft: bool,
    /// Value of the WebTransport setting of each draft, in the order of [`Draft::ALL`]; 0 without
    pub webtransport: [u64; 4],
    /// Initial limits
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            qpack_max_table_capacity: 0,
            qpack_blocked_streams: 0,
            max_field_section_size: u64::MAX,
            connect_protocol: false,
            h3_datagram: false,
            h3_datagram_draft: false,
            webtransport: [0; 4],
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// What this side sends.
    pub fn of(config: &Config, role: Role) -> Self {
        let mut settings = Self {
            qpack_max_table_capacity: config.qpack_max_table_capacity.min(MAX_TABLE_CAPACITY),
            qpack_blocked_streams: config.qpack_blocked_streams.min(varint::MAX),
            max_field_section_size: config.max_field_section_size,
            connect_protocol: role == Role::Server,
            h3_datagram: true,
            h3_datagram_draft: config.drafts.contains(&Draft::D02),
            ..Self::default()
        };
        for draft in &config.drafts {
            let facts = draft.facts();
            let value =
                if facts.setting_counts_sessions { config.max_sessions.clamp(1, varint::MAX) } else { 1 };
            settings.announce(*draft, value);
            if facts.flow_switch != FlowSwitch::Never {
                settings.limits = Limits {
                    data: config.initial_max_data.min(varint::MAX),
                    bidi: config.initial_max_streams_bidi.min(crate::flow::MAX_STREAMS),
                    uni: config.initial_max_streams_uni.min(crate::flow::MAX_STREAMS),
                };
            }
        }
        settings
    }

    /// The SETTINGS frame. Values equal to the default are left out.
    pub fn encode(&self, grease: Option<u64>, out: &mut BytesMut) {
        let flag = |on: bool| u64::from(on);
        let mut pairs = vec![
            (QPACK_MAX_TABLE_CAPACITY, self.qpack_max_table_capacity),
            (QPACK_BLOCKED_STREAMS, self.qpack_blocked_streams),
            (ENABLE_CONNECT_PROTOCOL, flag(self.connect_protocol)),
            (H3_DATAGRAM, flag(self.h3_datagram)),
            (H3_DATAGRAM_DRAFT, flag(self.h3_datagram_draft)),
            (WT_INITIAL_MAX_DATA, self.limits.data),
            (WT_INITIAL_MAX_STREAMS_UNI, self.limits.uni),
            (WT_INITIAL_MAX_STREAMS_BIDI, self.limits.bidi),
        ];
        pairs.extend(Draft::ALL.map(|draft| (draft.facts().setting, self.announced(draft))));
        pairs.retain(|(_, value)| *value != 0);
        if self.max_field_section_size <= varint::MAX {
            pairs.push((MAX_FIELD_SECTION_SIZE, self.max_field_section_size));
        }
        pairs.extend(grease.map(|seed| (frame::reserved(seed), seed % 0x40)));
        let mut payload = BytesMut::with_capacity(96);
        for (identifier, value) in pairs {
            varint::encode(identifier, &mut payload);
            varint::encode(value, &mut payload);
        }
        frame::encode(frame::SETTINGS, &payload, out);
    }

    /// All of them by name, with the defaults; but no SETTINGS_MAX_FIELD_SECTION_SIZE where there is no limit.
    pub fn listed(&self) -> Vec<(&'static str, u64)> {
        let mut pairs = vec![
            ("QPACK_MAX_TABLE_CAPACITY", self.qpack_max_table_capacity),
            ("QPACK_BLOCKED_STREAMS", self.qpack_blocked_streams),
            ("ENABLE_CONNECT_PROTOCOL", self.connect_protocol.into()),
            ("H3_DATAGRAM", self.h3_datagram.into()),
            ("H3_DATAGRAM_DRAFT04", self.h3_datagram_draft.into()),
            ("WT_INITIAL_MAX_DATA", self.limits.data),
            ("WT_INITIAL_MAX_STREAMS_UNI", self.limits.uni),
            ("WT_INITIAL_MAX_STREAMS_BIDI", self.limits.bidi),
        ];
        if self.max_field_section_size <= varint::MAX {
            pairs.push(("MAX_FIELD_SECTION_SIZE", self.max_field_section_size));
        }
        pairs.extend(Draft::ALL.map(|draft| (draft.facts().setting_name, self.announced(draft))));
        pairs
    }

    /// Reads the payload of a peer's SETTINGS frame. `role` is ours. `Err` is the code of the connection error
    /// and why.
    pub fn decode(mut payload: &[u8], role: Role, drafts: &[Draft]) -> Result<Self, (u64, &'static str)> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        while !payload.is_empty() {
            let mut integer = || {
                let (value, length) = varint::decode(payload)?;
                payload = payload.get(length..).unwrap_or_default();
                Some(value)
            };
            let (Some(identifier), Some(value)) = (integer(), integer()) else {
                return Err((code::H3_FRAME_ERROR, "SETTINGS ends within a setting"));
            };
            seen.push(identifier);
            settings.set(identifier, value, role, drafts).map_err(|why| (code::H3_SETTINGS_ERROR, why))?;
        }
        seen.sort_unstable();
        if seen.iter().zip(seen.iter().skip(1)).any(|(one, next)| one == next) {
            return Err((code::H3_SETTINGS_ERROR, "a setting appears twice"));
        }
        Ok(settings)
    }

    fn set(&mut self, identifier: u64, value: u64, role: Role, drafts: &[Draft]) -> Result<(), &'static str> {
        let flag = || match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        };
        match identifier {
            QPACK_MAX_TABLE_CAPACITY => self.qpack_max_table_capacity = value,
            QPACK_BLOCKED_STREAMS => self.qpack_blocked_streams = value,
            MAX_FIELD_SECTION_SIZE => self.max_field_section_size = value,
            ENABLE_CONNECT_PROTOCOL => self.connect_protocol = flag()?,
            H3_DATAGRAM => self.h3_datagram = flag()?,
            // A draft's code point: other values were never ruled out by what became the RFC
            H3_DATAGRAM_DRAFT => self.h3_datagram_draft = value == 1,
            WT_INITIAL_MAX_DATA => self.limits.data = value,
            WT_INITIAL_MAX_STREAMS_UNI => self.limits.uni = value.min(crate::flow::MAX_STREAMS),
            WT_INITIAL_MAX_STREAMS_BIDI => self.limits.bidi = value.min(crate::flow::MAX_STREAMS),
            _ if FORBIDDEN.contains(&identifier) => return Err("a setting of HTTP/2"),
            _ => {
                let Some(draft) = Draft::from_setting(identifier).filter(|draft| drafts.contains(draft))
                else {
                    return Ok(());
                };
                let facts = draft.facts();
                let max = if role == Role::Client { facts.client_max_value } else { facts.server_max_value };
                if value > max {
                    return Err("a WebTransport setting has a value that its draft rules out");
                }
                self.announce(draft, value);
            }
        }
        Ok(())
    }

    /// Value of the WebTransport setting of a draft; 0 without.
    pub fn announced(&self, draft: Draft) -> u64 {
        self.webtransport.get(draft as usize).copied().unwrap_or(0)
    }

    fn announce(&mut self, draft: Draft, value: u64) {
        if let Some(announced) = self.webtransport.get_mut(draft as usize) {
            *announced = value;
        }
    }

    /// The newest draft of `ours` that the sender offers.
    pub fn newest(&self, ours: &[Draft]) -> Option<Draft> {
        ours.iter().copied().filter(|draft| self.announced(*draft) > 0).max()
    }

    /// Whether both sides switch session flow control on (-16 §5.1, -14 §5.1).
    pub fn flow_control(draft: Draft, ours: &Settings, theirs: &Settings) -> bool {
        let declares = |settings: &Settings| match draft.facts().flow_switch {
            FlowSwitch::Never => false,
            FlowSwitch::Limits => settings.limits.any(),
            FlowSwitch::SessionsOrLimits => settings.announced(draft) > 1 || settings.limits.any(),
        };
        declares(ours) && declares(theirs)
    }

    /// What a client keeps for 0-RTT.
    pub fn remember(&self) -> RememberedSettings {
        RememberedSettings {
            initial_max_data: self.limits.data,
            initial_max_streams_bidi: self.limits.bidi,
            initial_max_streams_uni: self.limits.uni,
            h3_datagram: self.h3_datagram,
            max_field_section_size: self.max_field_section_size,
            qpack_max_table_capacity: self.qpack_max_table_capacity,
            qpack_blocked_streams: self.qpack_blocked_streams,
        }
    }

    /// Whether a server that accepted 0-RTT lowered something (-16 §3.2, RFC 9297 §2.1.1, RFC 9114 §7.2.4.2).
    pub fn reduces(&self, before: &RememberedSettings) -> bool {
        self.limits.data < before.initial_max_data
            || self.limits.bidi < before.initial_max_streams_bidi
            || self.limits.uni < before.initial_max_streams_uni
            || (before.h3_datagram && !self.h3_datagram)
            || self.max_field_section_size < before.max_field_section_size
            || self.qpack_blocked_streams < before.qpack_blocked_streams
    }

    /// Whether a server that accepted 0-RTT gives another table capacity than the one that may be in use (RFC 9204
    /// §3.2.3).
    pub fn changes_table(&self, before: &RememberedSettings) -> bool {
        before.qpack_max_table_capacity > 0
            && self.qpack_max_table_capacity != before.qpack_max_table_capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload_of(frame: &[u8]) -> &[u8] {
        let (_, length) = varint::decode(&frame[1..]).unwrap();
        &frame[1 + length..]
    }

    proptest! {
        #[test]
        fn what_is_sent_is_understood(
            data in 0..=varint::MAX,
            streams in 0u64..1 << 60,
            fields in 0..=varint::MAX,
            seed: Option<u64>,
            is_server: bool,
        ) {
            let (role, peer) =
                if is_server { (Role::Server, Role::Client) } else { (Role::Client, Role::Server) };
            let config = Config {
                initial_max_data: data,
                initial_max_streams_bidi: streams,
                max_field_section_size: fields,
                ..Config::default()
            };
            let settings = Settings::of(&config, role);
            let mut out = BytesMut::new();
            settings.encode(seed, &mut out);
            prop_assert_eq!(Settings::decode(payload_of(&out), peer, &Draft::ALL), Ok(settings));
        }

        #[test]
        fn takes_anything(payload: Vec<u8>) {
            let _ = Settings::decode(&payload, Role::Server, &Draft::ALL);
        }
    }

    /// -16 §5.1 and -14 §5.1
    #[test]
    fn both_sides_switch_flow_control_on() {
        let with = |sessions, data| Settings {
            webtransport: [0, 0, sessions, 1],
            limits: Limits { data, ..Limits::default() },
            ..Settings::default()
        };
        for (draft, ours, theirs, on) in [
            (Draft::D16, with(0, 1), with(0, 1), true),
            (Draft::D16, with(0, 1), with(0, 0), false),
            (Draft::D16, with(2, 1), with(2, 0), false),
            (Draft::D14, with(2, 0), with(2, 0), true),
            (Draft::D14, with(2, 0), with(1, 0), false),
            (Draft::D14, with(1, 1), with(2, 0), true),
            (Draft::D07, with(2, 1), with(2, 1), false),
            (Draft::D02, with(2, 1), with(2, 1), false),
        ] {
            assert_eq!(Settings::flow_control(draft, &ours, &theirs), on, "{draft:?} {ours:?} {theirs:?}");
        }
    }
}
