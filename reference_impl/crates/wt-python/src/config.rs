//! Configuration from a dictionary.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pyo3::{
    conversion::FromPyObjectOwned,
    prelude::*,
    types::{PyBytes, PyDict, PyString},
};
use wt_reactor::{Config, Congestion, Draft, Qlog, Role, Verify};

use crate::error::ConfigError;

/// A key's name for the message, and the conversion of its value.
struct Value<'a, 'py>(&'a str, Bound<'py, PyAny>);

impl<'py> Value<'_, 'py> {
    fn wrong(&self, what: &str) -> PyErr {
        ConfigError::new_err(format!("{}: {what}", self.0))
    }

    fn to<T: FromPyObjectOwned<'py>>(&self) -> PyResult<T> {
        self.1.extract().map_err(|error: T::Error| {
            let error: PyErr = error.into();
            self.wrong(&error.to_string())
        })
    }

    fn bytes(&self) -> PyResult<Vec<u8>> {
        let bytes = self.1.cast::<PyBytes>().map_err(|_| self.wrong("has to be bytes"))?;
        Ok(bytes.as_bytes().to_vec())
    }

    fn seconds(&self) -> PyResult<Duration> {
        let seconds: f64 = self.to()?;
        Duration::try_from_secs_f64(seconds).map_err(|e| self.wrong(&e.to_string()))
    }

    /// `None` for 0
    fn seconds_or_none(&self) -> PyResult<Option<Duration>> {
        Ok(Some(self.seconds()?).filter(|x| !x.is_zero()))
    }

    fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> PyResult<T> {
        let value: String = self.to()?;
        choices.iter().find(|x| x.0 == value).map(|x| x.1).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|x| x.0).collect();
            self.wrong(&format!("has to be one of {}", names.join(", ")))
        })
    }

    fn list(&self) -> PyResult<Vec<Value<'_, 'py>>> {
        let items = self.1.try_iter().map_err(|_| self.wrong("has to be a list"))?;
        items.map(|x| Ok(Value(self.0, x?))).collect()
    }
}

/// A socket address of an IP literal and a port.
pub(crate) fn address(ip: &str, port: u16) -> PyResult<SocketAddr> {
    let ip = ip.parse().map_err(|_| ConfigError::new_err(format!("{ip:?} is not an IP address")))?;
    Ok(SocketAddr::new(ip, port))
}

pub(crate) fn parse(role: &str, values: &Bound<'_, PyDict>) -> PyResult<Config> {
    let role = match role {
        "server" => Role::Server,
        "client" => Role::Client,
        _ => return Err(ConfigError::new_err("role has to be server or client")),
    };
    let mut config = Config::new(role);
    for (key, value) in values {
        let key = key.cast::<PyString>().map_err(|_| ConfigError::new_err("keys have to be strings"))?;
        let key = key.to_cow()?;
        let value = Value(&key, value);
        let known = endpoint(&mut config, &key, &value)?
            || transport(&mut config, &key, &value)?
            || webtransport(&mut config, &key, &value)?
            || limits(&mut config, &key, &value)?;
        if !known {
            return Err(value.wrong("unknown key"));
        }
    }
    Ok(config)
}

