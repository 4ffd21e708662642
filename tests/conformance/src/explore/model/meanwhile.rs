//! What a send may answer that waits while its peer reads, closes or resets, and what the peer may have read.

use unisend::ErrorKind::{self, *};

use super::super::payload::Payload;
use super::super::peer::Delivered;
use super::super::program::{Call, Flags, Kind, Meanwhile, Waiting};
use super::send::{Accepts, Right, loops};
use super::{Answer, Model, Said, Socket, System, Wrong};

impl Model {
    /// Checks the answer to a send that waited while its peer read, and what the peer has read.
    ///
    /// # Errors
    ///
    /// If one of them is not right.
    pub fn sent_meanwhile(
        &mut self,
        place: usize,
        call: Call,
        payload: &Payload,
        (meanwhile, waiting): (Meanwhile, Waiting),
        answer: &Answer,
        delivered: &Delivered,
    ) -> Result<Said, Wrong> {
        let (Some(number), Some(peer)) = (self.places[place], self.peer_place(place)) else {
            return Err("an empty place".to_owned());
        };
        let Answer::Sent(accepted, error) = *answer else { return Err("an answer of a send".to_owned()) };
        let socket = &self.sockets[number];
        let right = match self.refusal(socket, call, payload, Flags(0)) {
            Some(refusal) => refusal,
            None => self.waits(socket, call, payload, meanwhile, waiting).or_too_long(socket, payload, 0),
        };
        let said = match self.has_too_many_descriptors(payload, accepted, error) {
            true => Said::differs("R10"),
            false => right.check(call, payload, accepted, error)?,
        };
        self.check_delivered(peer, payload, meanwhile, accepted, error, delivered)?;
        if meanwhile == Meanwhile::Reads {
            self.change(peer, |peer| peer.incoming.clear());
            self.change(place, |socket| socket.was_full = true);
        } else {
            self.close(peer, false);
        }
        Ok(said)
    }

    /// A send that waits is interrupted by signals (I1, I2), a loop is not (I2b). On OpenBSD a send does not wait for
    /// room in a queue of datagrams (B3b).
    fn waits(
        &self,
        socket: &Socket,
        call: Call,
        payload: &Payload,
        meanwhile: Meanwhile,
        waiting: Waiting,
    ) -> Right {
        let kind = socket.kind;
        let peer_goes = meanwhile != Meanwhile::Reads;
        let gone: &[ErrorKind] = if peer_goes { &[Disconnected, Reset] } else { &[] };
        let accepts = match kind.is_stream() {
            true if payload.is_empty() && !peer_goes => Accepts::Whole,
            true => Accepts::Part,
            false => Accepts::WholeOrNothing,
        };
        let clause = if peer_goes { "I5" } else { "B3b" };
        let mut right =
            Right { said: Said::differs(clause), accepts, fails: gone.to_vec(), stops: gone.to_vec() };
        if !loops(call) && waiting == Waiting::WithSignals {
            right.fails.push(Interrupted);
        }
        if !loops(call) && waiting == Waiting::ByPoll {
            right.fails.push(WouldBlock);
        }
        if self.system == System::OpenBsd {
            let peer = socket.peer.map(|peer| &self.sockets[peer]);
            let usual = socket.usual_buffers && peer.is_some_and(|peer| peer.usual_buffers);
            // A loop tries again for about a second. Descriptors may never fit into small buffers (R13).
            let gives_up = kind == Kind::UnixDatagram || (payload.descriptors > 0 && !usual);
            right.fails.extend((!loops(call) || gives_up).then_some(WouldBlock));
            // The receiver can close between the check of the state and the delivery (uipc_dgram_send()).
            let is_parted = kind == Kind::UnixDatagram && peer_goes;
            right.fails.extend(is_parted.then_some(NotConnected));
        }
        right
    }

    fn check_delivered(
        &self,
        peer: usize,
        payload: &Payload,
        meanwhile: Meanwhile,
        accepted: usize,
        error: Option<ErrorKind>,
        delivered: &Delivered,
    ) -> Result<(), Wrong> {
        let Some(peer) = self.at(peer) else { return Err("a peer".to_owned()) };
        let data = payload.messages.concat();
        // OpenBSD does not say how much was accepted before the peer was gone (I5).
        let is_known = self.system == System::Linux || !matches!(error, Some(Disconnected | Reset));
        let most = if is_known { accepted } else { data.len() };
        let mut expected: Vec<u8> = peer.incoming.iter().flat_map(|chunk| &chunk.bytes).copied().collect();
        expected.extend(&data[..most]);
        let reads_all = meanwhile == Meanwhile::Reads;
        let is_right =
            if reads_all { delivered.bytes == expected } else { expected.starts_with(&delivered.bytes) };
        if !is_right {
            let (came, expected) = (delivered.bytes.len(), expected.len());
            return Err(format!(
                "I5: the {expected} bytes that were accepted at the peer, which read {came}"
            ));
        }
        if !reads_all {
            return Ok(());
        }
        let was_sent = accepted > 0 || error.is_none();
        let descriptors = peer.incoming.iter().map(|chunk| chunk.descriptors.len()).sum::<usize>()
            + if was_sent { usize::from(payload.descriptors) } else { 0 };
        if delivered.descriptors != descriptors {
            return Err(format!(
                "R8: {descriptors} descriptors at the peer, to which {} came",
                delivered.descriptors
            ));
        }
        check_records(peer, error.is_none().then_some(accepted), &delivered.lengths)
    }
}

fn check_records(peer: &Socket, sent: Option<usize>, came: &[usize]) -> Result<(), Wrong> {
    let before = peer.incoming.iter().map(|chunk| chunk.bytes.len());
    let records: Vec<usize> = before.chain(sent).collect();
    if peer.kind.is_stream() || came == records {
        return Ok(());
    }
    Err(format!("R28b: records of {records:?} bytes at the peer, to which {came:?} came"))
}
