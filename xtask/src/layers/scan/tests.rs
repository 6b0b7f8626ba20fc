use super::paths;

fn found(source: &str) -> Vec<String> {
    let found = paths("lb-agent/src/health/tracker.rs", source);
    found.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn a_use_tree_is_unfolded() {
    let source =
        "use std::{fmt, net::{IpAddr, Ipv4Addr as V4}};\npub(crate) use tokio::*;\nuse anyhow;";
    assert_eq!(
        found(source),
        ["std::fmt", "std::net::IpAddr", "std::net::Ipv4Addr", "tokio", "anyhow"]
    );
    assert_eq!(found("use ::aya::{self, maps::{HashMap,},};"), ["aya::self", "aya::maps::HashMap"]);
}

#[test]
fn paths_in_types_expressions_and_attributes_count() {
    let source = "#[tokio::main] fn f(x: aya::Pod) -> Vec<u8> { std::fs::read(y.z)?; a.b() }";
    assert_eq!(found(source), ["tokio::main", "aya::Pod", "std::fs::read"]);
}

#[test]
fn self_and_super_lead_to_their_module() {
    let source =
        "use super::{Report, super::netlink::Facts}; use self::inner::X; use super::super::agent;";
    assert_eq!(
        found(source),
        [
            "crate::health::Report",
            "crate::netlink::Facts",
            "crate::health::tracker::inner::X",
            "crate::agent"
        ]
    );
    let root = paths("lb-agent/src/lib.rs", "use self::config::Config;");
    assert_eq!(root, [(1, "crate::config::Config".to_owned())]);
}

#[test]
fn words_in_comments_strings_and_characters_are_no_paths() {
    let source = r##"
        // tokio::time
        /* aya::x /* nested::y */ z::w */
        const A: &str = "libc::c \" nix::d";
        const B: &str = r#"serde::e " toml::f"#;
        const C: char = '"'; const D: char = '\''; fn f<'a>(x: &'a str) { real::path(); }
    "##;
    assert_eq!(found(source), ["real::path"]);
}

#[test]
fn test_items_are_skipped_and_what_follows_is_not() {
    let source = "#[cfg(test)] mod tests { use tokio::x; fn f() { a::b() } }\n\
                  #[cfg(test)] mod more;\n#[cfg(feature = \"user\")] use aya::Pod;";
    assert_eq!(paths("x.rs", source), [(3, "aya::Pod".to_owned())]);
}

#[test]
fn lines_are_those_of_the_source() {
    let source = "//! Docs\n\nuse std::{\n    fmt,\n    io,\n};\n\"a\nb\"; c::d";
    let lines: Vec<_> = paths("x.rs", source).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [4, 5, 8]);
}

#[test]
fn source_that_is_torn_ends() {
    for source in ["use a::{b, c", "use a::{;", "/* open", "\"open", "r#\"open", "'", "use", "a::"]
    {
        paths("x.rs", source);
    }
}
