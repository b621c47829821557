//! The connections: made when they are needed, and again whenever they have to be.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dogpile_fleet::{Answer, StoreError};
use futures_util::stream::{Stream, StreamExt, poll_fn};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Row, SimpleQueryMessage, Socket};

use crate::error;
use crate::settings::Settings;

pub(crate) const MIGRATION: &str = include_str!("migration.sql");
/// That of the tables which this crate reads and writes.
const VERSION: &str = "1";
/// So often a request is sent that stood in the way of another one.
const TRIES: usize = 4;

pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;
type Connecting = Pin<Box<dyn Future<Output = Result<(Client, Messages), Error>> + Send>>;
pub(crate) type Connect = Arc<dyn Fn() -> Connecting + Send + Sync>;

/// A function with its arguments.
pub(crate) struct Request<'a> {
    pub(crate) sql: &'static str,
    pub(crate) arguments: Vec<(&'a (dyn ToSql + Sync), Type)>,
}

/// How a connection is made, whatever encrypts it.
pub(crate) fn connect<T>(config: Config, tls: T) -> Connect
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move || {
        let (config, tls) = (config.clone(), tls.clone());
        Box::pin(async move {
            let (client, mut connection) = config.connect(tls).await?;
            let messages = poll_fn(move |context| connection.poll_message(context));
            Ok((client, Box::pin(messages) as Messages))
        })
    })
}

/// Those over which requests go, one after the other each.
pub(crate) struct Connections {
    connect: Connect,
    slots: Vec<Mutex<Option<Arc<Client>>>>,
    next: AtomicUsize,
    timeout: Duration,
    migrate: bool,
}

impl Connections {
    pub(crate) fn new(connect: Connect, settings: &Settings) -> Self {
        Self {
            connect,
            slots: (0..settings.connections)
                .map(|_| Mutex::default())
                .collect(),
            next: AtomicUsize::new(0),
            timeout: settings.timeout,
            migrate: settings.migrate,
        }
    }

    pub(crate) async fn run(&self, request: &Request<'_>) -> Answer<Vec<Row>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = &self.slots[turn % self.slots.len()];
        let limit = timeout(self.timeout, self.run_on(slot, request));
        match limit.await {
            Ok(answer) => answer,
            Err(_) => {
                // It may be dead, unnoticed. Whoever makes a new one just now is late as well.
                if let Ok(mut slot) = slot.try_lock() {
                    *slot = None;
                }
                Err(error::late(self.timeout))
            }
        }
    }

    async fn run_on(
        &self,
        slot: &Mutex<Option<Arc<Client>>>,
        request: &Request<'_>,
    ) -> Answer<Vec<Row>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let client = self.client(slot).await?;
            match client.query_typed(request.sql, &request.arguments).await {
                Err(error) if error::is_conflict(&error) && tries < TRIES => {}
                Err(error) => {
                    if client.is_closed() || error::is_missing(&error) {
                        // Also where the tables went: the next one looks for them.
                        *slot.lock().await = None;
                    }
                    return Err(error::of(error));
                }
                Ok(rows) => return Ok(rows),
            }
        }
    }

    async fn client(&self, slot: &Mutex<Option<Arc<Client>>>) -> Answer<Arc<Client>> {
        let mut slot = slot.lock().await;
        if let Some(client) = &*slot
            && !client.is_closed()
        {
            return Ok(Arc::clone(client));
        }
        *slot = None;
        let (client, mut messages) = (self.connect)().await.map_err(error::of)?;
        // It ends with the client, or with an error of which the client tells.
        tokio::spawn(async move { while let Some(Ok(_)) = messages.next().await {} });
        self.prepare(&client).await?;
        let client = Arc::new(client);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Sets what the functions rely on, and looks at the version of the tables.
    async fn prepare(&self, client: &Client) -> Answer<()> {
        // Whoever waits for a row sees it as it is then. And what nobody waits for any more shall not go on.
        let set = format!(
            "SET default_transaction_isolation = 'read committed'; SET statement_timeout = {0}; SET client_min_messages = warning; SELECT version FROM dogpile_schema",
            self.timeout.as_millis().max(1)
        );
        let rows = match client.simple_query(&set).await {
            Err(error) if error::is_missing(&error) && self.migrate => {
                client.batch_execute(MIGRATION).await.map_err(error::of)?;
                client.simple_query(&set).await.map_err(error::of)?
            }
            rows => rows.map_err(error::of)?,
        };
        let version = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        if version == Some(VERSION) {
            return Ok(());
        }
        let found = match version {
            Some(version) => format!("of version {version}"),
            None => "of no version".to_owned(),
        };
        Err(StoreError::refused(format!(
            "the tables of dogpile in this database are {found}, and this program knows version {VERSION}: \
             drop the tables and functions whose names begin with dogpile_ (they are a cache), then run `PostgresStore::MIGRATION`"
        )))
    }
}
