//! libFuzzer over one target, named in `LB_FUZZ_TARGET`; without it, the names of all. Its seeds
//! are written to the directory `LB_FUZZ_SEEDS` first.
#![no_main]

use std::{env, fs, path::Path, sync::OnceLock};

use lb_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: choose(),
    |input: &[u8]| if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
);

fn choose() {
    let Some(name) = env::var_os("LB_FUZZ_TARGET") else { list() };
    let target = TARGETS.iter().find(|target| name == target.name);
    let Some(target) = target else { panic!("no target {}", name.display()) };
    if let Some(directory) = env::var_os("LB_FUZZ_SEEDS") {
        write_seeds(target, Path::new(&directory));
    }
    // Called once, before the first input.
    let _first = TARGET.set(*target);
}

#[expect(clippy::print_stdout, clippy::exit, reason = "libFuzzer owns `main`")]
fn list() -> ! {
    for target in TARGETS {
        println!("{}", target.name);
    }
    std::process::exit(0)
}

fn write_seeds(target: &Target, directory: &Path) {
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let file = directory.join(format!("seed-{number:03}"));
        fs::write(&file, seed).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
