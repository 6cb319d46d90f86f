//! `sekisho maintenance`: closes routes and opens them again, by the files that the configuration names for that. A gateway
//! sees by itself that they come and go; none is asked, and none need run.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::{CANNOT_CREATE, CONFIG, DATA, Failure, IO, NO_INPUT, USAGE, print};
use super::staff::table::table;
use crate::config::{self, Config, Maintenance, Route};

/// Close routes for maintenance, and open them again
///
/// Makes and removes the files that `maintenance` in the configuration names, for all routes and for single ones. A running
/// gateway follows within half a second, and one that starts finds them.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Close routes: they answer 503
    On {
        #[command(flatten)]
        which: Which,
        /// The page that people see, in HTML; without it they see the gateway's own
        #[arg(long, value_name = "PAGE")]
        page: Option<PathBuf>,
    },
    /// Open routes again
    Off(Which),
    /// Show which routes are closed, and by which files
    Status {
        /// The gateway's configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Which routes.
#[derive(Debug, Args)]
struct Which {
    /// The gateway's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only the routes with this `path` or `exact`, by files of their own; without it, all that can be closed
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        Command::On { which, page } => close(which, page.as_deref()),
        Command::Off(which) => open(which),
        Command::Status { config } => load(config).and_then(|config| print(&status(&config))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("maintenance"),
    }
}

fn close(which: &Which, page: Option<&Path>) -> Result<(), Failure> {
    let files = which.files()?;
    let page = page.map(read_page).transpose()?;
    let mut told = String::new();
    for file in files {
        let was_there = is_there(&file);
        // The page that is there may be somebody's. Only another page takes its place.
        if !was_there || page.is_some() {
            write(&file, page.as_deref().unwrap_or_default())?;
        }
        let how = if was_there { "was closed already" } else { "closed" };
        told.push_str(&format!("{how}: {}\n", file.display()));
    }
    print(&told)
}

fn open(which: &Which) -> Result<(), Failure> {
    let mut told = String::new();
    for file in which.files()? {
        let how = match fs::remove_file(&file) {
            Ok(()) => "opened",
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                "was open already"
            }
            Err(error) => {
                return Err(Failure::new(IO, format!("cannot remove {}: {error}", file.display())));
            }
        };
        told.push_str(&format!("{how}: {}\n", file.display()));
    }
    print(&told)
}

fn status(config: &Config) -> String {
    let all = config.maintenance.as_ref();
    let rows: Vec<_> = config
        .routes
        .iter()
        .map(|route| {
            let mut files =
                route.maintenance.iter().chain(all).map(|maintenance| &maintenance.file).peekable();
            let can_be_closed = files.peek().is_some();
            let closing: Vec<_> =
                files.filter(|file| is_there(file)).map(|file| file.display().to_string()).collect();
            let state = match (closing.is_empty(), can_be_closed) {
                (false, _) => "closed",
                (true, true) => "open",
                (true, false) => "open, has no file",
            };
            [hosts(route), route.place().path().to_owned(), state.to_owned(), closing.join(", ")]
        })
        .collect();
    table(["HOSTS", "ROUTE", "STATE", "CLOSED BY"], &rows, "There are no routes.")
}

fn hosts(route: &Route) -> String {
    let names: Vec<_> = route.hosts.iter().map(|host| host.as_str()).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

impl Which {
    /// The files that close them, each once.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let config = load(&self.config)?;
        let is_meant = |route: &&Route| self.route.as_ref().is_none_or(|path| route.place().path() == path);
        let routes: Vec<_> = config.routes.iter().filter(is_meant).collect();
        let all = config.maintenance.as_ref().filter(|_| self.route.is_none());
        let mut files: Vec<PathBuf> = Vec::new();
        for maintenance in all.into_iter().chain(routes.iter().filter_map(|route| route.maintenance.as_ref()))
        {
            if !files.contains(&maintenance.file) {
                files.push(maintenance.file.clone());
            }
        }
        match (&self.route, files.is_empty()) {
            (_, false) => Ok(files),
            (None, true) => {
                let told = format!("{} names no file that closes anything", self.config.display());
                Err(Failure::new(CONFIG, told)
                    .hint("add `maintenance: { file: … }`, for all routes or to one"))
            }
            (Some(path), true) if routes.is_empty() => {
                let failure = Failure::new(USAGE, format!("there is no route `{path}`"));
                Err(failure.hint("`sekisho maintenance status` lists them"))
            }
            (Some(path), true) => {
                let told = format!("route `{path}` has no file of its own that closes it");
                Err(Failure::new(CONFIG, told)
                    .hint("add `maintenance: { file: … }` to it, or leave --route out"))
            }
        }
    }
}

fn load(file: &Path) -> Result<Config, Failure> {
    let document = config::load(file);
    Ok(document.map_err(|problems| Failure::new(CONFIG, format!("\n{problems}")))?.config)
}

/// Whether a file closes what it is for. What can't be seen does, for a gateway as well.
fn is_there(file: &Path) -> bool {
    file.try_exists().unwrap_or_else(|error| error.kind() != ErrorKind::NotADirectory)
}

fn read_page(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(Maintenance::LARGEST + 1).read_to_end(&mut text));
    let told = |what: &str| format!("{}: {what}", file.display());
    match read {
        Ok(_) if Maintenance::is_page(&text) => Ok(text),
        Ok(_) => {
            let told = told("no gateway would show this: a page begins with `<` and has at most 1 MiB");
            Err(Failure::new(DATA, told))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Failure::new(NO_INPUT, told("there is no such file")))
        }
        Err(error) => Err(Failure::new(IO, told(&format!("can't be read: {error}")))),
    }
}

/// Writes a file that a gateway of another user can read, whatever this person's umask is: whole, or not at all.
fn write(file: &Path, text: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let written = tempfile::Builder::new().prefix(".maintenance-").tempfile_in(folder).and_then(|mut new| {
        new.write_all(text)?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.as_file().sync_all()?;
        new.persist(file).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| {
        // The error names a file that only we know of.
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such folder".to_owned(),
            ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(CANNOT_CREATE, format!("cannot make {}: {why}", file.display()))
    })
}
