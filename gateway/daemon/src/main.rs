fn main() -> std::process::ExitCode {
    lingate::cli::main()
}
