//! What the drafts of WebTransport over HTTP/3 disagree on, as one table.
//!
//! draft-ietf-webtrans-http3 is negotiated by the code point of the WebTransport setting (-16 §7.1): an
//! endpoint sends the setting of each draft it speaks and the newest shared one is used. Drafts that share
//! a code point (-15 and -16, -13 and -14, -07 and -08) cannot be told apart and are one row here.

/// One row of the table: a group of drafts that share a code point. Ordered from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draft {
    /// draft-02 (and -03), what browsers speak by default
    D02,
    /// draft-07 (and -08)
    D07,
    /// draft-13 and -14; where they differ, -14
    D14,
    /// draft-15 and -16; where they differ, -16
    D16,
}

/// When session flow control is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowSwitch {
    /// The draft has none.
    Never,
    /// Both sides sent more than one session or a non-zero initial limit (-14 §5.1).
    SessionsOrLimits,
    /// Both sides sent a non-zero initial limit (-16 §5.1).
    Limits,
}

/// How many sessions one connection may hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// No rule in the draft: only the server's own limit (-02 §3.4)
    Unlimited,
    /// The server's session setting (-07 §3.4)
    Setting,
    /// The server's session setting where flow control is on, else one (-14 §5.2)
    SettingWithFlowControl,
    /// The server's own limit where flow control is on, else one (-16 §5.1)
    FlowControl,
}

/// How a client treats a WT-Protocol that it did not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnofferedProtocol {
    /// The field is ignored (-14 §3.3).
    Ignore,
    /// The session is closed with WT_ALPN_ERROR (-16 §3.3).
    CloseSession,
}

/// What a draft demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftFacts {
    /// The draft that the row describes
    pub draft: Draft,
    /// Name used in configuration and statistics
    pub name: &'static str,
    /// Identifier of the WebTransport setting
    pub setting: u64,
    /// Its name in the draft, without `SETTINGS_`
    pub setting_name: &'static str,
    /// Whether the value of the setting is a number of sessions rather than a flag
    pub setting_counts_sessions: bool,
    /// Largest value that does not break the connection with H3_SETTINGS_ERROR when a client receives it
    pub client_max_value: u64,
    /// The same for a server
    pub server_max_value: u64,
    /// Value of `:protocol`
    pub token: &'static str,
    /// Field that marks the draft in the request, with its value
    pub request_mark: Option<(&'static str, &'static str)>,
    /// Field that marks the draft in the response, with its value
    pub response_mark: Option<(&'static str, &'static str)>,
    /// Largest application error code of a stream
    pub max_stream_code: u32,
    /// Status for a resource that does not exist or does not speak WebTransport
    pub unknown_resource_status: u16,
    /// Whether the peer has to support RESET_STREAM_AT
    pub requires_reset_stream_at: bool,
    /// Whether the peer has to support HTTP datagrams and QUIC datagrams
    pub requires_datagrams: bool,
    /// Whether the server has to send SETTINGS_ENABLE_CONNECT_PROTOCOL
    pub requires_connect_protocol: bool,
    /// When session flow control is in force
    pub flow_switch: FlowSwitch,
    /// Whether a limit equal to the one before is a violation
    pub equal_limit_is_error: bool,
    /// How many sessions may share a connection
    pub pooling: Pooling,
    /// Whether 0x41 may follow other frames on its stream
    pub signal_after_frames: bool,
    /// Whether WT_SESSION_GONE exists; before, streams of an ended session are reset with H3_REQUEST_CANCELLED
    pub has_session_gone: bool,
    /// Whether the drain capsule exists
    pub has_drain: bool,
    /// What an unoffered WT-Protocol leads to
    pub unoffered_protocol: UnofferedProtocol,
}

/// Largest value of a variable-length integer (RFC 9000 §16)
const ANY: u64 = (1 << 62) - 1;

