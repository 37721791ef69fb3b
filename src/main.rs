//! The `fwproof` command.

fn main() -> std::process::ExitCode {
    fwproof::cli::main()
}
