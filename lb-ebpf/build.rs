//! What the kernel side's link needs beyond the flags that the whole target shares.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // bpf-linker makes LLVM keep every memcpy and memset a call to a loop of single bytes, which
    // costs more than a table look-up per packet; without this they are loads and stores.
    println!("cargo::rustc-link-arg-bins=--disable-expand-memcpy-in-order");
}
