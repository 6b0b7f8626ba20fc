use super::*;

const METADATA: &str = r#"{"packages":[
  {"name":"lb-agent","targets":[{"name":"lb-agent","kind":["bin"]}]},
  {"name":"lb-tests","targets":[
    {"name":"lb_tests","kind":["lib"]},
    {"name":"lb-lab","kind":["bin"]},
    {"name":"datapath","kind":["test"]},
    {"name":"nat","kind":["test"]}]}]}"#;

#[test]
fn targets_of_the_test_package_are_told_apart() {
    let package = TestPackage::from_metadata(METADATA).unwrap();
    assert_eq!(package.programs, ["lb-lab"]);
    assert_eq!(package.tests, ["datapath", "nat"]);
}

#[test]
fn a_program_that_is_not_there_is_named_beside_those_that_are() {
    let package = TestPackage::from_metadata(METADATA).unwrap();
    package.require_program("lb-lab").unwrap();
    let error = package.require_program("lb-demo").unwrap_err().to_string();
    assert_eq!(error, "package `lb-tests` has no program `lb-demo` (it has: lb-lab)");
}

#[test]
fn a_workspace_without_the_test_package_is_an_error() {
    assert!(TestPackage::from_metadata(r#"{"packages":[]}"#).is_err());
}

#[test]
fn only_what_cargo_said_about_xtask_is_forgotten() {
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_BIN_NAME"] {
        assert!(is_about_outer_package(OsStr::new(name)), "{name}");
    }
    for name in ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_NET_OFFLINE", "RUSTFLAGS", "PATH"] {
        assert!(!is_about_outer_package(OsStr::new(name)), "{name}");
    }
}