const TABLE: [DraftFacts; 4] = [
    DraftFacts {
        draft: Draft::D02,
        name: "02",
        setting: 0x2b60_3742,
        setting_name: "ENABLE_WEBTRANSPORT",
        setting_counts_sessions: false,
        client_max_value: 1,
        server_max_value: 1,
        token: "webtransport",
        request_mark: Some(("sec-webtransport-http3-draft02", "1")),
        response_mark: Some(("sec-webtransport-http3-draft", "draft02")),
        max_stream_code: 0xff,
        unknown_resource_status: 404,
        requires_reset_stream_at: false,
        requires_datagrams: false,
        requires_connect_protocol: false,
        flow_switch: FlowSwitch::Never,
        equal_limit_is_error: false,
        pooling: Pooling::Unlimited,
        signal_after_frames: true,
        has_session_gone: false,
        has_drain: false,
        unoffered_protocol: UnofferedProtocol::Ignore,
    },
    DraftFacts {
        draft: Draft::D07,
        name: "07",
        setting: 0xc671_706a,
        setting_name: "WEBTRANSPORT_MAX_SESSIONS",
        setting_counts_sessions: true,
        client_max_value: ANY,
        server_max_value: ANY,
        token: "webtransport",
        request_mark: None,
        response_mark: None,
        max_stream_code: u32::MAX,
        unknown_resource_status: 404,
        requires_reset_stream_at: false,
        requires_datagrams: true,
        requires_connect_protocol: true,
        flow_switch: FlowSwitch::Never,
        equal_limit_is_error: false,
        pooling: Pooling::Setting,
        signal_after_frames: false,
        has_session_gone: true,
        has_drain: true,
        unoffered_protocol: UnofferedProtocol::Ignore,
    },
    DraftFacts {
        draft: Draft::D14,
        name: "14",
        setting: 0x14e9_cd29,
        setting_name: "WT_MAX_SESSIONS",
        setting_counts_sessions: true,
        client_max_value: ANY,
        server_max_value: ANY,
        token: "webtransport",
        request_mark: None,
        response_mark: None,
        max_stream_code: u32::MAX,
        unknown_resource_status: 404,
        requires_reset_stream_at: true,
        requires_datagrams: true,
        requires_connect_protocol: true,
        flow_switch: FlowSwitch::SessionsOrLimits,
        equal_limit_is_error: false,
        pooling: Pooling::SettingWithFlowControl,
        signal_after_frames: false,
        has_session_gone: true,
        has_drain: true,
        unoffered_protocol: UnofferedProtocol::Ignore,
    },
    DraftFacts {
        draft: Draft::D16,
        name: "16",
        setting: 0x2c7c_f000,
        setting_name: "WT_ENABLED",
        setting_counts_sessions: false,
        client_max_value: 1,
        server_max_value: ANY,
        token: "webtransport-h3",
        request_mark: None,
        response_mark: None,
        max_stream_code: u32::MAX,
        unknown_resource_status: 405,
        requires_reset_stream_at: true,
        requires_datagrams: true,
        requires_connect_protocol: true,
        flow_switch: FlowSwitch::Limits,
        equal_limit_is_error: true,
        pooling: Pooling::FlowControl,
        signal_after_frames: false,
        has_session_gone: true,
        has_drain: true,
        unoffered_protocol: UnofferedProtocol::CloseSession,
    },
];

impl Draft {
    /// All rows, from the oldest to the newest.
    pub const ALL: [Draft; 4] = [Draft::D02, Draft::D07, Draft::D14, Draft::D16];

    /// The row of the table.
    pub const fn facts(self) -> &'static DraftFacts {
        match self {
            Draft::D02 => &TABLE[0],
            Draft::D07 => &TABLE[1],
            Draft::D14 => &TABLE[2],
            Draft::D16 => &TABLE[3],
        }
    }

    /// The newest draft that the row stands for.
    pub const fn number(self) -> u8 {
        match self {
            Draft::D02 => 2,
            Draft::D07 => 7,
            Draft::D14 => 14,
            Draft::D16 => 16,
        }
    }

    /// The draft whose setting has this identifier.
    pub fn from_setting(identifier: u64) -> Option<Draft> {
        Self::ALL.into_iter().find(|draft| draft.facts().setting == identifier)
    }

    /// The draft of a number: `"02"`, `"07"`, `"13"`, `"14"`, `"15"` or `"16"`.
    pub fn from_name(name: &str) -> Option<Draft> {
        match name {
            "2" | "02" | "03" => Some(Draft::D02),
            "7" | "07" | "08" => Some(Draft::D07),
            "13" | "14" => Some(Draft::D14),
            "15" | "16" => Some(Draft::D16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_at_its_index() {
        for draft in Draft::ALL {
            assert_eq!(draft.facts().draft, draft);
            assert_eq!(Draft::from_setting(draft.facts().setting), Some(draft));
            assert_eq!(Draft::from_name(draft.facts().name), Some(draft));
        }
        assert!(Draft::ALL.is_sorted());
    }
}
