use crate::{
    cursor::Cursor,
    header::{EthHdr, VlanTag},
};

#[test]
fn takes_what_fits_and_nothing_else() {
    let mut frame = [7_u8; 17];
    let mut cursor = Cursor::new(&mut frame);
    assert_eq!(cursor.left(), 17);
    cursor.take::<EthHdr>().unwrap().ethertype = [1, 2];
    assert_eq!(cursor.left(), 3);
    assert!(cursor.take::<VlanTag>().is_none());
    assert_eq!(cursor.left(), 3, "a refused header must not be taken");
    assert_eq!(cursor.take::<[u8; 3]>(), Some(&mut [7; 3]));
    assert_eq!(cursor.left(), 0);
    assert!(cursor.take::<[u8; 1]>().is_none());
    assert_eq!(frame[12..15], [1, 2, 7]);
}

#[test]
fn an_empty_frame_has_nothing() {
    let mut cursor = Cursor::new(&mut []);
    assert_eq!(cursor.left(), 0);
    assert!(cursor.take::<[u8; 1]>().is_none());
    assert!(cursor.take::<[u8; 0]>().is_some());
}
