//! Error codes of HTTP/3, QPACK and WebTransport, and the codes of applications between them.

use crate::Draft;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: u64 = $value;)*

        /// The registered name of a code.
        pub fn name(code: u64) -> Option<&'static str> {
            match code {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

codes! {
    /// RFC 9297 §5.2
    H3_DATAGRAM_ERROR = 0x33;
    /// RFC 9114 §8.1, as all that follow up to H3_VERSION_FALLBACK
    H3_NO_ERROR = 0x100;
    /// No code fits better
    H3_GENERAL_PROTOCOL_ERROR = 0x101;
    /// A fault of our own
    H3_INTERNAL_ERROR = 0x102;
    /// A stream that may not be opened
    H3_STREAM_CREATION_ERROR = 0x103;
    /// A stream that the connection cannot do without was closed
    H3_CLOSED_CRITICAL_STREAM = 0x104;
    /// A frame where it is not allowed
    H3_FRAME_UNEXPECTED = 0x105;
    /// A frame that breaks its layout
    H3_FRAME_ERROR = 0x106;
    /// More load than is reasonable
    H3_EXCESSIVE_LOAD = 0x107;
    /// An identifier that is used wrongly
    H3_ID_ERROR = 0x108;
    /// A fault in SETTINGS
    H3_SETTINGS_ERROR = 0x109;
    /// The control stream does not begin with SETTINGS
    H3_MISSING_SETTINGS = 0x10a;
    /// The request was not processed
    H3_REQUEST_REJECTED = 0x10b;
    /// The request or its response is no longer wanted
    H3_REQUEST_CANCELLED = 0x10c;
    /// The stream ended within the request
    H3_REQUEST_INCOMPLETE = 0x10d;
    /// A malformed message
    H3_MESSAGE_ERROR = 0x10e;
    /// The connection behind a CONNECT failed
    H3_CONNECT_ERROR = 0x10f;
    /// Only HTTP/1.1 will do
    H3_VERSION_FALLBACK = 0x110;
    /// RFC 9204 §8.3
    QPACK_DECOMPRESSION_FAILED = 0x200;
    /// A fault on the encoder stream
    QPACK_ENCODER_STREAM_ERROR = 0x201;
    /// A fault on the decoder stream
    QPACK_DECODER_STREAM_ERROR = 0x202;
    /// draft-ietf-webtrans-http3-16 §9.5, as all that follow
    WT_BUFFERED_STREAM_REJECTED = 0x3994_bd84;
    /// The session of the stream has ended
    WT_SESSION_GONE = 0x170d_7b68;
    /// A limit of the session was broken
    WT_FLOW_CONTROL_ERROR = 0x045d_4487;
    /// No application protocol was agreed on
    WT_ALPN_ERROR = 0x0817_b3dd;
    /// SETTINGS or transport parameters lack what WebTransport needs
    WT_REQUIREMENTS_NOT_MET = 0x212c_0d48;
}

/// Wire code of application code 0 (-16 §4.4)
const FIRST: u64 = 0x52e4_a40f_a8db;

/// The wire code for an application's code (-16 §4.4). Codes beyond what the draft can carry become its
/// largest.
pub fn from_application(draft: Draft, code: u32) -> u64 {
    let code = u64::from(code.min(draft.facts().max_stream_code));
    FIRST + code + code / 0x1e
}

/// The application's code behind a wire code; `None` outside the range and for the reserved code points of
/// the form 0x1f * N + 0x21 in it (-16 §4.4). The range of the 8-bit drafts is not enforced on receipt: a
/// larger code is still one (browsers that speak -02 accept all 32 bits).
pub fn to_application(wire: u64) -> Option<u32> {
    let shifted = wire.checked_sub(FIRST)?;
    if wire.checked_sub(0x21)? % 0x1f == 0 {
        return None;
    }
    u32::try_from(shifted - shifted / 0x1f).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Boundary values worked out by hand from the pseudocode of -16 §4.4 and -02 §4.3
    #[test]
    fn boundaries() {
        for (code, wire) in [
            (0, 0x52e4_a40f_a8db),
            (29, 0x52e4_a40f_a8f8),
            (30, 0x52e4_a40f_a8fa),
            (59, 0x52e4_a40f_a917),
            (60, 0x52e4_a40f_a919),
            (255, 0x52e4_a40f_a9e2),
            (u32::MAX, 0x52e5_ac98_3162),
        ] {
            assert_eq!(from_application(Draft::D16, code), wire);
            assert_eq!(to_application(wire), Some(code));
        }
        for wire in
            [0, 0x20, 0x52e4_a40f_a8da, 0x52e4_a40f_a8f9, 0x52e4_a40f_a918, 0x52e5_ac98_3163, u64::MAX]
        {
            assert_eq!(to_application(wire), None, "{wire:#x}");
        }
        assert_eq!(from_application(Draft::D02, 256), 0x52e4_a40f_a9e2);
    }

    proptest! {
        #[test]
        fn the_mapping_is_a_bijection(code: u32) {
            let wire = from_application(Draft::D16, code);
            prop_assert_ne!((wire - 0x21) % 0x1f, 0);
            prop_assert_eq!(to_application(wire), Some(code));
        }
    }
}
