use super::{guest::Report, initramfs::parse_ldd, judge, packages::newest};

const CONSOLE: &str = "[    0.1] some kernel noise\r\n\
    LB-GUEST fact release 6.1.0-56-cloud-amd64\r\n\
    LB-GUEST fact btf yes\r\n\
    LB-GUEST fact jit 1\r\n\
    running 2 tests\r\n\
    test result: ok. 2 passed; 0 failed\r\n\
    LB-GUEST exit datapath 0\r\n";

fn tests() -> Vec<(String, std::path::PathBuf)> {
    vec![("datapath".to_owned(), "/x".into())]
}

#[test]
fn a_console_tells_facts_exit_codes_and_output() {
    let report = Report::parse(CONSOLE);
    assert_eq!(report.facts["release"], "6.1.0-56-cloud-amd64");
    assert_eq!(report.exits["datapath"], 0);
    assert!(report.output.contains("test result: ok. 2 passed"));
    assert!(!report.output.contains("LB-GUEST"));
    judge(&report, &tests()).unwrap();
}

#[test]
fn what_stands_before_a_mark_on_its_line_is_not_lost() {
    let report = Report::parse("torn outputLB-GUEST exit datapath 101\n");
    assert_eq!(report.output, "torn output\n");
    assert_eq!(report.exits["datapath"], 101);
}

#[test]
fn anything_but_a_clean_end_of_every_test_is_a_failure() {
    let without = |line: &str| {
        let kept: Vec<_> = CONSOLE.lines().filter(|one| !one.contains(line)).collect();
        judge(&Report::parse(&kept.join("\n")), &tests())
    };
    assert_eq!(without("exit datapath").unwrap_err(), "`datapath` did not end");
    assert_eq!(without("fact btf").unwrap_err(), "the guest did not reach its init");

    let changed = |from: &str, to: &str| {
        judge(&Report::parse(&CONSOLE.replace(from, to)), &tests()).unwrap_err()
    };
    assert_eq!(changed("datapath 0", "datapath 101"), "`datapath` ended with 101");
    assert_eq!(changed("datapath 0", "datapath 0x"), "`datapath` ended with -1");
    assert_eq!(changed("btf yes", "btf no"), "the kernel has no BTF");

    let late = Report { timed_out: true, ..Report::parse(CONSOLE) };
    assert!(judge(&late, &tests()).unwrap_err().starts_with("no end after"));
}

#[test]
fn the_newest_kernel_of_a_series_is_chosen_by_number() {
    let names = [
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-unsigned",
        "linux-image-6.1.0-57-cloud-amd64-dbg",
        "linux-image-6.12-cloud-amd64",
        "linux-image-6.12.100+deb12-cloud-amd64",
        "linux-image-6.12.9+deb12-cloud-amd64",
        "linux-image-6.12.117+deb12-cloud-amd64-unsigned",
        "linux-image-cloud-amd64",
    ];
    let newest = |series| newest(names.into_iter(), series);
    assert_eq!(newest("6.1"), Some("linux-image-6.1.0-56-cloud-amd64"));
    assert_eq!(newest("6.12"), Some("linux-image-6.12.117+deb12-cloud-amd64-unsigned"));
    assert_eq!(newest("6.6"), None);
}

#[test]
fn libraries_are_read_from_ldd_and_the_vdso_is_not_one() {
    let text = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f15)\n\
                \t/lib64/ld-linux-x86-64.so.2 (0x00007f16)\n";
    let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
    assert_eq!(parse_ldd(text), expected.map(std::path::PathBuf::from));
    assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
}
