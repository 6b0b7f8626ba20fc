use super::*;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A question every 2 ms, answered by these.
fn record(answers: &[&[MacAddr]]) -> Record {
    let mut record = Record::default();
    for (n, answers) in (0..).zip(answers) {
        let turn = (n % u64::from(SENDERS)) as u8;
        record.ask(ms(2 * n), turn);
        for mac in *answers {
            record.see(ms(2 * n), Sight::Answer(turn, *mac));
        }
    }
    record
}

#[test]
fn time_divides_by_owners() {
    let record = record(&[&[A], &[A], &[], &[], &[A, B], &[B, A, B], &[A, B], &[B], &[B]]);
    let expected = Ownership { nobody: ms(4), several: ms(6), coarsest: ms(2) };
    assert_eq!(record.ownership(ms(0), ms(16)), expected);
    let clipped = Ownership { nobody: ms(3), several: ms(1), coarsest: ms(2) };
    assert_eq!(record.ownership(ms(5), ms(9)), clipped);
    assert_eq!(record.first_claim(B, ms(0)), Some(ms(8)));
    assert_eq!(record.first_claim(A, ms(13)), None);
}

#[test]
fn a_late_answer_counts_for_its_question() {
    let mut record = record(&[&[A], &[], &[], &[A], &[A]]);
    record.see(ms(9), Sight::Answer(1, A));
    record.see(ms(9), Sight::Answer(2, A));
    assert_eq!(record.ownership(ms(0), ms(10)).nobody, ms(0));
    // The sender's turn has come again since: it is the newer question's.
    let nobody: [&[MacAddr]; 20] = [&[]; 20];
    let mut record = self::record(&nobody);
    record.see(ms(60), Sight::Answer(3, A));
    assert_eq!(record.first_claim(A, ms(0)), Some(ms(38)));
}

#[test]
fn the_last_owners_are_those_of_every_recent_question() {
    let record = record(&[&[A], &[B], &[B], &[B], &[], &[]]);
    assert_eq!(record.last_owners(ms(0), 3), Some(vec![B]));
    assert_eq!(record.last_owners(ms(0), 4), None);
    assert_eq!(record.last_owners(ms(3), 3), None);
    assert_eq!(self::record(&[&[A, B], &[], &[]]).last_owners(ms(0), 2), None);
    assert_eq!((record.owners(ms(2)), record.owners(ms(0))), (vec![B], vec![A, B]));
}

#[test]
fn the_changeover_is_from_advertisement_to_advertisement() {
    let mut record = Record::default();
    let mut advert = |at, mac, priority| {
        let interval = ms(10);
        let source = [10, 0, 0, 1].into();
        let advert = Advert { mac, source, version: 3, priority, interval };
        record.see(ms(at), Sight::Advert(advert));
    };
    advert(10, A, 200);
    advert(20, A, 0);
    // The leaving peer of an earlier drill.
    advert(21, B, 0);
    advert(27, B, 100);
    advert(37, B, 100);
    advert(40, A, 200);
    assert_eq!(record.changeover(A, ms(15)), Some(ms(7)));
    assert_eq!(record.changeover(B, ms(30)), Some(ms(3)));
    assert_eq!(record.changeover(B, ms(41)), None);
}