fn endpoint(config: &mut Config, key: &str, value: &Value<'_, '_>) -> PyResult<bool> {
    let tls = &mut config.tls;
    match key {
        "bind" => {
            let list: Vec<(String, u16)> = value.to()?;
            config.bind = list.iter().map(|(ip, port)| address(ip, *port)).collect::<PyResult<_>>()?;
        }
        "certificate" => tls.certificate = Some(value.bytes()?),
        "private_key" => tls.private_key = Some(value.bytes()?),
        "ca" => tls.ca = Some(value.bytes()?),
        "verify" => {
            let choices =
                [("none", Verify::None), ("optional", Verify::Optional), ("required", Verify::Required)];
            tls.verify = value.choice(&choices)?;
        }
        "certificate_hashes" => {
            for item in value.list()? {
                let hash = item.bytes()?.try_into().map_err(|_| value.wrong("has to be 32 bytes"))?;
                tls.certificate_hashes.push(hash);
            }
        }
        "alpn" => tls.alpn = value.to::<Vec<String>>()?.into_iter().map(String::into_bytes).collect(),
        "keylog_file" => tls.keylog_file = Some(value.to::<PathBuf>()?),
        "early_data" => tls.early_data = value.to()?,
        "qlog" => {
            let (folder, max_files, max_file_size) = value.to()?;
            config.qlog = Some(Qlog { folder, max_files, max_file_size });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn transport(config: &mut Config, key: &str, value: &Value<'_, '_>) -> PyResult<bool> {
    let transport = &mut config.transport;
    match key {
        "reset_stream_at" => {
            let choices = [
                ("both", (true, true)),
                ("new", (true, false)),
                ("old", (false, true)),
                ("none", (false, false)),
            ];
            (transport.reset_stream_at, transport.reset_stream_at_07) = value.choice(&choices)?;
        }
        "idle_timeout" => transport.idle_timeout = value.seconds_or_none()?,
        "keep_alive" => transport.keep_alive = value.seconds_or_none()?,
        "handshake_timeout" => transport.handshake_timeout = value.seconds()?,
        "first_request_timeout" => transport.first_request_timeout = value.seconds_or_none()?,
        "stream_receive_window" => transport.stream_receive_window = value.to()?,
        "receive_window" => transport.receive_window = value.to()?,
        "send_window" => transport.send_window = value.to()?,
        "max_bidi_streams" => transport.max_bidi_streams = value.to()?,
        "max_uni_streams" => transport.max_uni_streams = value.to()?,
        "max_datagram_frame_size" => transport.max_datagram_frame_size = value.to()?,
        "datagram_send_buffer" => transport.datagram_send_buffer = value.to()?,
        "datagram_receive_buffer" => transport.datagram_receive_buffer = value.to()?,
        "initial_mtu" => transport.initial_mtu = value.to()?,
        "max_mtu" => transport.max_mtu = value.to()?,
        "gso" => transport.gso = value.to()?,
        "congestion" => {
            let choices =
                [("cubic", Congestion::Cubic), ("newreno", Congestion::NewReno), ("bbr", Congestion::Bbr)];
            transport.congestion = value.choice(&choices)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn webtransport(config: &mut Config, key: &str, value: &Value<'_, '_>) -> PyResult<bool> {
    let core = &mut config.core;
    match key {
        "drafts" => {
            core.drafts = value
                .to::<Vec<u8>>()?
                .iter()
                .map(|x| Draft::from_name(&x.to_string()).ok_or_else(|| value.wrong("unknown draft")))
                .collect::<PyResult<_>>()?;
            if core.drafts.is_empty() {
                return Err(value.wrong("is empty"));
            }
        }
        "max_field_section_size" => core.max_field_section_size = value.to()?,
        "grease" => core.grease = value.to::<bool>()?.then_some(0),
        "max_sessions" => core.max_sessions = value.to()?,
        "initial_max_data" => core.initial_max_data = value.to()?,
        "max_data_window" => core.max_data_window = value.to()?,
        "initial_max_streams_bidi" => core.initial_max_streams_bidi = value.to()?,
        "initial_max_streams_uni" => core.initial_max_streams_uni = value.to()?,
        "max_buffered_streams" => core.max_buffered_streams = value.to()?,
        "max_buffered_datagrams" => core.max_buffered_datagrams = value.to()?,
        "qpack_max_table_capacity" => core.qpack_max_table_capacity = value.to()?,
        "qpack_blocked_streams" => core.qpack_blocked_streams = value.to()?,
        "qpack_encoder_capacity" => core.qpack_encoder_capacity = value.to()?,
        "max_settings_size" => core.max_settings_size = value.to()?,
        "max_early_capsule_bytes" => core.max_early_capsule_bytes = value.to()?,
        "max_datagram_capsule" => core.max_datagram_capsule = value.to()?,
        "max_remembered_sessions" => core.max_remembered_sessions = value.to()?,
        "max_ignored_elements" => core.max_ignored_elements = value.to()?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn limits(config: &mut Config, key: &str, value: &Value<'_, '_>) -> PyResult<bool> {
    let limits = &mut config.limits;
    let limit = match key {
        "max_connections" => &mut limits.max_connections,
        "max_handshakes" => &mut limits.max_handshakes,
        "max_handshakes_per_address" => &mut limits.max_handshakes_per_address,
        "event_queue" => &mut limits.event_queue,
        "command_queue" => &mut limits.command_queue,
        "stream_read_buffer" => &mut limits.stream_read_buffer,
        "stream_write_buffer" => &mut limits.stream_write_buffer,
        "max_datagrams_queued" => &mut limits.max_datagrams_queued,
        "max_opening_streams" => &mut limits.max_opening_streams,
        "max_pending_streams" => &mut limits.max_pending_streams,
        _ => return Ok(false),
    };
    *limit = value.to()?;
    if *limit == 0 && !key.starts_with("max_handshakes") {
        return Err(value.wrong("has to be positive"));
    }
    Ok(true)
}
