use std::path::Path;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::{Cell, Result, Row, contexts};
use crate::store::{StoreError, VERSION};

pub(crate) struct Sqlite {
    sql: Connection,
}

impl Sqlite {
    /// The file is made if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Sqlite> {
        let sql = Connection::open(path)?;
        // FULL: what a transaction returned for is on disk before it is acknowledged to the broker.
        sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")?;
        sql.set_prepared_statement_cache_capacity(64);
        match sql.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
            0 => {
                sql.execute_batch(&format!(
                    "BEGIN; {} PRAGMA user_version = {VERSION}; COMMIT;",
                    include_str!("../ledger.sql")
                ))?;
            }
            VERSION => {}
            other => return Err(StoreError::Version(other)),
        }
        sql.execute_batch(&contexts("BLOB", "INTEGER"))?;
        Ok(Sqlite { sql })
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.sql.execute_batch(sql)?)
    }

    pub(crate) fn query(&self, sql: &str, params: Vec<Cell>) -> Result<Vec<Row>> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|at| row.get_ref(at).map(cell)).collect::<rusqlite::Result<_>>()?;
            found.push(Row(cells));
        }
        Ok(found)
    }

    pub(crate) fn execute_each(&self, sql: &str, rows: Vec<Vec<Cell>>) -> Result<u64> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let mut changed = 0;
        for row in rows {
            changed += statement.execute(params_from_iter(row))? as u64;
        }
        Ok(changed)
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Int(Some(value)) => ToSqlOutput::Owned(Value::Integer(*value)),
            Cell::Real(Some(value)) => ToSqlOutput::Owned(Value::Real(*value)),
            Cell::Text(Some(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Blob(Some(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Cell::Int(None) | Cell::Real(None) | Cell::Text(None) | Cell::Blob(None) => ToSqlOutput::Owned(Value::Null),
        })
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Int(None),
        ValueRef::Integer(value) => Cell::Int(Some(value)),
        ValueRef::Real(value) => Cell::Real(Some(value)),
        ValueRef::Text(text) => Cell::Text(Some(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Cell::Blob(Some(bytes.to_vec())),
    }
}
