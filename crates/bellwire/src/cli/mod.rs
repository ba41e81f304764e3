//! The command line: what a person types, turned into requests to a Bellwire server or into offline work.
//!
//! [`Cli`] is the one description from which help, completions and the man pages come. Each command is one file: its
//! options beside what it does. Commands return a [`Failure`], and only [`run`] makes an exit code of it. Deliberately
//! absent: the server's own rooms; a command here sees them through the API alone.
//!
//! A further command is one file, one variant of [`Command`] and one arm in [`dispatch`].

mod app;
mod attempt;
mod client;
mod endpoint;
mod environment;
mod event_type;
mod exit;
mod explain;
mod generate;
mod hook;
mod hooks;
mod input;
mod interrupt;
mod listen;
mod message;
mod node;
mod out;
mod place;
mod pretty;
mod provider;
mod receive;
mod replay;
mod send;
mod sign;
mod source;
mod sse;
mod tail;
mod task;
#[cfg(test)]
mod testing;
mod token;
mod verify;
mod when;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use client::Client;
pub use exit::{EXIT_CODES, Failure};
pub use out::{Out, count};

use crate::{config::ConfigArgs, operate, serve};

/// Bellwire sends webhooks: an event in, a durable, signed HTTP POST out, nothing lost.
#[derive(Parser)]
#[command(name = "bellwire", version, about, after_help = EXIT_CODES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The server to talk to
    #[arg(long, global = true, env = "BELLWIRE_URL", default_value = "http://127.0.0.1:8071")]
    pub url: String,
    /// The token to show it; without one, the file `admin-token` in the data directory, as `serve --dev` leaves it
    #[arg(long, global = true, env = "BELLWIRE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Trust the certificates in this PEM file instead of the public authorities
    #[arg(
        long,
        global = true,
        env = "BELLWIRE_CA_CERT",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub ca_cert: Option<PathBuf>,
    /// Where a development server on this machine keeps its data; read by [`place`]
    #[arg(skip = place::default_data())]
    pub data_dir: PathBuf,
    /// Machine-readable output: the API's answer as it came
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Publish a message
    Send(send::SendArgs),
    /// Watch live: messages, attempts and why they failed
    Tail(tail::TailArgs),
    /// Receive what comes in at a source on this machine, which no provider can reach
    Listen(listen::ListenArgs),
    /// Send past messages to an endpoint again
    Replay(replay::ReplayArgs),
    /// Applications: the tenants that own endpoints and messages
    #[command(subcommand)]
    App(app::AppCommand),
    /// Endpoints: where messages go
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
    /// Event types: names of events, with an optional JSON Schema
    #[command(subcommand)]
    EventType(event_type::EventTypeCommand),
    /// Endpoints at which you are told about the environment: endpoints disabled, deliveries failing
    #[command(subcommand, visible_alias = "hook")]
    OperationalWebhook(hook::HookCommand),
    /// The hooks file: what comes in besides the API, and what is done with it
    #[command(subcommand)]
    Hooks(hooks::HooksCommand),
    /// Environments, and carrying settings and event types from one to another
    #[command(subcommand)]
    Environment(environment::EnvironmentCommand),
    /// Messages and what became of them
    #[command(subcommand)]
    Message(message::MessageCommand),
    /// Attempts: single tries to deliver a message
    #[command(subcommand)]
    Attempt(attempt::AttemptCommand),
    /// Sources: where the webhooks of others come in, and schedules
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Background tasks: replays and other long work
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// The servers that share the store, and who serves how much
    Nodes,
    /// Tokens for the API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// A small receiver that verifies and shows what comes, and can fail, hang or be slow
    Receive(receive::ReceiveArgs),
    /// Sign a body, offline
    Sign(sign::SignArgs),
    /// Verify a signature, offline, and say why when it does not match
    Verify(verify::VerifyArgs),
    /// Run the server
    Serve(Box<ConfigArgs>),
    /// Show the settings in force and where each comes from
    Config(Box<operate::ConfigCommand>),
    /// Prove that what the store holds adds up
    Check(Box<operate::CheckArgs>),
    /// Copy the store, from a running server as well
    Backup(Box<operate::BackupArgs>),
    /// Put a backup in the store's place
    Restore(Box<operate::RestoreArgs>),
    /// Bring the store to this version's schema; a server does it by itself
    Migrate(Box<operate::MigrateArgs>),
    /// The store as a whole: moving it into another
    #[command(subcommand)]
    Store(Box<operate::StoreCommand>),
    /// The main secret that secrets at rest are sealed with
    #[command(subcommand)]
    Secrets(Box<operate::SecretsCommand>),
    /// Measure deliveries per second, latency, CPU and memory
    Bench(operate::bench::BenchCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Print shell completions
    Completions(generate::CompletionsArgs),
    /// Print the man page
    Man(generate::ManArgs),
}

