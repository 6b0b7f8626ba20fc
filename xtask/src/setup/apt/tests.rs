use super::*;

#[test]
fn the_candidate_is_read_from_the_policy() {
    let known =
        "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
    assert_eq!(parse_candidate(known).as_deref(), Some("1.96.0+dfsg1-1~deb12u2"));
    let gone = "rustc-web:\n  Installed: (none)\n  Candidate: (none)\n";
    assert_eq!(parse_candidate(gone), None);
    assert_eq!(parse_candidate(""), None, "apt-cache says nothing about an unknown name");
}

#[test]
fn a_directory_without_lists_has_no_newest() {
    assert_eq!(newest_list(Path::new("/nowhere")), None);
    assert_eq!(newest_list(Path::new("/proc/self")), None);
}
