//! Files that were uploaded, to be named in a job later.
//!
//! Disk space is limited for each user and for all together ([`FileLimits`]). Where it is used up, uploads make room whose import is
//! over, those that were named longest ago first; what no import has named stays until it is pruned.

pub mod limits;
mod room;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use entity::upload;
use futures::{Stream, StreamExt};
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, SelectExt};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::access::{Marketer, Services};
use crate::db::execute;
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
pub use limits::FileLimits;
use room::Room;
pub(crate) use room::named_by_active_jobs;

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name towards the outside; also that of the file.
    pub id: String,
    /// Its size in bytes, as it was sent.
    pub size: u64,
}

/// What is known of a file before it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Announced<'a> {
    /// Its media type.
    pub content_type: Option<&'a str>,
    /// Whether it is packed.
    pub gzip: bool,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// Why a file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It is larger than any may be.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// There is no room for it.
    #[error("{0}")]
    NoRoom(String),
    /// Too many go on at the same time.
    #[error(
        "{} of your uploads are going on, or too many of all users together: wait until one has ended",
        limits::AT_ONCE_EACH
    )]
    Busy,
    /// A refusal or a fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) {
            return Self::NoRoom("there is no room left on the disk of this installation: ask its admin".to_owned());
        }
        Self::Service(error.into())
    }
}

impl Marketer {
    /// Stores what `content` brings. Once this returns, it survives a crash.
    ///
    /// # Errors
    /// Where there is no room for it, or it is empty or too large; the stream's own errors; those of the disk and the database.
    pub async fn store_upload<S, B>(&self, content: S, announced: Announced<'_>) -> Result<Upload, UploadError>
    where
        S: Stream<Item = io::Result<B>>,
        B: AsRef<[u8]>,
    {
        let sending = self.services.uploading.begin(&self.subject.id).ok_or(UploadError::Busy)?;
        let mut room = Room::find(self, sending, announced.size).await?;
        let id = ulid::Ulid::generate().to_string();
        let folder = folder(&self.services);
        make_folder(&folder).await?;
        let (part, path) = (folder.join(format!("{id}.part")), folder.join(&id));
        let stored = write_file(&part, content, &mut room).await;
        if stored.is_err() {
            fs::remove_file(&part).await.ok();
        }
        let size = stored?;
        fs::rename(&part, &path).await?;
        // The name, too, has to be on the disk.
        fs::File::open(&folder).await?.sync_all().await?;
        let row = upload::Model {
            id: id.clone(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            content_type: announced.content_type.map(str::to_owned),
            gzip: announced.gzip,
            created_by: self.subject.id.clone(),
            created_at: self.services.now().micros(),
            used_at: None,
        };
        if let Err(error) = self.note_down(row).await {
            fs::remove_file(&path).await.ok();
            return Err(error);
        }
        Ok(Upload { id, size })
    }

    /// Notes an upload down, unless others took the room for it meanwhile.
    async fn note_down(&self, row: upload::Model) -> Result<(), UploadError> {
        let transaction = self.services.db.begin().await.map_err(ServiceError::from)?;
        room::require(&transaction, self, u64::try_from(row.size).unwrap_or(u64::MAX)).await?;
        let insert = upload::Entity::insert(row.into_active_model()).exec_without_returning(&transaction);
        insert.await.map_err(ServiceError::from)?;
        Ok(transaction.commit().await.map_err(ServiceError::from)?)
    }
}

/// Opens an upload for reading.
///
/// # Errors
/// A refusal where there is none with this id, or its file is gone.
pub async fn open(services: &Services, id: &str) -> Result<std::fs::File> {
    require(services.db.read(), id).await?;
    match fs::File::open(folder(services).join(id)).await {
        Ok(file) => Ok(file.into_std().await),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found().into()),
        Err(error) => Err(error.into()),
    }
}

/// Lets those through who name an upload that exists. An id that is none of ours never becomes part of a path.
///
/// # Errors
/// A refusal where there is none with this id.
async fn require<C: ConnectionTrait>(connection: &C, id: &str) -> Result<()> {
    if upload::Entity::find_by_id(id).exists(connection).await? { Ok(()) } else { Err(not_found().into()) }
}

/// Notes that a job is to read an upload: once that is over, it may make room for others.
///
/// # Errors
/// A refusal where there is none with this id.
pub(crate) async fn take<C: ConnectionTrait>(connection: &C, id: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE upload SET used_at = $2 WHERE id = $1";
    let taken = execute(connection, sql, [id.into(), now.micros().into()]).await?;
    if taken.rows_affected() == 1 { Ok(()) } else { Err(not_found().into()) }
}

/// Removes the file of an upload; one that is gone already stays so.
pub(crate) async fn remove_file(services: &Services, id: &str) -> Result<()> {
    match fs::remove_file(folder(services).join(id)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes what uploads left that were broken off by a crash before `cutoff`.
pub(crate) async fn remove_parts(services: &Services, cutoff: Timestamp) -> Result<()> {
    let mut entries = match fs::read_dir(folder(services)).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let written = entry.metadata().await?.modified()?.duration_since(std::time::UNIX_EPOCH);
        let written = written.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        if path.extension().is_some_and(|ending| ending == "part") && written < cutoff.seconds() {
            fs::remove_file(path).await?;
        }
    }
    Ok(())
}

fn not_found() -> Refusal {
    Refusal::field(
        RefusalCode::NotFound,
        &["uploadId"],
        "there is no such upload: send the file to POST /uploads first",
    )
}

fn folder(services: &Services) -> PathBuf {
    services.data_dir.join("uploads")
}

/// Makes the folder, for nobody else on the machine.
pub(crate) async fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

async fn write_file<S, B>(path: &Path, content: S, room: &mut Room<'_>) -> Result<u64, UploadError>
where
    S: Stream<Item = io::Result<B>>,
    B: AsRef<[u8]>,
{
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    let mut content = std::pin::pin!(content);
    while let Some(chunk) = content.next().await {
        let chunk = chunk?;
        room.take(chunk.as_ref().len().try_into().unwrap_or(u64::MAX)).await?;
        file.write_all(chunk.as_ref()).await?;
    }
    if room.taken() == 0 {
        return Err(ServiceError::from(Refusal::new(RefusalCode::Invalid, "the file is empty")).into());
    }
    file.flush().await?;
    file.sync_all().await?;
    Ok(room.taken())
}
