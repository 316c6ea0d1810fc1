//! Field sections: whether a message is well-formed, and what it says (RFC 9114 §4.2, §4.3, §4.4; RFC 9220).

use bytes::Bytes;

use crate::Field;

/// The message is malformed (RFC 9114 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Fields that belong to one hop of HTTP/1.1 (RFC 9114 §4.2)
const CONNECTION_SPECIFIC: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// Fields that a message of the Capsule Protocol does not have (RFC 9297 §3.2)
const CONTENT_FIELDS: [&[u8]; 3] = [b"content-length", b"content-type", b"transfer-encoding"];

/// A well-formed request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// `:method`
    pub method: String,
    /// `:scheme`
    pub scheme: Option<String>,
    /// `:authority`, or Host without it
    pub authority: Option<String>,
    /// `:path`
    pub path: Option<String>,
    /// `:protocol`
    pub protocol: Option<String>,
    /// The other fields
    pub headers: Vec<Field>,
}

/// A well-formed response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// `:status`
    pub status: u16,
    /// The other fields
    pub headers: Vec<Field>,
}

/// Whether `name` is a field name in lower case (RFC 9110 §5.6.2, RFC 9114 §4.2).
pub fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'z' | b'|' | b'~' | b'0'..=b'9');
    !name.is_empty() && name.iter().all(is_token)
}

/// Whether `value` may be a field value (RFC 9110 §5.5).
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// Values of the pseudo-header fields `names`, in their order, and the other fields.
fn split<const N: usize>(
    fields: Vec<Field>,
    names: [&str; N],
) -> Result<([Option<String>; N], Vec<Field>), Malformed> {
    let mut pseudo = [const { None }; N];
    let mut headers = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        if !is_value(&value) {
            return Err(Malformed("a field value holds forbidden characters"));
        }
        if name.first() != Some(&b':') {
            check_regular(&name, &value)?;
            headers.push((name, value));
            continue;
        }
        if !headers.is_empty() {
            return Err(Malformed("a pseudo-header field after a regular one"));
        }
        let index = names.iter().position(|known| known.as_bytes() == &name[..]);
        let slot = index
            .and_then(|index| pseudo.get_mut(index))
            .ok_or(Malformed("an unknown pseudo-header field"))?;
        let text = std::str::from_utf8(&value).map_err(|_| Malformed("a pseudo-header field is not text"))?;
        if slot.replace(text.to_owned()).is_some() {
            return Err(Malformed("a pseudo-header field appears twice"));
        }
    }
    Ok((pseudo, headers))
}

fn check_regular(name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    if !is_name(name) {
        return Err(Malformed("a field name holds forbidden characters"));
    }
    if CONNECTION_SPECIFIC.contains(&name) || (name == b"te" && value != b"trailers") {
        return Err(Malformed("a connection-specific field"));
    }
    Ok(())
}

/// The only value of a field, if it appears.
pub fn value<'a>(headers: &'a [Field], name: &str) -> Option<&'a Bytes> {
    headers.iter().find(|(other, _)| &other[..] == name.as_bytes()).map(|(_, value)| value)
}

/// Whether there is a field that a message of the Capsule Protocol does not have (RFC 9297 §3.2).
pub fn has_content_fields(headers: &[Field]) -> bool {
    headers.iter().any(|(name, _)| CONTENT_FIELDS.contains(&&name[..]))
}

