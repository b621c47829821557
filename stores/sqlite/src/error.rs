//! What SQLite says, as errors of a store.

use std::path::Path;

use dogpile_fleet::StoreError;
use rusqlite::{Error, ErrorCode};

/// Why a verb was not done.
pub(crate) enum Trouble {
    Sql(Error),
    /// It is said already.
    Said(StoreError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

pub(crate) type Done<T> = Result<T, Trouble>;

impl Trouble {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(Error::SqlInputError { error, .. }) => Some(error.code),
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Said(_) => None,
        }
    }

    /// Whether the connection may be used again: the file is as it was.
    pub(crate) fn spares_the_connection(&self) -> bool {
        use ErrorCode::*;
        let spares = [DatabaseBusy, DatabaseLocked, DiskFull, TooBig];
        self.code().is_some_and(|code| spares.contains(&code))
    }

    /// Whether there was no room for what was to be written.
    pub(crate) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    pub(crate) fn is_busy(&self) -> bool {
        use ErrorCode::*;
        matches!(self.code(), Some(DatabaseBusy | DatabaseLocked))
    }

    /// As the fleet is told it.
    pub(crate) fn told(self, path: &Path) -> StoreError {
        use ErrorCode::*;
        let code = self.code();
        let error = match self {
            Self::Said(error) => return error,
            // Without the statement, which says nothing to a user.
            Self::Sql(Error::SqlInputError { msg, .. }) => msg,
            Self::Sql(error) => error.to_string(),
        };
        let path = path.display();
        match code {
            Some(DatabaseBusy | DatabaseLocked) => StoreError::unavailable(format!(
                "another process holds the lock of {path}: {error}"
            )),
            Some(CannotOpen) => StoreError::unavailable(format!(
                "{path} cannot be opened: {error}. Is its directory there, and may this user write in it?"
            )),
            Some(DiskFull) => StoreError::refused(format!(
                "there is no room for {path}: {error}. Make room on the disk, or raise `SqliteStoreBuilder::max_file`"
            )),
            Some(TooBig) => StoreError::refused(format!(
                "a value is larger than SQLite takes: {error}. Lower `SqliteStoreBuilder::max_value`, and keep large values elsewhere"
            )),
            Some(ReadOnly | PermissionDenied | AuthorizationForStatementDenied) => {
                StoreError::refused(format!(
                    "{path} may be read only: {error}. Let this user write the file and in its directory"
                ))
            }
            Some(NotADatabase) => StoreError::protocol(format!(
                "{path} is no file of SQLite: {error}. Choose another path, or remove the file"
            )),
            Some(DatabaseCorrupt) => StoreError::protocol(format!(
                "{path} is damaged: {error}. End the processes that use it, and remove it with its -wal and -shm"
            )),
            // A table or a column is missing, say.
            Some(Unknown) => StoreError::refused(format!(
                "the tables in {path} are not those of this crate: {error}. Run `SqliteStore::MIGRATION`, or drop the tables whose names begin with dogpile_"
            )),
            _ => StoreError::unavailable(format!("{path}: {error}")),
        }
    }
}
