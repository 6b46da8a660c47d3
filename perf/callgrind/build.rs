//! Compiles the engine's sources with its internals public.

fn main() {
    println!("cargo::rustc-cfg=stageline_models");
    println!("cargo::rerun-if-changed=build.rs");
}
