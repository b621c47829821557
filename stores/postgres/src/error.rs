//! What PostgreSQL says, as errors of a store.

use std::time::Duration;

use dogpile_fleet::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Whether two transactions stood in each other's way, so that it may be tried again.
pub(crate) fn is_conflict(error: &Error) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| conflicts.contains(code))
}

/// Whether something that the migration makes is missing.
pub(crate) fn is_missing(error: &Error) -> bool {
    let missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    error.code().is_some_and(|code| missing.contains(code))
}

pub(crate) fn late(timeout: Duration) -> StoreError {
    StoreError::unavailable(format!("no answer within {timeout:?}"))
}

/// As the fleet is told it.
pub(crate) fn of(error: Error) -> StoreError {
    let Some(code) = error.code().cloned() else {
        // The connection, and why. What the crate says alone does not tell it.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        return StoreError::unavailable(format!("{error}{}", cause.unwrap_or_default()));
    };
    let said =
        (error.as_db_error()).map_or_else(|| error.to_string(), |error| error.message().to_owned());
    if is_missing(&error) {
        return StoreError::refused(format!(
            "{said}: run `PostgresStore::MIGRATION` in this database, or leave `Settings::migrate` on"
        ));
    }
    let remedy = match &code.code()[..2] {
        "28" if said.contains("no encryption") => {
            "the server asks for TLS, so use `with_tls`, or it does not let this user in at all: see its pg_hba.conf"
        }
        "28" => "check the user and the password, and pg_hba.conf of the server",
        "3D" => "create the database, or name another one",
        "42" if code != SqlState::INSUFFICIENT_PRIVILEGE => {
            "the tables or functions whose names begin with dogpile_ are not those of this crate: drop them, and run `PostgresStore::MIGRATION`"
        }
        "42" => {
            "grant this user what it lacks: USAGE on the schema, EXECUTE on the functions and all on the tables whose names begin with dogpile_, and CREATE on the schema if the store is to make them"
        }
        "25" => {
            "the server takes no writes: connect to the one that does (target_session_attrs=read-write)"
        }
        "54" | "53" if code != SqlState::TOO_MANY_CONNECTIONS => {
            "make room on the server, or keep large values elsewhere"
        }
        "53" => {
            return StoreError::unavailable(format!(
                "{said}: raise max_connections of the server, or lower `Settings::connections`"
            ));
        }
        _ => return StoreError::unavailable(format!("{said} ({})", code.code())),
    };
    StoreError::refused(format!("{said}: {remedy}"))
}
