//! A valid file, mutated at random: whatever comes of it, reading does not panic, and complaints
//! point into the text.

use proptest::prelude::*;

use super::{FULL, parsed, vrrp::ROUTERS};

/// What is more likely to hurt than random characters.
const PIECES: &[&str] = &[
    "",
    "\n",
    "\"",
    "[",
    "]",
    "[[",
    "=",
    "#",
    "0",
    "-1",
    "99999999999999999999",
    "0x1F",
    "1e9",
    "inf",
    "true",
    "\u{0}",
    "\u{feff}",
    "é",
    "\"\"\"",
    "'",
    "{",
    "}",
    ",",
    ".",
    "\\",
    "\r",
    "[node]\n",
    "[[service]]\n",
    "[service]\n",
    "[service.check]\n",
    "[[service.backend]]\n",
    "name = \"\"\n",
    "vip = \"::\"\n",
    "type = \"tcp\"\n",
    "type = \"exec\"\n",
    "command = []\n",
    "interval = 1979-05-27\n",
    "port = 0\n",
    "vrrp = 1\n",
    "[[vrrp]]\n",
    "[[vrrp.track]]\n",
    "[vrrp]\n",
    "[notify]\n",
    "[notify.mail]\n",
    "version = 2\n",
    "authentication = {}\n",
    "addresses = [\"::/0\"]\n",
    "weight = -254\n",
    "script = \" \"\n",
    "/129",
    "/",
    "@",
    "https://[",
    "service = [1]\n",
    "check = []\n",
    "::ffff:1.2.3.4",
    "10ms",
    "184467440737095516160h",
    "l2-dsr",
];

fn mutated() -> impl Strategy<Value = String> {
    let characters: Vec<char> = [FULL, ROUTERS].concat().chars().collect();
    let size = characters.len();
    let edit = (
        0..size,
        0..40_usize,
        prop_oneof![
            4 => proptest::sample::select(PIECES).prop_map(str::to_owned),
            1 => any::<String>(),
        ],
    );
    proptest::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut text = characters.clone();
        for (at, cut, piece) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

fn assert_sound(text: &str) {
    let Err(errors) = parsed(text) else { return };
    assert!(!errors.problems().is_empty(), "a refusal has a reason");
    let lines = text.split('\n').count();
    for problem in errors.problems() {
        let line = problem.line().expect("a line");
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
        assert!(!problem.what().contains('\n'), "{:?}", problem.what());
        assert!(!problem.hint().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_panics(text in mutated()) {
        assert_sound(&text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        assert_sound(&text);
    }

    /// Lines in any order: the syntax mostly holds, the sections do not.
    #[test]
    fn no_order_of_lines_panics(
        lines in Just(FULL.lines().chain(ROUTERS.lines()).collect::<Vec<_>>()).prop_shuffle(),
        kept in 1..120_usize,
    ) {
        let lines: Vec<_> = lines.into_iter().take(kept).collect();
        assert_sound(&lines.join("\n"));
    }
}

/// The parser's recursion is bounded.
#[test]
fn no_depth_overflows_the_stack() {
    for open in ["[", "{a=", "a."] {
        let text = format!("x = {}", open.repeat(100_000));
        assert_sound(&text);
        assert_sound(&open.repeat(100_000));
    }
}
