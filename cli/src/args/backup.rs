//! What can be typed after `pilot backup` and `pilot store`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Address;

/// The key is never an argument: everybody sees those.
#[derive(Debug, clap::Args)]
pub struct KeyFile {
    /// The file with the key: 32 characters or more, kept apart from the backups
    #[arg(long, env = "PILOT_BACKUP_KEY_FILE", value_name = "FILE")]
    pub key_file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Database {
    /// The PostgreSQL of the installation, as `pilot serve` has it; a password belongs in the variable [default: the data
    /// folder]
    #[arg(long, env = "PILOT_DATABASE", hide_env_values = true, value_name = "URL", value_parser = Address)]
    pub database: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Backup {
    #[command(subcommand)]
    pub command: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Write a backup to a new file; the server may run meanwhile
    ///
    /// In it are the store (workspaces, operations, their history), the state of every stack, the secrets of the data folder
    /// and its opencode.json. Not in it are the homes of workspaces: those stay at their providers; of `local`, in the folder
    /// `local` of the data folder.
    Create {
        /// The file to write; it must not be there
        file: PathBuf,
        #[command(flatten)]
        key: KeyFile,
        #[command(flatten)]
        database: Database,
    },
    /// Read a backup to its end and check that it could be restored; changes nothing
    Verify {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        key: KeyFile,
    },
    /// Put a backup in an empty data folder, and with --database its store and states in an empty database
    ///
    /// A backup of either store can be restored in either. Stop the server that the backup is of before you start the restored
    /// one: whatever it still does for a workspace is refused once the restored one has worked on it, and not before.
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        key: KeyFile,
        #[command(flatten)]
        database: Database,
    },
}

#[derive(Debug, clap::Args)]
pub struct Store {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Move the store and the states of a stopped server from its data folder to an empty PostgreSQL
    ///
    /// Every row and every state is compared before the folder is marked as moved; until then it is as it was. Ended at any
    /// moment, the same command goes on. Afterwards `pilot serve` needs PILOT_DATABASE, and the data folder for its secrets.
    Migrate {
        /// Where to, postgres://USER@HOST/NAME; a password belongs in the variable
        #[arg(
            long,
            env = "PILOT_DATABASE",
            hide_env_values = true,
            value_name = "URL",
            value_parser = Address,
            required_unless_present = "undo"
        )]
        to: Option<String>,
        /// Go back to what the data folder holds; what was done in the database since is not there. The database is told, and
        /// is not served any more
        #[arg(long)]
        undo: bool,
        /// With --undo, where the database cannot be reached: it is left as it is, and can still be served
        #[arg(long, requires = "undo")]
        leave_database: bool,
    },
}
