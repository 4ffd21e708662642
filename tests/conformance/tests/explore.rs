//! Random programs: those that found something, and what `explore` says of a seed.

use std::hash::Hasher;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use unisend_conformance::explore::{
    Call::*, Flags, How::*, Kind::*, Programs, Step, Step::*, Taking::*, Target::*,
};

fn explore(arguments: &[&str], input: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_unisend-conformance"))
        .arg("explore")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    program.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads its input");
    program.wait_with_output().expect("it ends")
}

fn printed(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("it prints text")
}

/// Runs a program. `explore` prints programs that are wrong as calls of this.
#[track_caller]
fn replay(steps: &[Step]) {
    let output = explore(&["--replay", "-"], &serde_json::to_string(steps).expect("steps can be written"));
    assert!(output.status.success(), "{}", printed(&output));
}

#[test]
fn g6_a_send_that_fails_for_two_reasons() {
    replay(&[
        New(UdpV4, 0),
        Send(0, One, 65_536, Flags(0)),
        Pair(UnixSeqpacket, 0, 1),
        Send(0, One, 1, Flags(0)),
        Shutdown(0, Sending),
        Close(1),
        Send(0, One, 1, Flags(0)),
    ]);
}

#[test]
fn s11b_a_tcp_peer_that_has_shut_down_both_directions() {
    replay(&[Pair(Tcp, 0, 1), Shutdown(1, Both), Send(0, One, 1, Flags(0)), Send(0, One, 1, Flags(0))]);
}

#[test]
fn s11b_data_that_was_held_back_for_more_is_answered_with_a_reset() {
    replay(&[
        Pair(Tcp, 0, 1),
        Send(0, Vectored(1), 1, Flags(0x30)),
        Shutdown(1, Both),
        Send(0, One, 65_508, Flags(0)),
    ]);
}

#[test]
fn s17b_a_unix_datagram_socket_finds_that_its_receiver_has_closed() {
    replay(&[
        Pair(UnixDatagram, 0, 1),
        Send(1, One, 10, Flags(0)),
        Close(1),
        Send(0, One, 1, Flags(0)),
        Drain(0),
    ]);
}

#[test]
fn s20c_udp_without_a_peer_that_was_shut_down() {
    replay(&[New(UdpV4, 0), Shutdown(0, Sending), Send(0, One, 1, Flags(0))]);
}

#[test]
fn b1c_udp_in_fragments_from_a_small_buffer() {
    replay(&[Pair(UdpV6, 0, 1), SmallBuffers(0), Send(0, One, 65_508, Flags(0))]);
}

/// What it sent to others fills its own buffer too.
#[test]
fn s15_a_unix_datagram_sender_is_full_and_its_receiver_is_deaf() {
    let large = Send(0, One, 100_000, Flags(0x4));
    replay(&[
        Pair(UnixDatagram, 0, 1),
        large,
        large,
        large,
        Shutdown(1, Receiving),
        Send(0, One, 1, Flags(0x4)),
    ]);
}

/// An address that is the peer's is the peer: the report of the network is for this socket.
#[test]
fn s19_a_datagram_to_the_address_of_the_peer_is_refused() {
    replay(&[
        Pair(UdpV4, 0, 1),
        New(UdpV4, 2),
        Connect(1, 2, 3),
        Send(0, To(Place(1)), 1, Flags(0)),
        Send(0, One, 1, Flags(0)),
        Receive(0, WithDescriptors, 10, Flags(0)),
    ]);
}

/// Some of the datagrams before the last are lost, and begin with the same bytes.
#[test]
fn d6_a_short_datagram_after_many_that_do_not_fit() {
    replay(&[
        Pair(UdpV4, 0, 1),
        Send(1, Datagrams(FromLoopback(0), 130), 9216, Flags(0x4)),
        Send(1, One, 100, Flags(0x4)),
        Receive(0, Many(64), 100, Flags(0)),
    ]);
}

/// An accepted socket has the name of its listener.
#[test]
fn n2_a_record_of_an_accepted_socket() {
    replay(&[
        New(UnixSeqpacket, 0),
        Bind(0),
        New(UnixSeqpacket, 1),
        Listen(0),
        Connect(1, 0, 3),
        Send(3, One, 1024, Flags(0x4)),
        Drain(1),
    ]);
}

#[test]
fn a_program_that_is_not_one_is_refused_before_anything_runs() {
    let output = explore(&["--replay", "-"], "[{\"Pair\": [\"Tcp\", 0]}]");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a program"), "{output:?}");
}

#[test]
fn a_seed_is_run_and_said() {
    let output = explore(&["--seed", "7", "--programs", "200", "--steps", "12"], "");
    assert!(output.status.success(), "{}", printed(&output));
    let last = printed(&output).lines().last().unwrap_or_default();
    assert!(last.starts_with("seed 7: 200 programs, ") && last.ends_with(", 0 wrong"), "{last}");
}

/// Every kernel departs from some clause: why there is unisend.
#[test]
fn the_clauses_from_which_the_kernel_departs_are_counted() {
    let output = explore(&["--seed", "5", "--programs", "150", "--kernel"], "");
    assert!(output.status.success(), "{}", printed(&output));
    let counted =
        printed(&output).lines().filter(|line| line.starts_with("    F1 ") || line.starts_with("    S1 "));
    assert!(counted.count() > 0, "{}", printed(&output));
}

#[test]
fn without_a_seed_there_is_a_new_one_each_time() {
    let last = |output: &Output| printed(output).lines().last().unwrap_or_default().to_owned();
    let [first, second] = [(), ()].map(|()| last(&explore(&["--programs", "1"], "")));
    assert_ne!(first, second);
}

/// Two transcripts of one seed differ at most from a line on that says so.
#[test]
fn the_same_seed_has_the_same_answers() {
    let [first, second] =
        [(), ()].map(|()| explore(&["--seed", "3", "--programs", "60", "--transcript"], ""));
    let certain = |output: &Output| -> Vec<String> {
        let lines = printed(output).lines();
        lines.filter(|line| line.contains("[") && !line.ends_with("(differs)")).map(str::to_owned).collect()
    };
    assert!(certain(&first).len() > 200, "{}", certain(&first).len());
    assert_eq!(certain(&first), certain(&second));
}

/// On every system, processor and C library.
#[test]
fn the_same_seed_makes_the_same_programs() {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for program in Programs::new(1, 20).take(500) {
        hash.write(format!("{program:?}").as_bytes());
    }
    assert_eq!(
        hash.finish(),
        7_606_299_896_557_529_369,
        "if programs are made in another way, this number changes"
    );
}

/// Fowler, Noll and Vo's hash, which is the same on every system.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
