//! The command line of Thalweg: thin over the library.

#![forbid(unsafe_code)]

mod cli;

/// glibc maps and unmaps every large tensor; this allocator keeps them, which saves a fifth of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