impl RequestHead {
    /// Checks a decoded field section.
    pub fn parse(fields: Vec<Field>) -> Result<Self, Malformed> {
        let names = [":method", ":scheme", ":authority", ":path", ":protocol"];
        let ([method, scheme, authority, path, protocol], headers) = split(fields, names)?;
        let method = method.filter(|method| !method.is_empty()).ok_or(Malformed("no :method"))?;
        let host = match value(&headers, "host") {
            Some(host) => Some(String::from_utf8(host.to_vec()).map_err(|_| Malformed("Host is not text"))?),
            None => None,
        };
        if let (Some(authority), Some(host)) = (&authority, &host)
            && authority != host
        {
            return Err(Malformed(":authority and Host differ"));
        }
        let head = Self { method, scheme, authority: authority.or(host), path, protocol, headers };
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), Malformed> {
        if self.authority.as_ref().is_some_and(|authority| authority.is_empty() || authority.contains('@')) {
            return Err(Malformed("an authority that is empty or has user information"));
        }
        let is_connect = self.method == "CONNECT";
        if is_connect && self.protocol.is_none() {
            // RFC 9114 §4.4
            let bare = self.scheme.is_none() && self.path.is_none() && self.authority.is_some();
            return if bare {
                Ok(())
            } else {
                Err(Malformed("a CONNECT with other than :method and :authority"))
            };
        }
        if !is_connect && self.protocol.is_some() {
            return Err(Malformed(":protocol without CONNECT"));
        }
        // RFC 9114 §4.3.1, RFC 8441 §4
        let scheme = self.scheme.as_deref().ok_or(Malformed("no :scheme"))?;
        let path = self.path.as_deref().ok_or(Malformed("no :path"))?;
        if matches!(scheme, "http" | "https") {
            if self.authority.is_none() {
                return Err(Malformed("neither :authority nor Host"));
            }
            let is_asterisk = self.method == "OPTIONS" && path == "*";
            if !path.starts_with('/') && !is_asterisk {
                return Err(Malformed(":path does not begin with a slash"));
            }
        }
        Ok(())
    }
}

impl ResponseHead {
    /// Checks a decoded field section.
    pub fn parse(fields: Vec<Field>) -> Result<Self, Malformed> {
        let ([status], headers) = split(fields, [":status"])?;
        let status = status.ok_or(Malformed("no :status"))?;
        let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        let status = status.parse().ok().filter(|status| digits && (100..1000).contains(status));
        let status = status.ok_or(Malformed(":status is not a number of three digits"))?;
        // RFC 9114 §4.5
        if status == 101 {
            return Err(Malformed("HTTP/3 has no 101"));
        }
        Ok(Self { status, headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
    }

    const GOOD: [(&str, &str); 5] = [
        (":method", "CONNECT"),
        (":protocol", "webtransport-h3"),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/echo?a=b"),
    ];

    fn with(extra: &[(&str, &str)]) -> Result<RequestHead, Malformed> {
        RequestHead::parse(fields(&[&GOOD[..], extra].concat()))
    }

    #[test]
    fn a_good_request() {
        let head = with(&[("origin", "https://example.com"), ("te", "trailers")]).unwrap();
        assert_eq!(head.protocol.as_deref(), Some("webtransport-h3"));
        assert_eq!(head.path.as_deref(), Some("/echo?a=b"));
        assert_eq!(head.headers.len(), 2);
    }

    /// RFC 9114 §4.2, §4.3
    #[test]
    fn malformed_fields() {
        for extra in [
            ("Foo", "x"),
            ("foo bar", "x"),
            ("", "x"),
            ("foo", "a\0"),
            ("foo", "a\r\nb"),
            ("connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "x"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
            ("host", "other.example"),
            (":foo", "x"),
            (":status", "200"),
            (":protocol", "webtransport-h3"),
            (":path", "/"),
        ] {
            assert!(with(&[extra]).is_err(), "{extra:?}");
        }
        assert!(with(&[("a", "b"), (":foo", "x")]).is_err());
    }

    /// RFC 9114 §4.3.1, §4.4, RFC 9220
    #[test]
    fn malformed_requests() {
        for missing in GOOD {
            let pairs: Vec<_> = GOOD.into_iter().filter(|pair| *pair != missing).collect();
            assert!(RequestHead::parse(fields(&pairs)).is_err(), "{missing:?}");
        }
        for (name, bad) in
            [(":authority", ""), (":authority", "u:p@example.com"), (":path", ""), (":method", "GET")]
        {
            let pairs = GOOD.map(|(key, value)| (key, if key == name { bad } else { value }));
            assert!(RequestHead::parse(fields(&pairs)).is_err(), "{name} {bad}");
        }
        assert!(RequestHead::parse(fields(&[(":method", "CONNECT"), (":authority", "a:1")])).is_ok());
    }

    #[test]
    fn responses() {
        assert_eq!(ResponseHead::parse(fields(&[(":status", "299")])).map(|head| head.status), Ok(299));
        for status in ["101", "20", "2000", "abc", "+20", ""] {
            assert!(ResponseHead::parse(fields(&[(":status", status)])).is_err(), "{status}");
        }
        assert!(ResponseHead::parse(fields(&[("a", "b")])).is_err());
        assert!(ResponseHead::parse(fields(&[(":status", "200"), (":path", "/")])).is_err());
    }
}
