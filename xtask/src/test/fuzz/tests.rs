use super::*;

#[test]
fn a_run_that_measured_no_coverage_is_no_run() {
    let measured = "#2\tINITED cov: 7 ft: 8 corp: 1/1b\n#99\tDONE   cov: 12 ft: 30 corp: 9/80b\n";
    assert_eq!(summary(measured).as_deref(), Some("99 inputs, 12 edges"));
    assert_eq!(summary("#2\tINITED exec/s: 0\n#99\tDONE   corp: 1/1b lim: 4096\n"), None);
    assert_eq!(summary(""), None);
}

#[test]
fn a_finding_is_told_in_its_own_words() {
    let panicked = "#2\tINITED\nthread 'main' (7) panicked at a.rs:1:2:\nindex 8 is out\nstack:\n\
        ==7== ERROR: libFuzzer: deadly signal\n";
    assert_eq!(finding(panicked), Some("index 8 is out"));
    let slow = "#2\tINITED\n==7== ERROR: libFuzzer: timeout after 10 seconds\n";
    assert_eq!(finding(slow), Some("==7== ERROR: libFuzzer: timeout after 10 seconds"));
    assert_eq!(finding("#2\tINITED\n"), None);
}
