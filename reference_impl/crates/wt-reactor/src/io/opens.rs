//! Streams of ours: which QUIC stream is next, and how many the application may take for granted.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashMap;
use wt_channel::SessionFlow;
use wt_core::Dir;
use wt_quic::StreamId;

use super::connection::Connection;
use crate::message::Handle;

/// Streams of each kind that are kept ready for an application that opens many
const SPARE: u64 = 256;

/// What a connection knows of the streams that the application opens.
#[derive(Default)]
pub(super) struct Opens {
    accounts: FxHashMap<Handle, Account>,
    /// Opened in QUIC, in order, and not used yet: the peer knows nothing of them
    spare: [VecDeque<StreamId>; 2],
    /// The accounts have to be brought up to date
    pub(super) stale: bool,
}

struct Account {
    flow: Arc<SessionFlow>,
    /// Streams that the application has opened, those that wait included
    seen: [u64; 2],
}

impl Opens {
    pub(super) fn begin(&mut self, session: Handle, flow: Arc<SessionFlow>) {
        self.accounts.insert(session, Account { flow, seen: [0; 2] });
    }

    pub(super) fn end(&mut self, session: Handle) {
        self.accounts.remove(&session);
    }

    /// A stream that was not used after all.
    pub(super) fn give_back(&mut self, id: StreamId) {
        self.spare[id.dir() as usize].push_front(id);
    }

    /// The application opens a stream.
    pub(super) fn saw(&mut self, session: Handle, dir: Dir) {
        if let Some(account) = self.accounts.get_mut(&session) {
            account.seen[dir as usize] += 1;
        }
        self.stale = true;
    }
}

impl Connection {
    /// A stream of QUIC; `None` if the peer allows no more.
    pub(super) fn next_stream(&mut self, dir: wt_quic::Dir) -> Option<StreamId> {
        self.opens.stale = true;
        self.opens.spare[dir as usize].pop_front().or_else(|| self.quic.streams().open(dir))
    }

    /// Tells the application how many streams it may open without waiting.
    pub(super) fn allow_opens(&mut self) {
        // IDs of before the end of the handshake are void if 0-RTT is refused
        if !std::mem::take(&mut self.opens.stale) || self.quic.is_handshaking() {
            return;
        }
        for dir in [Dir::Bidi, Dir::Uni] {
            let index = dir as usize;
            let seen: u64 = self.opens.accounts.values().map(|x| x.seen[index]).sum();
            let wanted = seen.min(SPARE) as usize;
            let kind = if dir == Dir::Bidi { wt_quic::Dir::Bi } else { wt_quic::Dir::Uni };
            while self.opens.spare[index].len() < wanted {
                let Some(id) = self.quic.streams().open(kind) else { break };
                self.opens.spare[index].push_back(id);
            }
            let active = self.opens.accounts.values().filter(|x| x.seen[index] > 0).count().max(1);
            let share = (self.opens.spare[index].len() / active) as u64;
            for (session, account) in self.opens.accounts.iter().filter(|x| x.1.seen[index] > 0) {
                let waiting = self.opening.iter().filter(|x| x.1.is_of(*session, dir)).count() as u64;
                let credit = match self.sessions.get(session) {
                    Some(id) if waiting == 0 => share.min(self.core.open_credit(*id, dir)),
                    _ => 0,
                };
                account.flow.opens[index].allow(account.seen[index] - waiting + credit);
            }
        }
    }
}
