use super::*;

const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// An Ethernet frame around a packet in hexadecimal digits, as recorded from keepalived 2.2.7.
fn frame(ethertype: [u8; 2], packet: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&packet[at..at + 2], 16).unwrap();
    let mut frame = [[0; 6], SENDER].concat();
    frame.extend(ethertype);
    frame.extend((0..packet.len()).step_by(2).map(digits));
    frame
}

#[test]
fn reads_what_keepalived_sends() {
    let advert = |last, version, priority, interval| Advert {
        mac: MacAddr(SENDER),
        source: [10, 9, 0, last].into(),
        version,
        priority,
        interval: Duration::from_millis(interval),
    };
    let pass = "45c0002800010000ff70d0870a090002e00000122133640101013b2b0a0900643432000000000000";
    let ah = "45c0004000010000ff33d0ad0a090001e0000012700400000a090001000000012fef42b4093029d9d844\
              aa132133650102016d5d0a0900640000000000000000";
    let short = "45c0002000010000ff70d08f0a090002e000001231336401000a75ba0a090064";
    for (packet, expected) in [
        (pass, advert(2, 2, 100, 1000)),
        (ah, advert(1, 2, 101, 1000)),
        (short, advert(2, 3, 100, 100)),
    ] {
        assert_eq!(Advert::read(&frame([8, 0], packet)), Some(expected), "{packet}");
    }
}

#[test]
fn reads_version_3_over_ipv6() {
    let header = "6c000000000c70fffe80000000000000000000000000000aff020000000000000000000000000012";
    let packet = format!("{header}3133000100326f84");
    let advert = Advert::read(&frame([0x86, 0xdd], &packet)).unwrap();
    assert_eq!(advert.source, "fe80::a".parse::<IpAddr>().unwrap());
    assert_eq!((advert.version, advert.priority), (3, 0));
    assert_eq!(advert.interval, Duration::from_millis(500));
}

#[test]
fn passes_over_everything_else() {
    let tcp = "45c0002000010000ff06d08f0a090002e000001231336401000a75ba0a090064";
    assert_eq!(Advert::read(&frame([8, 0], tcp)), None);
    assert_eq!(Advert::read(&frame([8, 6], tcp)), None);
    for length in 0..60 {
        let ah = "45c0004000010000ff33d0ad0a090001e0000012700400000a090001000000012fef42b4093029d9\
                  d844aa132133650102016d5d0a090064";
        let whole = frame([8, 0], ah);
        assert_eq!(Advert::read(&whole[..length]).is_some(), length >= 14 + 20 + 24 + 6);
    }
}
