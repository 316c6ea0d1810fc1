//! UDP with segmentation offload.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use wt_quic::{EcnCodepoint, Transmit};

/// Largest payload of a UDP datagram over IPv4, to which the segments of one call have to add up
const MAX_PAYLOAD: usize = 65_507;
/// What is asked of the system; it may give less
const SOCKET_BUFFER: usize = 8 << 20;

/// A bound socket.
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// What the system had no room for; nothing else is sent before it
    blocked: Option<(Transmit, Vec<u8>)>,
    pub(super) send_errors: u64,
    /// UDP datagrams received and sent in this round
    pub(super) packets: usize,
    /// The system has said that there is something to receive
    pub(super) is_readable: bool,
}

impl Socket {
    /// Binds; an unspecified IPv6 address takes IPv4 too.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if let SocketAddr::V6(v6) = address {
            socket.set_only_v6(!v6.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        // Best effort: a system that allows less still works
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER);
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local, blocked: None, send_errors: 0, packets: 0, is_readable: true })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The form of an address that this socket can send to, if there is one.
    pub(super) fn reach(&self, address: SocketAddr) -> Option<SocketAddr> {
        match (self.local, address) {
            (SocketAddr::V6(local), SocketAddr::V4(v4)) => local
                .ip()
                .is_unspecified()
                .then(|| SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()),
            (SocketAddr::V4(_), SocketAddr::V6(_)) => None,
            _ => Some(address),
        }
    }

    /// Number of packets of `mtu` bytes that one call can send.
    pub(super) fn segments(&self, mtu: u16) -> usize {
        (MAX_PAYLOAD / usize::from(mtu).max(1)).clamp(1, self.state.max_gso_segments().max(1))
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Sends, or keeps the datagrams until there is room.
    pub(super) fn send(&mut self, transmit: Transmit, data: &[u8]) {
        let data = &data[..transmit.size];
        self.packets += transmit.segment_size.map_or(1, |x| data.len().div_ceil(x.max(1)));
        if self.blocked.is_none() && !self.try_send(&transmit, data) {
            self.blocked = Some((transmit, data.to_vec()));
        }
    }

    /// Tries again what was kept. `true`: nothing is kept any more.
    pub(super) fn unblock(&mut self) -> bool {
        if let Some((transmit, data)) = self.blocked.take()
            && !self.try_send(&transmit, &data)
        {
            self.blocked = Some((transmit, data));
            return false;
        }
        true
    }

    fn try_send(&mut self, transmit: &Transmit, contents: &[u8]) -> bool {
        let result = self.state.try_send(
            (&self.socket).into(),
            &quinn_udp::Transmit {
                destination: transmit.destination,
                ecn: transmit.ecn.and_then(|x| quinn_udp::EcnCodepoint::from_bits(x as u8)),
                contents,
                segment_size: transmit.segment_size,
                src_ip: transmit.src_ip,
            },
        );
        match result {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
            // For QUIC a packet loss; probes of the path's MTU are expected to end like this
            Err(_) => self.send_errors += 1,
            Ok(()) => {}
        }
        true
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One received UDP datagram or several of the same size, from one sender.
pub(super) struct Received<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) stride: usize,
    pub(super) data: &'a [u8],
}

/// Memory to receive into.
pub(super) struct ReceiveBuffers {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self { buffers: vec![vec![0; 1 << 16]; BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] }
    }
}

impl ReceiveBuffers {
    /// One batch; empty if there is none.
    pub(super) fn receive<'a>(&'a mut self, socket: &Socket) -> impl Iterator<Item = Received<'a>> + use<'a> {
        let mut slices = self.buffers.iter_mut().map(|x| IoSliceMut::new(x));
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        // Errors are those of earlier sends (ICMP), which QUIC notices by itself
        let count =
            socket.state.recv((&socket.socket).into(), &mut slices, &mut self.metas).unwrap_or_default();
        self.metas.iter().zip(&self.buffers).take(count).map(|(meta, buffer)| Received {
            from: meta.addr,
            to: meta.dst_ip,
            ecn: meta.ecn.and_then(|x| EcnCodepoint::from_bits(x as u8)),
            stride: meta.stride.max(1),
            data: &buffer[..meta.len],
        })
    }
}

/// The address as people write it: IPv4 rather than IPv4-mapped IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What stands for one host: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |x: &str| host(x.parse().unwrap()).to_string();
        assert_eq!(host("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(host("192.0.2.1"), "192.0.2.1");
        assert_eq!(host("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn reach() {
        let dual = Socket::bind("[::]:0".parse().unwrap()).unwrap();
        let v4 = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mapped = dual.reach(address).unwrap();
        assert_eq!(mapped, "[::ffff:127.0.0.1]:1".parse().unwrap());
        assert_eq!(canonical(mapped), address);
        assert_eq!(v4.reach(address), Some(address));
        assert_eq!(v4.reach("[::1]:1".parse().unwrap()), None);
        assert!(v4.segments(1452) <= 45);
    }
}
