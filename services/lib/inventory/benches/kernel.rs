//! The figures of the seat kernel.

fn main() {
    divan::main();
}
