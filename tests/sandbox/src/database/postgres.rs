//! PostgreSQL behind a thread with a runtime of its own, so that the receiver's thread can wait for it like for SQLite,
//! wherever it is called from.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

use super::{Cell, Result, Row, contexts};
use crate::store::{StoreError, VERSION};

/// Statements on their way at once when one is repeated for many rows.
const PIPELINE: usize = 256;
/// Who makes the tables holds this lock.
const SCHEMA_LOCK: i64 = 0x6c69_6e67_6174_6531;

pub(crate) struct Postgres {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    work: Work,
    answer: mpsc::SyncSender<std::result::Result<Done, tokio_postgres::Error>>,
}

enum Work {
    Batch(String),
    Query(String, Vec<Cell>),
    Execute(String, Vec<Vec<Cell>>),
}

enum Done {
    Rows(Vec<Row>),
    Changed(u64),
}

impl Postgres {
    /// Makes the tables if they are missing. No TLS: the database is on this machine, or reached through a tunnel.
    pub(crate) fn open(url: &str) -> Result<Postgres> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let (ready, opened) = mpsc::sync_channel(1);
        let url = url.to_owned();
        let thread = std::thread::Builder::new().name("postgres".to_owned());
        thread.spawn(move || serve(&url, &ready, &waiting)).map_err(|_| StoreError::Ended)?;
        opened.recv().map_err(|_| StoreError::Ended)??;
        let postgres = Postgres { jobs };
        postgres.prepare_schema()?;
        Ok(postgres)
    }

    fn prepare_schema(&self) -> Result<()> {
        self.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))?;
        let prepared = self.prepare_schema_alone();
        self.batch(if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        prepared
    }

    fn prepare_schema_alone(&self) -> Result<()> {
        let known = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'ledger'";
        if self.query(known, vec![])?.first().map(|row| row.int(0)).transpose()? == Some(0) {
            self.batch(include_str!("../ledger-postgres.sql"))?;
            self.execute_each("INSERT INTO ledger (version) VALUES ($1)", vec![vec![VERSION.into()]])?;
        }
        match self.query("SELECT version FROM ledger", vec![])?.first().map(|row| row.int(0)).transpose()? {
            Some(VERSION) => self.batch(&contexts("BYTEA", "BIGINT")),
            other => Err(StoreError::Version(other.unwrap_or_default())),
        }
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.ask(Work::Batch(sql.to_owned())).map(|_| ())
    }

    pub(crate) fn query(&self, sql: &str, params: Vec<Cell>) -> Result<Vec<Row>> {
        match self.ask(Work::Query(sql.to_owned(), params))? {
            Done::Rows(rows) => Ok(rows),
            Done::Changed(_) => Ok(Vec::new()),
        }
    }

    pub(crate) fn execute_each(&self, sql: &str, rows: Vec<Vec<Cell>>) -> Result<u64> {
        match self.ask(Work::Execute(sql.to_owned(), rows))? {
            Done::Changed(changed) => Ok(changed),
            Done::Rows(_) => Ok(0),
        }
    }

    fn ask(&self, work: Work) -> Result<Done> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.jobs.send(Job { work, answer }).map_err(|_| StoreError::Ended)?;
        Ok(answered.recv().map_err(|_| StoreError::Ended)??)
    }
}

/// Ends when the last `Postgres` of this connection is gone.
fn serve(url: &str, ready: &mpsc::SyncSender<Result<()>>, jobs: &mpsc::Receiver<Job>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (client, connection) = match tokio_postgres::connect(url, NoTls).await {
            Ok(connected) => connected,
            Err(error) => {
                let _ = ready.send(Err(error.into()));
                return;
            }
        };
        let connection = tokio::spawn(connection);
        let _ = ready.send(Ok(()));
        let mut desk = Desk { client: Arc::new(client), statements: HashMap::new() };
        while let Ok(job) = jobs.recv() {
            let _ = job.answer.send(desk.work(job.work).await);
        }
        connection.abort();
    });
}

struct Desk {
    client: Arc<Client>,
    /// By their text, which is one of a few dozen.
    statements: HashMap<String, Statement>,
}

impl Desk {
    async fn work(&mut self, work: Work) -> std::result::Result<Done, tokio_postgres::Error> {
        match work {
            Work::Batch(sql) => self.client.batch_execute(&sql).await.map(|()| Done::Changed(0)),
            Work::Query(sql, params) => {
                let statement = self.statement(sql, &params).await?;
                let rows = self.client.query(&statement, &borrowed(&params)).await?;
                Ok(Done::Rows(rows.iter().map(row).collect::<std::result::Result<_, _>>()?))
            }
            Work::Execute(sql, rows) => self.execute(sql, rows).await.map(Done::Changed),
        }
    }

    /// Pipelined: the rows do not wait for each other's answers.
    async fn execute(&mut self, sql: String, rows: Vec<Vec<Cell>>) -> std::result::Result<u64, tokio_postgres::Error> {
        let Some(first) = rows.first() else { return Ok(0) };
        let statement = self.statement(sql, first).await?;
        let (mut running, mut changed) = (JoinSet::new(), 0);
        for params in rows {
            if running.len() >= PIPELINE {
                changed += joined(running.join_next().await)?;
            }
            let (client, statement) = (self.client.clone(), statement.clone());
            running.spawn(async move { client.execute(&statement, &borrowed(&params)).await });
        }
        while let Some(done) = running.join_next().await {
            changed += joined(Some(done))?;
        }
        Ok(changed)
    }

    /// The types are told, because the server could not guess all of them.
    async fn statement(
        &mut self,
        sql: String,
        params: &[Cell],
    ) -> std::result::Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(&sql) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = params.iter().map(type_of).collect();
        let statement = self.client.prepare_typed(&sql, &types).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

type Joined = std::result::Result<std::result::Result<u64, tokio_postgres::Error>, tokio::task::JoinError>;

fn joined(done: Option<Joined>) -> std::result::Result<u64, tokio_postgres::Error> {
    match done {
        Some(Ok(changed)) => changed,
        Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        None => Ok(0),
    }
}

fn type_of(cell: &Cell) -> Type {
    match cell {
        Cell::Int(_) => Type::INT8,
        Cell::Real(_) => Type::FLOAT8,
        Cell::Text(_) => Type::TEXT,
        Cell::Blob(_) => Type::BYTEA,
    }
}

fn borrowed(params: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(borrow).collect()
}

fn borrow(cell: &Cell) -> &(dyn ToSql + Sync) {
    match cell {
        Cell::Int(value) => value,
        Cell::Real(value) => value,
        Cell::Text(value) => value,
        Cell::Blob(value) => value,
    }
}

fn row(row: &tokio_postgres::Row) -> std::result::Result<Row, tokio_postgres::Error> {
    let cell = |(at, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => Cell::Int(row.try_get(at)?),
            Type::FLOAT8 => Cell::Real(row.try_get(at)?),
            Type::BYTEA => Cell::Blob(row.try_get(at)?),
            // pg_advisory_xact_lock gives void.
            Type::VOID => Cell::Int(None),
            _ => Cell::Text(row.try_get(at)?),
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(cell).collect::<std::result::Result<_, tokio_postgres::Error>>()?))
}

/// Two receivers were in each other's way: nothing happened, and the same work can be done again.
pub(crate) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE)
}
