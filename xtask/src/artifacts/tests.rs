use super::*;

const TEST: &str = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"datapath","kind":["test"],"src_path":"/w/tests/datapath.rs"},"profile":{"test":true},"executable":"/w/target/debug/deps/datapath-1"}"#;
const PROGRAM: &str = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"lb-lab","kind":["bin"],"src_path":"/w/tests/bin/lab.rs"},"profile":{"test":false},"executable":"/w/target/debug/lb-lab"}"#;
const LIBRARY: &str = r#"{"reason":"compiler-artifact","manifest_path":"/w/x/Cargo.toml","target":{"name":"x","kind":["lib"],"src_path":"/w/x/src/lib.rs"},"profile":{"test":false},"executable":null}"#;
const WARNING: &str = r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: unused\n","spans":[{"line":1}]}}"#;
const CLOSING: &str = r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: 1 warning emitted\n","spans":[]}}"#;

fn read(lines: &[&str]) -> Build {
    let mut build = Build::default();
    for line in lines {
        build.take(line).unwrap();
    }
    build
}

#[test]
fn executables_are_told_apart_from_libraries_and_harnesses_from_programs() {
    let build = read(&[LIBRARY, TEST, PROGRAM, r#"{"reason":"build-finished","success":true}"#]);
    let [test, program] = &build.executables[..] else { panic!("{build:?}") };
    assert!(test.is_test && !program.is_test);
    assert_eq!(test.source, Path::new("datapath.rs"));
    assert_eq!(test.package, Path::new("/w/tests"));
    assert_eq!(build.program("lb-lab"), Some(Path::new("/w/target/debug/lb-lab")));
    assert_eq!(build.program("datapath"), None);
}

#[test]
fn warnings_are_counted_without_the_closing_count() {
    assert_eq!(read(&[WARNING, CLOSING]).warnings, 1);
    let shown = Build::default().take(WARNING).unwrap();
    assert_eq!(shown.as_deref(), Some("warning: unused\n"));
    assert_eq!(Build::default().take(CLOSING).unwrap(), None);
}

#[test]
fn output_that_is_not_a_message_is_left_alone_and_a_torn_message_is_an_error() {
    assert!(Build::default().take("running 3 tests").unwrap().is_none());
    assert!(Build::default().take(r#"{"reason":"#).is_err());
}