/// A command's means: the server and the output.
pub struct Session {
    /// The server.
    pub client: Client,
    /// The output.
    pub out: Out,
}

/// Reads the command line, does what it says and ends as [`EXIT_CODES`] documents.
pub fn main() -> ExitCode {
    match place::read(std::env::args_os()) {
        Ok(cli) => run(cli),
        // Prints help and version on standard output, everything else on standard error.
        Err(error) => error.exit(),
    }
}

/// Does what a parsed command line says and reports a failure: an API error is printed as it came with `--json`, and
/// else, like every other failure, as text on standard error.
pub fn run(cli: Cli) -> ExitCode {
    let json = cli.globals.json;
    let Err(failure) = dispatch(cli) else {
        return ExitCode::SUCCESS;
    };
    let code = failure.exit_code();
    if code != 0 {
        let mut out = Out::standard(json);
        match &failure {
            Failure::Interrupted => {}
            Failure::Api(error) if json && error.is_from_api => {
                // Writing failed as well: the exit code still says that the request did.
                let _ = out.raw(&error.body);
            }
            // It begins with its place in the file already, as every line behind it does.
            Failure::Located(findings) => out.note(findings),
            other => out.note(&format!("bellwire: {other}")),
        }
    }
    ExitCode::from(code)
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let globals = cli.globals;
    let mut out = Out::standard(globals.json);
    let session = |out| {
        Ok::<_, Failure>(Session {
            client: Client::new(&globals)?,
            out,
        })
    };
    match cli.command {
        Command::Send(args) => args.run(&mut session(out)?),
        Command::Tail(args) => args.run(&mut session(out)?),
        Command::Listen(args) => args.run(&mut session(out)?),
        Command::Replay(args) => args.run(&mut session(out)?),
        Command::App(command) => command.run(&mut session(out)?),
        Command::Endpoint(command) => command.run(&mut session(out)?),
        Command::EventType(command) => command.run(&mut session(out)?),
        Command::OperationalWebhook(command) => command.run(&mut session(out)?),
        Command::Hooks(command) => command.run(&globals, out),
        Command::Environment(command) => command.run(&mut session(out)?),
        Command::Message(command) => command.run(&mut session(out)?),
        Command::Attempt(command) => command.run(&mut session(out)?),
        Command::Source(command) => command.run(&mut session(out)?),
        Command::Task(command) => command.run(&mut session(out)?),
        Command::Nodes => node::list(&mut session(out)?),
        Command::Token(command) => command.run(&mut session(out)?),
        Command::Receive(args) => args.run(out),
        Command::Sign(args) => args.run(&mut out),
        Command::Verify(args) => args.run(&mut out),
        Command::Serve(args) => serve::command::run(&args),
        Command::Config(args) => args.run(&mut out),
        Command::Check(args) => args.run(&mut out),
        Command::Backup(args) => args.run(&globals, &mut out),
        Command::Restore(args) => args.run(&mut out),
        Command::Migrate(args) => args.run(&mut out),
        Command::Store(command) => command.run(&mut out),
        Command::Secrets(command) => command.run(&mut out),
        Command::Bench(command) => command.run(),
        Command::Openapi => operate::openapi(&mut out),
        Command::Completions(args) => args.run(place::command(), &mut out),
        Command::Man(args) => args.run(place::command(), &mut out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_options_are_accepted_after_the_command() {
        let cli = Cli::try_parse_from([
            "bellwire",
            "app",
            "list",
            "--json",
            "--url",
            "http://h:1",
            "--token",
            "t",
        ])
        .unwrap();
        assert!(cli.globals.json);
        assert_eq!(
            (cli.globals.url.as_str(), cli.globals.token.as_deref()),
            ("http://h:1", Some("t"))
        );
    }

    #[test]
    fn wrong_usage_ends_with_two_and_help_with_zero() {
        let code = |line: &[&str]| {
            Cli::try_parse_from(line)
                .map(|_| 0)
                .unwrap_or_else(|error| error.exit_code())
        };
        assert_eq!(code(&["bellwire", "send"]), 2);
        assert_eq!(code(&["bellwire", "nonsense"]), 2);
        assert_eq!(code(&["bellwire", "app", "list", "--limit", "251"]), 2);
        assert_eq!(code(&["bellwire", "--help"]), 0);
    }

    #[test]
    fn help_documents_the_exit_codes_and_hides_the_token() {
        let help = place::command().render_long_help().to_string();
        assert!(help.contains("130  interrupted"), "{help}");
        assert!(help.contains("BELLWIRE_TOKEN"));
    }
}
