//! Has the binary built anew when a file that it carries is added or taken
//! away; changes inside files are seen without this.

fn main() {
    for carried in ["templates", "rust", "rust-macros", "standalone", "wit"] {
        println!("cargo:rerun-if-changed=../../guest-sdk/{carried}");
    }
}
