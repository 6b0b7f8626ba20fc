use super::*;

const STABLE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                      release: 1.95.0\nLLVM version: 22.1.2\n";

/// An ordinary stable: new enough, LLVM 22, no source, rustup can add it.
fn bare() -> Candidate {
    Candidate {
        compiler: Compiler::parse(STABLE).unwrap(),
        has_source: false,
        may_add_source: true,
        links: false,
        linker_built: false,
    }
}

fn situation(toolchains: &[Candidate]) -> Situation {
    Situation { toolchains: toolchains.to_vec(), llvms: vec![22], debian_rust: None }
}

#[test]
fn versions_are_read_whatever_follows_the_minor() {
    let expected = Version { major: 1, minor: 96 };
    for text in ["1.96.0", "1.96.0-nightly", "1.96.0+dfsg1-1~deb12u2", "1.96.1-beta.3"] {
        assert_eq!(Version::parse(text), Some(expected), "{text}");
    }
    for text in ["", "1", "one.two.three", "1.x.0"] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
    assert!(Version::parse("1.100.0") > Version::parse("1.95.0"), "compared as numbers");
}

#[test]
fn the_compilers_llvm_is_read_from_its_own_words() {
    let compiler = Compiler::parse(STABLE).unwrap();
    assert_eq!(compiler, Compiler { release: Version { major: 1, minor: 95 }, llvm: 22 });
    assert_eq!(Compiler::parse("rustc 1.95.0\nrelease: 1.95.0\n"), None);
}

#[test]
fn only_the_known_linker_release_is_accepted() {
    assert!(linker_is_accepted("bpf-linker 0.13.0\n"));
    assert!(linker_is_accepted("bpf-linker 0.13.4"));
    for other in ["bpf-linker 0.9.15", "bpf-linker 0.14.0", "bpf-linker 0.130.0", "ld 2.40", ""] {
        assert!(!linker_is_accepted(other), "{other}");
    }
}

#[test]
fn a_pair_that_links_is_used_even_when_a_preferred_toolchain_could_be_completed() {
    let ready = Candidate { has_source: true, may_add_source: false, links: true, ..bare() };
    assert_eq!(choose(&situation(&[bare(), ready])), Plan::Use { toolchain: 1 });
}

#[test]
fn a_toolchain_with_source_gets_the_linker_of_its_own_llvm() {
    let with_source = Candidate { has_source: true, ..bare() };
    let plan = choose(&situation(&[bare(), with_source]));
    assert_eq!(plan, Plan::InstallLinker { toolchain: 1, llvm: 22 });
}

#[test]
fn source_is_added_only_where_a_linker_can_follow() {
    let mut newer = bare();
    newer.compiler.llvm = 23;
    assert_eq!(choose(&situation(&[newer, bare()])), Plan::AddSource { toolchain: 1 });
    // A linker for LLVM 23 that somebody else installed is as good.
    newer.links = true;
    assert_eq!(choose(&situation(&[newer, bare()])), Plan::AddSource { toolchain: 0 });
}

#[test]
fn debians_set_is_taken_when_rustup_has_no_source_to_give() {
    let refused = Candidate { may_add_source: false, ..bare() };
    let mut situation = situation(&[refused]);
    situation.debian_rust = Version::parse("1.96.0+dfsg1-1~deb12u2");
    assert_eq!(choose(&situation), Plan::InstallDebianRust);
    situation.debian_rust = Version::parse("1.85.0+dfsg3-1~deb12u3");
    assert!(matches!(choose(&situation), Plan::Stuck(_)), "too old to build the workspace");
}

#[test]
fn a_toolchain_older_than_the_workspace_is_passed_over() {
    let mut old = Candidate { has_source: true, links: true, ..bare() };
    old.compiler.release = Version { major: 1, minor: 89 };
    let Plan::Stuck(why) = choose(&situation(&[old])) else { panic!("used") };
    assert!(why.contains("Rust 1.89 (LLVM 22) with rust-src"), "{why}");
}

#[test]
fn a_linker_that_was_built_and_does_not_link_is_not_built_again() {
    let failed = Candidate { has_source: true, linker_built: true, ..bare() };
    assert!(matches!(choose(&situation(&[failed])), Plan::Stuck(_)));
}

#[test]
fn an_llvm_that_the_linker_does_not_know_is_no_way() {
    let mut newest = Candidate { has_source: true, ..bare() };
    newest.compiler.llvm = 24;
    let mut situation = situation(&[newest]);
    situation.llvms = vec![24];
    assert!(matches!(choose(&situation), Plan::Stuck(_)));
}

#[test]
fn an_llvm_that_knows_no_misaligned_loads_is_no_way_even_with_a_linker() {
    let mut older = Candidate { has_source: true, links: true, ..bare() };
    older.compiler.llvm = 21;
    assert!(matches!(choose(&situation(&[older])), Plan::Stuck(_)));
}
