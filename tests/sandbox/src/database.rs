//! One dialect of SQL for two databases: parameters are `?1`, `?2`, ..., integers are 64 bits wide, and the larger of two
//! values is `greatest(a, b)`. SQLite for one receiver, PostgreSQL for many that share the work.

mod postgres;
mod sqlite;

use lingate_seal::Kid;

use crate::store::StoreError;

pub(crate) use postgres::{Postgres, is_conflict};
pub(crate) use sqlite::Sqlite;

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// `sqlite:FILE`, or a URL that begins with `postgres://`.
    pub(crate) fn open(address: &str) -> Result<Database> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return Ok(Database::Postgres(Postgres::open(address)?));
        }
        let file = address.strip_prefix("sqlite:").filter(|file| !file.is_empty());
        let file = file.ok_or_else(|| StoreError::Address(address.to_owned()))?;
        Ok(Database::Sqlite(Sqlite::open(file.as_ref())?))
    }

    /// All of `work` becomes durable, or nothing of it.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.batch(match self {
            Database::Sqlite(_) => "BEGIN IMMEDIATE",
            Database::Postgres(_) => "BEGIN",
        })?;
        let done = work().and_then(|value| self.batch("COMMIT").map(|()| value));
        if done.is_err() {
            // After a failed COMMIT there is none to roll back.
            let _ = self.batch("ROLLBACK");
        }
        done
    }

    /// Until the end of the transaction nobody else works on these epochs. Always taken in one order, so that nobody
    /// waits for somebody who waits for him.
    pub(crate) fn lock(&self, kids: impl Iterator<Item = Kid>) -> Result<()> {
        if let Database::Postgres(postgres) = self {
            for kid in kids {
                postgres.query("SELECT pg_advisory_xact_lock($1)", vec![i64::from_be_bytes(kid.0).into()])?;
            }
        }
        Ok(())
    }

    pub(crate) fn query(&self, sql: &str, params: Vec<Cell>) -> Result<Vec<Row>> {
        match self {
            Database::Sqlite(sqlite) => sqlite.query(&sqlite_dialect(sql), params),
            Database::Postgres(postgres) => postgres.query(&postgres_dialect(sql), params),
        }
    }

    /// The first row.
    pub(crate) fn first(&self, sql: &str, params: Vec<Cell>) -> Result<Option<Row>> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// How many rows were changed.
    pub(crate) fn execute(&self, sql: &str, params: Vec<Cell>) -> Result<u64> {
        self.execute_each(sql, vec![params])
    }

    /// The same statement for many rows.
    pub(crate) fn execute_each(&self, sql: &str, rows: Vec<Vec<Cell>>) -> Result<u64> {
        match self {
            Database::Sqlite(sqlite) => sqlite.execute_each(&sqlite_dialect(sql), rows),
            Database::Postgres(postgres) => postgres.execute_each(&postgres_dialect(sql), rows),
        }
    }

    fn batch(&self, sql: &str) -> Result<()> {
        match self {
            Database::Sqlite(sqlite) => sqlite.batch(sql),
            Database::Postgres(postgres) => postgres.batch(sql),
        }
    }
}

fn sqlite_dialect(sql: &str) -> String {
    sql.replace("greatest(", "max(").replace("least(", "min(")
}

fn postgres_dialect(sql: &str) -> String {
    sql.replace('?', "$")
}

/// Context runs and sealed records came later than the first ledgers: their tables are made wherever they are missing.
fn contexts(blob: &str, int: &str) -> String {
    include_str!("contexts.sql").replace("{blob}", blob).replace("{int}", int)
}

/// A parameter or a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

macro_rules! cells {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Cell {
            fn from(value: $from) -> Cell {
                Cell::$variant(Some(value.into()))
            }
        }
        impl From<Option<$from>> for Cell {
            fn from(value: Option<$from>) -> Cell {
                Cell::$variant(value.map(Into::into))
            }
        }
    )*};
}

cells!(i64 => Int, u32 => Int, u8 => Int, i32 => Int, bool => Int, f64 => Real, &str => Text, String => Text,
    &String => Text, &[u8] => Blob, Vec<u8> => Blob);

impl From<Kid> for Cell {
    fn from(kid: Kid) -> Cell {
        Cell::Blob(Some(kid.0.to_vec()))
    }
}

impl From<&[u8; 32]> for Cell {
    fn from(hash: &[u8; 32]) -> Cell {
        Cell::Blob(Some(hash.to_vec()))
    }
}

/// A row of a result. Asking a column for what it is not gives an error that names it.
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Row {
    pub(crate) fn int(&self, at: usize) -> Result<i64> {
        self.opt_int(at)?.ok_or(StoreError::Column(at))
    }

    /// Counts are never negative here.
    pub(crate) fn count(&self, at: usize) -> Result<u64> {
        self.int(at)?.try_into().map_err(|_| StoreError::Column(at))
    }

    pub(crate) fn opt_int(&self, at: usize) -> Result<Option<i64>> {
        match self.0.get(at) {
            Some(Cell::Int(value)) => Ok(*value),
            Some(other) if other.is_null() => Ok(None),
            _ => Err(StoreError::Column(at)),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<String> {
        match self.0.get(at) {
            Some(Cell::Text(Some(text))) => Ok(text.clone()),
            _ => Err(StoreError::Column(at)),
        }
    }

    pub(crate) fn blob(&self, at: usize) -> Result<Vec<u8>> {
        self.opt_blob(at)?.ok_or(StoreError::Column(at))
    }

    pub(crate) fn opt_blob(&self, at: usize) -> Result<Option<Vec<u8>>> {
        match self.0.get(at) {
            Some(Cell::Blob(value)) => Ok(value.clone()),
            Some(other) if other.is_null() => Ok(None),
            _ => Err(StoreError::Column(at)),
        }
    }

    pub(crate) fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        self.blob(at)?.try_into().map_err(|_| StoreError::Column(at))
    }

    pub(crate) fn kid(&self, at: usize) -> Result<Kid> {
        self.bytes(at).map(Kid)
    }
}

impl Cell {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Cell::Int(None) | Cell::Real(None) | Cell::Text(None) | Cell::Blob(None))
    }
}
