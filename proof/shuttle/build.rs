//! Compiles the engine's sources for the models.

fn main() {
    println!("cargo::rustc-cfg=stageline_models");
    println!("cargo::rustc-cfg=stageline_shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
