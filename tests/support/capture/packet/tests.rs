use super::*;

/// A SYN from 10.47.160.100:40000 to 10.47.160.50:6443, 54 bytes.
fn syn() -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([10, 47, 160, 100, 10, 47, 160, 50]);
    frame.extend([0x9c, 0x40, 0x19, 0x2b, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0]);
    frame
}

fn file(magic: u32, word: fn(u32) -> [u8; 4], fraction: u32, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap();
    let header = [magic, 0, 0, 0, 65_535, 1, 17, fraction, length, length + 6];
    let mut file: Vec<u8> = header.into_iter().flat_map(word).collect();
    file.extend(frame);
    file
}

#[test]
fn reads_both_byte_orders_and_precisions() {
    let micro = file(0xa1b2_c3d4, u32::to_le_bytes, 5, &syn());
    let nano = file(0xa1b2_3c4d, u32::to_be_bytes, 5, &syn());
    let (micro, nano) = (read(&micro).unwrap(), read(&nano).unwrap());
    assert_eq!(micro[0].at, Duration::new(17, 5000));
    assert_eq!(nano[0].at, Duration::new(17, 5));
    assert_eq!((nano[0].length, nano[0].data.len()), (60, 54));
}

#[test]
fn reads_addresses_ports_and_flags() {
    let packet = &read(&file(0xa1b2_c3d4, u32::to_le_bytes, 0, &syn())).unwrap()[0];
    let (source, target) = packet.endpoints().unwrap();
    assert_eq!(source.to_string(), "10.47.160.100:40000");
    assert_eq!(target.to_string(), "10.47.160.50:6443");
    let flags = Flags { fin: false, syn: true, rst: false, ack: false };
    assert_eq!(packet.tcp_flags(), Some(flags));
}

#[test]
fn leaves_out_a_packet_that_is_still_being_written() {
    let mut bytes = file(0xa1b2_c3d4, u32::to_le_bytes, 0, &syn());
    bytes.pop();
    assert_eq!(read(&bytes).unwrap(), []);
}

#[test]
fn refuses_another_format() {
    let error = read(b"\x0a\x0d\x0d\x0a and so on").unwrap_err();
    assert!(error.to_string().contains("0x0a0d0d0a"), "{error}");
}
