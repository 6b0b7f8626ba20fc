use super::*;

#[test]
fn what_a_pair_logs_is_harmless() {
    let log = "\
Sat Nov 21 20:06:50 2026: Command line: 'keepalived' '-n' '-l' '-D' '-P' '-f' '/tmp/a.conf' '-r'
Sat Nov 21 20:06:50 2026:               '/tmp/a.vpid'
Sat Nov 21 20:06:50 2026: VRRP sockpool: [ifindex(  2), family(IPv4), proto(112), fd(13,14) multicast, address(224.0.0.18)]
Sat Nov 21 20:06:50 2026: VRRP_Script(check) failed (exited with status 1)
Sat Nov  1 20:07:01 2026: (VI_1) received lower priority (100) advert from 10.9.0.2 - discarding
Sat Nov 21 20:07:04 2026: (VI_1) Master received advert from 10.9.0.1 with higher priority 101, ours 100
Sat Nov 21 20:07:11 2026: Sending gratuitous ARP on eth0 for 10.9.0.100
Sat Nov 21 20:07:12 2026: (VI_1) IPSEC-AH : sequence number 17 already processed. Packet dropped. Local(17)
";
    assert_eq!(error_lines(log), [""; 0]);
}

#[test]
fn what_it_reproaches_its_peer_with_is_not() {
    for complaint in [
        "(VI_1) received an invalid passwd!",
        "(VI_1) IPSEC-AH : sequence number 4 already processed. Packet dropped. Local(5)",
        "(VI_1) Invalid VRRPv3 checksum",
        "(VI_1) received an unexpected ip number count 2, expected 1!",
        "(VI_1) Dropping received VRRP packet...",
        "(VI_1) advertisement interval mismatch mine=1 sec rcv'd=2 sec",
        "(VI_2) Entering MASTER STATE",
        "(VI_1) Entering MASTER STATE late",
        "bogus VRRP packet received on eth0 !!!",
        "Segmentation fault",
    ] {
        let line = format!("Sat Nov 21 20:06:50 2026: {complaint}");
        assert_eq!(error_lines(&line), [complaint]);
        assert_eq!(error_lines(complaint), [complaint]);
    }
}
