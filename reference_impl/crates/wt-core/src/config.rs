//! Configuration: what is offered, and the bounds of everything that a peer can make grow.

use crate::Draft;

/// Settings of a [`Connection`](crate::Connection). Shared between the connections of an endpoint by `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Drafts that are offered; the newest that both sides speak is used (-16 §7.1)
    pub drafts: Vec<Draft>,
    /// Sessions that a server accepts at a time on one connection; also the value of the session settings of
    /// -07 and -14. Without flow control -14 and -16 allow one, whatever is said here.
    pub max_sessions: u64,
    /// SETTINGS_WT_INITIAL_MAX_DATA: body bytes a session may have outstanding (-16 §5.5.3). All three
    /// initial limits at 0 switch session flow control off.
    pub initial_max_data: u64,
    /// Bytes up to which that window grows for a peer that says WT_DATA_BLOCKED while the application has taken
    /// what came
    pub max_data_window: u64,
    /// SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI (-16 §5.5.2)
    pub initial_max_streams_bidi: u64,
    /// SETTINGS_WT_INITIAL_MAX_STREAMS_UNI (-16 §5.5.1)
    pub initial_max_streams_uni: u64,
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY: bytes of the table that the peer's encoder may use here (RFC 9204 §3.2.3);
    /// 0 switches that off, as -16 §2.1 permits
    pub qpack_max_table_capacity: u64,
    /// SETTINGS_QPACK_BLOCKED_STREAMS: requests that may wait for the peer's encoder stream (RFC 9204 §2.1.2)
    pub qpack_blocked_streams: u64,
    /// Bytes of a table at the peer that our encoder uses, if the peer allows as many; 0 switches that off
    pub qpack_encoder_capacity: u64,
    /// SETTINGS_MAX_FIELD_SECTION_SIZE, in bytes of RFC 9114 §4.2.2 (name + value + 32 for each field)
    pub max_field_section_size: u64,
    /// Largest SETTINGS frame that is accepted, in bytes
    pub max_settings_size: u64,
    /// Bytes of the CONNECT stream that are kept before the request is answered (-16 §3.2), and before it can be read
    /// (RFC 9204 §2.1.2)
    pub max_early_capsule_bytes: usize,
    /// Largest DATAGRAM capsule that is delivered; larger ones are skipped unseen (RFC 9297 §3.5)
    pub max_datagram_capsule: u64,
    /// Streams that are kept until their session is known, on the whole connection (-16 §4.6)
    pub max_buffered_streams: usize,
    /// Datagrams that are kept until their session is known, on the whole connection (-16 §4.6)
    pub max_buffered_datagrams: usize,
    /// Ended sessions whose identifiers are remembered, so that late streams get WT_SESSION_GONE
    pub max_remembered_sessions: usize,
    /// Frames, capsules and streams without effect that are tolerated before H3_EXCESSIVE_LOAD; a frame with
    /// effect resets the count (RFC 9114 §10.5)
    pub max_ignored_elements: u32,
    /// The driver reports how a stream ends that was stopped here, with its final size
    /// ([`Input::StreamReset`](crate::Input::StreamReset)) or by
    /// [`recv_closed`](crate::Connection::recv_closed). Where it does not, such streams are forgotten at once
    /// and session flow control makes up for what it cannot know.
    pub reports_final_sizes: bool,
    /// Seed of the reserved identifiers that are sent (RFC 9114 §7.2.4.1, §7.2.8); `None` sends none
    pub grease: Option<u64>,
    /// Flow-control settings of an earlier connection that this one resumes with 0-RTT (-16 §3.2)
    pub remembered: Option<RememberedSettings>,
}

/// What a client keeps of a server's SETTINGS for a later 0-RTT connection (-16 §3.2, RFC 9114 §7.2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RememberedSettings {
    /// SETTINGS_WT_INITIAL_MAX_DATA
    pub initial_max_data: u64,
    /// SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI
    pub initial_max_streams_bidi: u64,
    /// SETTINGS_WT_INITIAL_MAX_STREAMS_UNI
    pub initial_max_streams_uni: u64,
    /// SETTINGS_H3_DATAGRAM (RFC 9297 §2.1.1)
    pub h3_datagram: bool,
    /// SETTINGS_MAX_FIELD_SECTION_SIZE, `u64::MAX` where none was sent
    pub max_field_section_size: u64,
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY (RFC 9204 §3.2.3)
    pub qpack_max_table_capacity: u64,
    /// SETTINGS_QPACK_BLOCKED_STREAMS
    pub qpack_blocked_streams: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drafts: Draft::ALL.to_vec(),
            max_sessions: 64,
            initial_max_data: 1 << 20,
            max_data_window: 16 << 20,
            initial_max_streams_bidi: 256,
            initial_max_streams_uni: 256,
            qpack_max_table_capacity: 4 << 10,
            qpack_blocked_streams: 16,
            qpack_encoder_capacity: 4 << 10,
            max_field_section_size: 16 << 10,
            max_settings_size: 4 << 10,
            max_early_capsule_bytes: 8 << 10,
            max_datagram_capsule: 2 << 10,
            max_buffered_streams: 64,
            max_buffered_datagrams: 64,
            max_remembered_sessions: 256,
            max_ignored_elements: 10_000,
            reports_final_sizes: false,
            grease: Some(0),
            remembered: None,
        }
    }
}
